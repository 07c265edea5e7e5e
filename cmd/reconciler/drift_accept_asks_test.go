//go:build linux

package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestWhoeverSitsAtTheTerminalSeesThePatchAndDecides(t *testing.T) {
	for answer, branches := range map[string]int{"yes\n": 1, "no\n": 0, "y\n": 0} {
		f, p, _ := anAcceptance(t)
		terminal, far := openTerminal(t)
		defer far.Close()
		var out bytes.Buffer
		r := &accepting{app: &app{stdin: far, stdout: &out, stderr: &out, output: "text"}}
		edit, err := r.edit(f)
		check(t, err)
		_, err = terminal.WriteString(answer)
		check(t, err)
		check(t, r.propose(t.Context(), f, edit))
		if len(p.branches) != branches || !strings.Contains(out.String(), "+  log_level: debug\n") ||
			!strings.Contains(out.String(), "\n\nPropose this as a pull request against main of acme/fleet? Only yes will do: ") {
			t.Errorf("%q: %v\n%s", answer, p.branches, out.String())
		}
		if said := strings.HasSuffix(out.String(), "Nothing was proposed.\n"); said == (branches > 0) {
			t.Errorf("%q: it says\n%s", answer, out.String())
		}
	}
}
