package store_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/vaultfleet/reconciler/internal/store"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// The tests of this file start the test binary again as other processes; what
// such a process does is named by this variable.
const roleVariable = "STORE_TEST_ROLE"

func child(t *testing.T, role string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"-test.run=^TestAsAnotherProcess$", "--"}, args...)...)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	return cmd
}

// TestAsAnotherProcess is what the other processes run.
func TestAsAnotherProcess(t *testing.T) {
	role := os.Getenv(roleVariable)
	if role == "" {
		t.Skip("started by the tests that need another process")
	}
	args := os.Args[len(os.Args)-2:]
	s, err := store.Open(args[0])
	must(t, err)
	switch role {
	case "count":
		for range 30 {
			increment(t, s, args[1])
		}
	case "append":
		for i := 0; ; i++ {
			must(t, s.Append(t.Context(), "a", try(i, diff.OutcomeIntent)))
			fmt.Println(i) // acknowledged
		}
	case "full":
		fillUp(t, s)
	}
}

// increment counts up one member's index, as a turn does: load, think, save,
// again on a conflict; and notes a try of its own.
func increment(t *testing.T, s *store.Store, who string) {
	for {
		m, rev := load(t, s, "a")
		member := m.Member("eu-1")
		member.Index++
		m.Known, m.Members = true, []diff.Member{member}
		_, err := s.Save(t.Context(), "a", m, rev)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		must(t, err)
		must(t, s.Append(t.Context(), "a", diff.Try{Step: who + strconv.FormatUint(member.Index, 10), Action: diff.ActionPlace, At: noon}))
		return
	}
}

func TestTwoProcessesLoseNothingOfEachOther(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	one, two := child(t, "count", dir, "one"), child(t, "count", dir, "two")
	must(t, one.Start())
	must(t, two.Start())
	must(t, one.Wait())
	must(t, two.Wait())
	m, _ := load(t, open(t, dir), "a")
	if got := m.Member("eu-1").Index; got != 60 || len(m.Tries) != 60 {
		t.Fatalf("counted to %d with %d tries, want 60 and 60", got, len(m.Tries))
	}
}

func TestWhatWasAcknowledgedSurvivesAKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	for round := range 5 {
		cmd := child(t, "append", dir, "")
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		last := -1
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if last, err = strconv.Atoi(lines.Text()); err != nil {
				t.Fatalf("the process said %q", lines.Text())
			}
			if last == 20+7*round {
				must(t, cmd.Process.Kill())
			}
		}
		if err := cmd.Wait(); err == nil || last < 20 {
			t.Fatalf("ended with %v after %d", err, last)
		}
		m, _ := load(t, open(t, dir), "a")
		seen := map[string]bool{}
		for _, x := range m.Tries {
			seen[x.Step] = true
		}
		for i := range last + 1 {
			if !seen[fmt.Sprint("step", i)] {
				t.Fatalf("round %d: try %d was acknowledged and is gone", round, i)
			}
		}
	}
}

// fillUp runs where no file may pass 4 KiB: the disk is full for everything
// that grows.
func fillUp(t *testing.T, s *store.Store) {
	signal.Ignore(syscall.SIGXFSZ)
	limit := syscall.Rlimit{Cur: 4096, Max: 4096}
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))
	n := 0
	var err error
	for ; err == nil; n++ {
		err = s.Append(t.Context(), "a", try(n, diff.OutcomeIntent))
	}
	if !errors.Is(err, syscall.EFBIG) || !strings.Contains(err.Error(), "until it can be written") {
		t.Errorf("append: %v", err)
	}
	if m, rev := load(t, s, "a"); len(m.Tries) != n-1 || int(rev) != n-1 {
		t.Errorf("%d tries at %d after %d appends", len(m.Tries), rev, n-1)
	}
	if err := s.Writable(t.Context()); !errors.Is(err, syscall.EFBIG) {
		t.Errorf("writable: %v", err)
	}
	if t.Failed() {
		return
	}
	fmt.Println("kept", n-1)
}

func TestAFullDiskKeepsWhatWasThereAndRefusesMore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	cmd := child(t, "full", dir, "")
	cmd.Stdout = nil
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var kept int
	if _, err := fmt.Sscanf(string(out), "kept %d", &kept); err != nil || kept < 5 {
		t.Fatalf("kept %d, %v: %s", kept, err, out)
	}
	s := open(t, dir)
	if m, _ := load(t, s, "a"); len(m.Tries) != kept {
		t.Fatalf("%d tries, want %d", len(m.Tries), kept)
	}
	must(t, s.Append(t.Context(), "a", try(999, diff.OutcomeDone)))
	must(t, s.Writable(t.Context()))
	entries, err := os.ReadDir(filepath.Join(dir))
	if err != nil || len(entries) != 1 {
		t.Fatalf("leftovers: %v, %v", entries, err)
	}
}
