package report

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// play is a restart that takes a while.
func play(g *Progress) {
	at := func(s int) time.Time { return noon.Add(time.Duration(s) * time.Second) }
	watch := g.Watch("prod-eu")
	restart := step("eu-2", diff.ActionRestart, diff.EffectRestart)
	watch(apply.Event{Kind: apply.EventBegan, Step: restart, At: at(0)})
	for s := 1; s <= 40; s++ { // the hands are busy: no event
		g.Beat(at(s))
	}
	watch(apply.Event{Kind: apply.EventWaiting, Step: restart, Detail: "sealed", At: at(41)})
	for s := 42; s <= 80; s++ {
		watch(apply.Event{Kind: apply.EventWaiting, Step: restart, Detail: "follower, index 12" + string(rune('0'+s%10)), At: at(s)})
		g.Beat(at(s))
	}
	watch(apply.Event{Kind: apply.EventEnded, Step: restart, Outcome: diff.OutcomeDone, At: at(81)})
	watch(apply.Event{Kind: apply.EventEnded, Step: step("eu-3", diff.ActionRestart, diff.EffectRestart), Outcome: diff.OutcomeFailed, Detail: "x\x1b[2Jy", At: at(82)})
	g.Tell(at(83), "prod-eu", "waits: settling")
	g.Tell(at(84), "prod-eu", "waits: settling")
	g.Beat(at(400)) // nothing is in flight
	g.Close()
}

func TestProgressInALog(t *testing.T) {
	var b bytes.Buffer
	play(NewProgress(&b, Options{}, false))
	want := `prod-eu  eu-2  restart  …
prod-eu  eu-2  restart  … 30s
prod-eu  eu-2  restart  … sealed
prod-eu  eu-2  restart  … follower, index 122
prod-eu  eu-2  restart  … 1m12s  follower, index 122
prod-eu  eu-2  restart  ✔ done  1m21s
prod-eu  eu-3  restart  ✘ failed  x\x1b[2Jy
prod-eu  waits: settling
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// On a terminal the finished steps stay, and nothing else.
func TestProgressOnATerminal(t *testing.T) {
	var b bytes.Buffer
	play(NewProgress(&b, Options{Width: 60}, true))
	var screen []string
	for _, line := range strings.SplitAfter(b.String(), "\n") {
		for strings.HasPrefix(line, "\x1b[") {
			up, rest, _ := strings.Cut(strings.TrimPrefix(line, "\x1b["), "A\x1b[J")
			screen, line = screen[:len(screen)-int(up[0]-'0')], rest
		}
		if line != "" {
			screen = append(screen, line)
		}
	}
	want := "prod-eu  eu-2  restart  ✔ done  1m21s\nprod-eu  eu-3  restart  ✘ failed  x\\x1b[2Jy\nprod-eu  waits: settling\n"
	if diff := cmp.Diff(want, strings.Join(screen, "")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
