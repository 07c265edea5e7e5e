package report

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// heartbeat is how long a log stays silent while a step is in flight: CI
// systems end a job that says nothing, and people wonder.
const heartbeat = 30 * time.Second

// Progress shows steps in flight: on a terminal as lines that are redrawn,
// elsewhere one line per change and a heartbeat. It may be used by many
// goroutines; its time is that of the events and beats it is given.
type Progress struct {
	mu       sync.Mutex
	p        page
	terminal bool
	flights  []*flight // in the order in which they began
	drawn    int       // lines on the terminal that are ours to redraw
	told     map[string]string
	quiet    time.Time // since when nothing was written
}

type flight struct {
	cluster string
	step    diff.Step
	began   time.Time
	detail  string
}

// NewProgress writes to w; terminal says that w understands cursor movement.
func NewProgress(w io.Writer, o Options, terminal bool) *Progress {
	return &Progress{p: page{w: w, o: o}, terminal: terminal, told: map[string]string{}}
}

// Watch is what a wave of this cluster tells its events to.
func (g *Progress) Watch(cluster string) func(apply.Event) {
	return func(e apply.Event) { g.event(cluster, e) }
}

func (g *Progress) event(cluster string, e apply.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.flight(cluster, e)
	switch e.Kind {
	case apply.EventBegan:
		if !g.terminal {
			g.say(e.At, f.words()+"  …")
		}
	case apply.EventWaiting:
		if e.Detail != f.detail && !g.terminal && stable(e.Detail) != stable(f.detail) {
			g.say(e.At, f.words()+"  … "+clean(e.Detail))
		}
		f.detail = e.Detail
	case apply.EventEnded:
		g.land(f)
		g.erase()
		g.say(e.At, g.ended(f, e))
	}
	g.draw(e.At)
}

// flight finds the step in flight, or begins it.
func (g *Progress) flight(cluster string, e apply.Event) *flight {
	for _, f := range g.flights {
		if f.cluster == cluster && f.step.ID == e.Step.ID && f.step.Node == e.Step.Node {
			return f
		}
	}
	f := &flight{cluster: cluster, step: e.Step, began: e.At}
	g.flights = append(g.flights, f)
	return f
}

func (g *Progress) land(gone *flight) {
	for i, f := range g.flights {
		if f == gone {
			g.flights = append(g.flights[:i], g.flights[i+1:]...)
			return
		}
	}
}

// stable is a detail without its numbers: an index that grows is no change
// worth a line in a log.
func stable(detail string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, detail)
}

func (f *flight) words() string {
	return clean(f.cluster) + "  " + clean(f.step.Node) + "  " + act(f.step)
}

func (g *Progress) ended(f *flight, e apply.Event) string {
	mark, s := "✔", green
	switch {
	case bad(e.Outcome):
		mark, s = "✘", red
	case e.Outcome == diff.OutcomeStale:
		mark, s = "·", faint
	}
	words := fmt.Sprintf("%s  %s %s", f.words(), g.p.paint(s, mark), e.Outcome)
	if took := e.At.Sub(f.began); took >= time.Second {
		words += "  " + took.Round(time.Second).String()
	}
	if e.Detail != "" {
		words += "  " + clean(e.Detail)
	}
	return words
}

// Tell writes one line about a cluster, unless it is the last one that was
// told about it.
func (g *Progress) Tell(now time.Time, cluster, text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.told[cluster] == text {
		return
	}
	g.told[cluster] = text
	g.erase()
	if text != "" {
		g.say(now, clean(cluster)+"  "+clean(text))
	}
	g.draw(now)
}

// Beat lets time pass: elapsed times are redrawn, or, where nothing was
// written for a while, a heartbeat says what is in flight.
func (g *Progress) Beat(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.terminal {
		g.draw(now)
		return
	}
	if len(g.flights) == 0 || now.Sub(g.quiet) < heartbeat {
		return
	}
	for _, f := range g.flights {
		g.say(now, f.line(now))
	}
}

// Close leaves the terminal as it should be found.
func (g *Progress) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.erase()
}

func (f *flight) line(now time.Time) string {
	line := fmt.Sprintf("%s  … %s", f.words(), now.Sub(f.began).Round(time.Second))
	if f.detail != "" {
		line += "  " + clean(f.detail)
	}
	return line
}

func (g *Progress) say(at time.Time, line string) {
	g.p.line("%s", line)
	g.quiet = at
}

// erase takes our lines off the terminal: up, and clear to the end of the
// screen.
func (g *Progress) erase() {
	if g.drawn > 0 && g.p.err == nil {
		_, g.p.err = fmt.Fprintf(g.p.w, "\x1b[%dA\x1b[J", g.drawn)
	}
	g.drawn = 0
}

func (g *Progress) draw(now time.Time) {
	if !g.terminal {
		return
	}
	g.erase()
	for _, f := range g.flights {
		line := f.line(now)
		if columns := g.p.o.Width; columns > 1 && width(line) >= columns {
			line = string([]rune(line)[:columns-1]) // a line that wraps could not be erased
		}
		g.p.line("%s", line)
		g.drawn++
	}
}

// act is what a step does, in a word or two.
func act(s diff.Step) string {
	if s.Device != nil {
		return string(s.Action) + " " + clean(s.Device.Path)
	}
	return string(s.Action)
}
