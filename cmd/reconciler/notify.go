package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultfleet/reconciler/internal/notify"
	"github.com/vaultfleet/reconciler/internal/settings"
	"github.com/vaultfleet/reconciler/internal/web"
)

func newNotify(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "notify",
		Short: "Where news and reports go: mail, chat, webhooks, the fleet's forge",
		Args:  arguments(0, 0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	test := &cobra.Command{
		Use:   "test NAME",
		Short: "Send a test message through one sink of `notify`",
		Long: "Send one message that says it is a test, now and without waiting for others, and say how it went. Of\n" +
			"forge_issue an issue of its own is opened and closed again on the forge of each fleet.",
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.testSink(cmd.Context(), args[0]) },
	}
	relay := &cobra.Command{ // what a chat's message is sent by, see internal/notify
		Use:    "relay",
		Hidden: true,
		Args:   arguments(0, 0),
		RunE:   func(*cobra.Command, []string) error { return notify.Relay(a.stdin, a.stdout) },
	}
	cmd.AddCommand(test, relay)
	return cmd
}

func (a *app) testSink(ctx context.Context, name string) error {
	if err := a.formats("text"); err != nil {
		return err
	}
	h, err := a.host()
	if err != nil {
		return err
	}
	s, known := h.settings.Notify[name]
	if !known {
		return noSuchSink(h.settings, name)
	}
	began := time.Now()
	var wrong []error
	switch s.Kind {
	case settings.SinkForgeIssue:
		wrong = a.testIssues(ctx, h, began)
	default:
		sink, err := sinkOf(h, s)
		if err == nil {
			err = sink.Send(ctx, testMessage(name, h.settings.HTTP, began))
		}
		wrong = append(wrong, err)
	}
	if err := errors.Join(wrong...); err != nil {
		return &exitError{code: exitFailed, err: fmt.Errorf("test %s (%s): %w", name, s.Kind, err), hint: "correct notify." + name + " in " + h.settings.File + ", or what it leads to"}
	}
	a.say("%s (%s) took the test message in %v.", name, s.Kind, time.Since(began).Round(10*time.Millisecond))
	return nil
}

func noSuchSink(s settings.Settings, name string) error {
	hint := "there are: " + strings.Join(s.SinkNames(), ", ")
	if len(s.Notify) == 0 {
		hint = "add notify: {" + name + ": {…}} to " + s.File
	}
	return usage(hint, "notify in %s has no %q", s.File, name)
}

// testMessage is another one each time: none of them is taken for a repetition.
func testMessage(name string, at settings.HTTP, now time.Time) notify.Message {
	where, err := os.Hostname()
	if err != nil {
		where = "this machine"
	}
	return notify.Message{
		Key: "notify test " + name + " " + now.UTC().Format(time.RFC3339Nano), At: now, Kind: notify.Digest, Severity: notify.Low,
		Fleet: "test", Title: "reconciler: a test message",
		Text: fmt.Sprintf("Nothing is wrong. `reconciler notify test %s` was called on %s.\n", name, where),
		Link: web.Address(at.URL).Fleet(), JSON: json.RawMessage(`{"schema":"reconciler/test","formatVersion":"1.0"}`),
	}
}

// testIssues opens and closes an issue on the forge of each fleet, beside the one that
// is kept there.
func (a *app) testIssues(ctx context.Context, h host, now time.Time) (wrong []error) {
	trackers, err := trackersOf(h.settings)
	if err != nil {
		return []error{err}
	}
	for _, f := range h.settings.Fleets {
		tracker, ok := trackers[f.Words()]
		if !ok {
			continue
		}
		sink := notify.NewIssue(func(string) (notify.Tracker, bool) { return tracker, true })
		m := testMessage("forge_issue", h.settings.HTTP, now)
		m.Source = "test of " + f.Words()
		m.Kind = notify.New
		err := sink.Send(ctx, m)
		if err == nil {
			m.Key, m.Kind, m.At, m.Clear = m.Key+" over", notify.Resolved, m.At.Add(time.Second), true
			err = sink.Send(ctx, m)
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("the fleet in %s: %w", f.Words(), err))
		}
	}
	return wrong
}
