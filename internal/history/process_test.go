package history

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// The tests of this file start the test binary again as other processes; what
// such a process does is named by this variable.
const roleVariable = "HISTORY_TEST_ROLE"

func child(t *testing.T, role, state string, from int) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAsAnotherProcess$", "--", state, strconv.Itoa(from))
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
	state := os.Args[len(os.Args)-2]
	from, err := strconv.Atoi(os.Args[len(os.Args)-1])
	must(t, err)
	switch role {
	case "write":
		h := Open(state, Options{Tell: func(err error) { t.Error(err) }})
		for i := from; ; i++ {
			h.Of("r")(busy(i))
			if i%20 == 19 {
				fmt.Println(i)
			}
			for len(h.todo) > 10 {
				time.Sleep(time.Millisecond)
			}
		}
	case "full":
		signal.Ignore(syscall.SIGXFSZ)
		limit := syscall.Rlimit{Cur: 256 << 10, Max: 1 << 30}
		must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))
		told := in(t, state, func(h *History) {
			for i := range 400 {
				h.Of("r")(busy(i))
			}
			for len(h.todo) > 0 {
				time.Sleep(time.Millisecond)
			}
			limit.Cur = limit.Max
			must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))
			h.Of("r")(busy(400))
		})
		fmt.Printf("told %q\n", told.words)
	}
}

// busy is a turn in which much is new: three steps, two nodes, a plan.
func busy(i int) loop.Turned {
	t := done(turn(i, diff.Wave{restart("eu-1"), restart("eu-2"), restart("eu-3")}), diff.OutcomeDone)
	for j := range 2 {
		t.Have[j].Vault.Version = fmt.Sprint("1.21.", i)
	}
	t.Plan.Blocks = []diff.Block{{Node: "eu-1", Reason: diff.Reason(fmt.Sprint("reason-", i))}}
	return t
}

// wholeTurns are how many turns of busy a file holds, each of them whole.
func wholeTurns(t *testing.T, state string) int {
	t.Helper()
	db, err := connect(File(state), forWriting)
	must(t, err)
	defer db.Close()
	var says string
	must(t, db.QueryRow("PRAGMA integrity_check").Scan(&says))
	if says != "ok" {
		t.Fatalf("integrity_check: %s", says)
	}
	rows, err := db.Query(`SELECT w.id, (SELECT count(*) FROM step WHERE event = w.id),
		(SELECT count(*) FROM plan JOIN event p ON p.id = plan.event WHERE p.at = w.at - 40000),
		(SELECT count(*) FROM event n WHERE n.kind = 'node' AND n.at = w.at - 40000),
		(SELECT count(*) FROM touched WHERE event = w.id) FROM event w WHERE kind = 'wave'`)
	must(t, err)
	defer rows.Close()
	turns := 0
	for rows.Next() {
		var id, steps, plans, nodes, places int
		must(t, rows.Scan(&id, &steps, &plans, &nodes, &places))
		if steps != 3 || plans != 1 || nodes < 2 || places != 4 {
			t.Errorf("wave %d: %d steps, %d plans, %d nodes, %d places", id, steps, plans, nodes, places)
		}
		turns++
	}
	var all int
	must(t, db.QueryRow("SELECT count(*) FROM event WHERE kind = 'plan'").Scan(&all))
	if all != turns {
		t.Errorf("%d plans and %d waves", all, turns)
	}
	return turns
}

func TestAKillLosesNoTurnThatWasWrittenAndHalvesNone(t *testing.T) {
	state := t.TempDir()
	before := 0
	for round := range 8 {
		cmd := child(t, "write", state, 1000*round)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		said := bufio.NewScanner(out)
		heard := 1 + rand.N(3)
		for range heard {
			said.Scan()
		}
		for range rand.N(2_000_000) { // somewhere within a turn
		}
		must(t, cmd.Process.Kill())
		_ = cmd.Wait() // it was killed
		turns := wholeTurns(t, state)
		if written := 20*heard - 12; turns < before+written { // the others were queued
			t.Errorf("round %d: %d turns after %d, and at least %d were written since", round, turns, before, written)
		}
		before = turns
	}
}

func TestAFullDiskIsToldOnceAndHalvesNoTurn(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	must(t, os.Mkdir(state, 0o700))
	out, err := child(t, "full", state, 0).Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	told := strings.Split(string(out), "\n")[0]
	if strings.Count(told, `" "`) != 1 || !strings.Contains(told, "write "+File(state)+": ") || !strings.Contains(told, `"again"`) {
		t.Error(told)
	}
	turns := wholeTurns(t, state)
	if turns < 5 || turns >= 400 {
		t.Errorf("%d turns", turns)
	}
	lost := 0
	for _, e := range ask(t, state, Filter{}) {
		if e.Kind == report.EventGap {
			lost += e.Gap.Turns
		}
	}
	if turns+lost != 401 {
		t.Errorf("%d turns are written, and %d are said to be lost, of 401", turns, lost)
	}
}
