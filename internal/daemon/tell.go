package daemon

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Keys of the log.
const (
	KeyCommit  = "commit"
	KeyCluster = "cluster"
	KeyNode    = "node"
	KeyStep    = "step"
	KeyAction  = "action"
	KeyReason  = "reason"
	KeyError   = "error"
)

// heartbeat is how long the log stays silent while a step is waited for.
const heartbeat = 30 * time.Second

// Teller writes into the log what changes of one cluster: a line when
// something begins to be so, a line when it is over, none while it lasts.
type Teller struct {
	log  *slog.Logger
	last map[string]line // what is so, by key

	mu   sync.Mutex           // events come from all steps of a wave
	beat map[string]time.Time // by step, when it was last heard of
}

// NewTeller is a teller of one cluster.
func NewTeller(log *slog.Logger, cluster string) *Teller {
	return &Teller{log: log.With(KeyCluster, cluster), last: map[string]line{}, beat: map[string]time.Time{}}
}

// line is one thing that is so.
type line struct {
	level slog.Level
	words string
	over  string // what is said when it is so no more; empty: nothing
	attrs []any
}

// Turned tells what is so since a turn and was not before, and what is so no
// more. A turn that came to no plan says nothing of what it would have found.
func (t *Teller) Turned(turned loop.Turned) {
	now, order := lines(turned)
	if turned.Plan.Cluster == "" {
		for key, l := range t.last {
			if _, there := now[key]; !there && l.over != "" {
				now[key] = l
			}
		}
	}
	for _, key := range order {
		if _, told := t.last[key]; !told {
			l := now[key]
			t.log.Log(context.Background(), l.level, l.words, l.attrs...)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(t.last)) {
		if _, still := now[key]; !still && t.last[key].over != "" {
			t.log.Info(t.last[key].over, t.last[key].attrs...)
		}
	}
	t.last = now
}

// lines are all that is so after a turn, by key and in order.
func lines(t loop.Turned) (map[string]line, []string) {
	found, order := map[string]line{}, []string{}
	say := func(key string, l line) {
		if _, there := found[key]; !there {
			found[key], order = l, append(order, key)
		}
	}
	var busy loop.Busy
	switch {
	case errors.As(t.Err, &busy):
		say("busy", line{slog.LevelWarn, "another one acts here", "nobody else acts here any more", []any{"who", busy.Busy()}})
	case t.Err != nil:
		say("error "+stable(t.Err.Error()), line{slog.LevelError, "the turn failed", "", []any{KeyError, t.Err}})
	case t.Plan.Empty():
		say("in sync", line{slog.LevelInfo, "in sync", "", []any{KeyCommit, t.Plan.Commit}})
	}
	for _, u := range t.Plan.Unseen {
		say("unseen "+u.Node+u.Phase+stable(u.Error), line{slog.LevelWarn, "not seen", "seen again", []any{KeyNode, u.Node, "phase", u.Phase, KeyError, u.Error}})
	}
	for _, b := range t.Plan.Blocks {
		if b.Later {
			continue // it may never come to that
		}
		level := slog.LevelWarn
		switch {
		case b.Urgent():
			level = slog.LevelError
		case b.Reason == diff.ReasonObserve:
			level = slog.LevelInfo
		}
		say("blocked "+b.Node+string(b.Reason)+stable(b.Detail), line{level, "blocked", "no longer blocked", on(b.Node, KeyReason, b.Reason, "detail", b.Detail, "lift", b.Lift)})
	}
	if len(t.Plan.Waves) > 0 {
		steps := 0
		for _, w := range t.Plan.Waves {
			steps += len(w)
		}
		say("plan "+t.Plan.Digest, line{slog.LevelInfo, "planned", "", []any{KeyCommit, t.Plan.Commit, "waves", len(t.Plan.Waves), "steps", steps}})
	}
	for _, w := range t.Plan.Waits {
		attrs := on(w.Node, KeyReason, w.Reason, "detail", w.Detail)
		if !w.Until.IsZero() {
			attrs = append(attrs, "until", w.Until.UTC().Format(time.RFC3339))
		}
		say("waits "+w.Node+string(w.Reason), line{slog.LevelInfo, "waits", "", attrs})
	}
	return found, order
}

// stable is a text without its numbers, times and durations: one that goes on is
// no news. The digit of a name, as in eu-2, is kept.
func stable(text string) string {
	words := strings.FieldsFunc(text, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '_' && r != '.'
	})
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return unicode.IsDigit(rune(w[0])) }), " ")
}

// on puts a node before the attributes of a line; what is of the whole cluster
// has none.
func on(node string, attrs ...any) []any {
	if node == "" {
		return attrs
	}
	return append([]any{KeyNode, node}, attrs...)
}

// Event tells how a step goes on.
func (t *Teller) Event(e apply.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	attrs := []any{KeyNode, e.Step.Node, KeyAction, e.Step.Action, KeyStep, e.Step.ID}
	switch e.Kind {
	case apply.EventBegan:
		t.beat[e.Step.ID] = e.At
		t.log.Info("began", append(attrs, "why", e.Step.Why)...)
	case apply.EventWaiting:
		if e.At.Sub(t.beat[e.Step.ID]) >= heartbeat {
			t.beat[e.Step.ID] = e.At
			t.log.Info("not there yet", append(attrs, "detail", e.Detail)...)
		}
	case apply.EventEnded:
		delete(t.beat, e.Step.ID)
		level := slog.LevelInfo
		if e.Outcome == diff.OutcomeFailed || e.Outcome == diff.OutcomeUnknown {
			level = slog.LevelWarn
		}
		if e.Detail != "" {
			attrs = append(attrs, "detail", e.Detail)
		}
		t.log.Log(context.Background(), level, string(e.Outcome), attrs...)
	}
}
