package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

func TestVerboseTellsEveryLookAndAct(t *testing.T) {
	for _, verbose := range []bool{true, false} {
		var out bytes.Buffer
		ports := logged(loop.Ports{
			Host: func(context.Context, actual.Target) actual.Node {
				return actual.Node{Unknown: map[actual.Phase]string{actual.PhaseTCP: "no route"}}
			},
			Hands: func(context.Context, diff.Try, diff.Step, apply.Contents) error { return errors.New("disk full") },
		}, newLog(verbose, &out), "prod")
		ports.Host(t.Context(), actual.Target{Node: "eu-1"})
		if err := ports.Hands(t.Context(), diff.Try{Op: "op-1", Epoch: 7}, diff.Step{Node: "eu-1", Action: diff.ActionPlace}, nil); err == nil {
			t.Error("the log swallowed an error")
		}
		for _, word := range []string{"msg=looked cluster=prod node=eu-1", "unknown=tcp", "msg=acted", "action=place", "op=op-1 epoch=7", `error="disk full"`} {
			if strings.Contains(out.String(), word) != verbose {
				t.Errorf("verbose %v: %q in %q", verbose, word, out.String())
			}
		}
	}
}

func TestADefectInOneOfManyIsTheCallers(t *testing.T) {
	done := make(chan int, 3)
	defer func() {
		if p := recover(); p == nil || !strings.Contains(p.(string), "index out of range") || len(done) != 2 {
			t.Errorf("%d of the others were done, and it is told %v", len(done), p)
		}
	}()
	atOnce(2, 3, func(i int) {
		if i == 1 {
			panic("index out of range")
		}
		done <- i
	})
}
