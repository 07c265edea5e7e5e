package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/pkg/actual"
)

func TestTakeoverGoesAboveWhatEveryNodeSaw(t *testing.T) {
	root := func(f *actual.Fence) actual.Node { return actual.Node{Machine: &actual.Machine{Root: true, Fence: f}} }
	for name, c := range map[string]struct {
		seen    []actual.Node
		highest uint64
		says    string // of the error
		code    int
	}{
		"the highest counts":         {[]actual.Node{root(&actual.Fence{Epoch: 7}), root(&actual.Fence{Epoch: 9}), root(nil)}, 9, "", 0},
		"a node that obeys nobody":   {[]actual.Node{root(nil)}, 0, "", 0},
		"one that was not reached":   {[]actual.Node{{Unknown: map[actual.Phase]string{actual.PhaseTCP: "no route"}}, root(&actual.Fence{Epoch: 3})}, 3, "", 0},
		"none was reached":           {[]actual.Node{{Unknown: map[actual.Phase]string{actual.PhaseTCP: "no route"}}}, 0, "none of its nodes was reached", report.Unobserved},
		"none was seen by root":      {[]actual.Node{{Machine: &actual.Machine{}}}, 0, "none of its nodes was reached", report.Unobserved},
		"a node that says the moon":  {[]actual.Node{root(&actual.Fence{Epoch: 1 << 62})}, 0, "after which there is none", 0},
		"root, and noise beside it":  {[]actual.Node{{Machine: &actual.Machine{Root: true, Fence: &actual.Fence{Epoch: 4}}, Unknown: map[actual.Phase]string{actual.PhaseParse: "x"}}}, 4, "", 0},
		"a node that says nothing":   {[]actual.Node{{}}, 0, "none of its nodes was reached", report.Unobserved},
		"the last epoch that counts": {[]actual.Node{root(&actual.Fence{Epoch: epochMost - 1})}, epochMost - 1, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			over := &takeover{app: &app{}, cluster: "prod"}
			for _, n := range c.seen {
				over.nodes = append(over.nodes, obeys(actual.Target{Node: "eu-1"}, n))
			}
			highest, err := over.highest()
			if highest != c.highest || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%d, %v", highest, err)
			}
			var coded *exitError
			if c.code != 0 && (!errors.As(err, &coded) || coded.code != c.code) {
				t.Errorf("%v has no exit code %d", err, c.code)
			}
		})
	}
}

func TestTakeoverTakesTheNameForAYes(t *testing.T) {
	for answer, want := range map[string]bool{"prod\n": true, " prod \n": true, "yes\n": false, "pro\n": false, "\n": false, "": false} {
		var out bytes.Buffer
		over := &takeover{app: &app{stdin: strings.NewReader(answer), stdout: &out}, cluster: "prod"}
		agreed, err := over.agreed(t.Context())
		if agreed != want || err != nil || strings.Contains(out.String(), "Nothing was done.") == want {
			t.Errorf("%q: %v, %v\n%s", answer, agreed, err, &out)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	over := &takeover{app: &app{stdin: block{t.Context()}, stdout: &bytes.Buffer{}}, cluster: "prod"}
	if agreed, err := over.agreed(gone); agreed || !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupt is taken for %v, %v", agreed, err)
	}
}

// block is a person who does not answer until the test is over.
type block struct{ ctx context.Context }

func (b block) Read([]byte) (int, error) {
	<-b.ctx.Done()
	return 0, b.ctx.Err()
}
