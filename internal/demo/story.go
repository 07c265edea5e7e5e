package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/internal/person"
)

// Command is the product's command line: it runs with these arguments, and the
// exit code is the answer.
type Command func(ctx context.Context, args []string, stdout, stderr io.Writer) (code int)

// Telling says how the story is told.
type Telling struct {
	Command Command
	Out     io.Writer
	Styled  bool // Out is a terminal with colours
	// Pause is the time to read between two acts.
	Pause time.Duration
	// Older and Newer are the versions of Vault that it is about, both to be had
	// from the stage's source. When they are one version, nothing is upgraded.
	Older, Newer string
}

// Tell plays the story on a stage that nothing has happened on. The first claim
// that does not hold ends it.
func Tell(ctx context.Context, s *Stage, how Telling) error {
	t := &story{Telling: how, Stage: s, teller: &teller{out: how.Out, styled: how.Styled}, ask: person.API{Client: s.client()}}
	for i, a := range t.acts() {
		if i > 0 {
			if err := rest(ctx, how.Pause); err != nil {
				return err
			}
		}
		t.act(i+1, a.title, a.sentence)
		for _, do := range a.steps {
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			if err := do(ctx); err != nil {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				return fmt.Errorf("act %d, %s: %w", i+1, a.title, err)
			}
		}
	}
	return nil
}

func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// story is the story while it is told.
type story struct {
	Telling
	*Stage
	*teller
	ask person.API

	said   string            // what the last command printed
	before map[string]string // process of Vault, by node, when an act began
	seen   watched
}

// An act of the story is steps in order.
type act struct {
	title    string
	sentence string
	steps    []step
}

type step func(ctx context.Context) error

// patience is how long a command may take: Vault's own birth takes half a minute.
const patience = 4 * time.Minute

// run runs a command of the product, and expects an exit code and words.
func (s *story) run(code int, line string, words ...string) step {
	return func(ctx context.Context) error {
		s.command("reconciler " + line)
		var all bytes.Buffer
		shown := &indented{teller: s.teller}
		out := io.MultiWriter(shown, &all)
		limited, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		got := s.Command(limited, append([]string{"--config", s.Config}, fields(line)...), out, out)
		shown.end()
		s.said = all.String()
		if ctx.Err() == nil && limited.Err() != nil {
			return fmt.Errorf("reconciler %s did not end in %s", line, patience)
		}
		if got != code {
			return fmt.Errorf("reconciler %s exits %d, not %d", line, got, code)
		}
		for _, w := range words {
			if !strings.Contains(s.said, w) {
				return fmt.Errorf("reconciler %s does not say %q", line, w)
			}
		}
		return nil
	}
}

// fields are the words of a command line; what is between ' is one.
func fields(line string) []string {
	var out []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			out = append(out, part)
		} else {
			out = append(out, strings.Fields(part)...)
		}
	}
	return out
}

// commit changes the fleet repo and commits it.
func (s *story) commit(subject string, edits ...Edit) step {
	return func(context.Context) error {
		for _, e := range edits {
			s.say("  %s", s.style(dim, e.File))
			for line := range strings.Lines(e.Old) {
				s.say("    %s", s.style(red, "- "+strings.TrimSpace(line)))
			}
			for line := range strings.Lines(e.New) {
				s.say("    %s", s.style(green, "+ "+strings.TrimSpace(line)))
			}
		}
		if err := s.Edit(edits...); err != nil {
			return err
		}
		s.command("git commit -am '" + subject + "'")
		return s.Commit(subject)
	}
}

// claim is something that the story looks up itself.
func (s *story) claim(words string, holds func(ctx context.Context) error) step {
	return func(ctx context.Context) error {
		err := holds(ctx)
		s.teller.claim(words, err)
		if err != nil {
			return errors.New("it is not true: " + words)
		}
		return nil
	}
}
