package lease_test

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/vaultfleet/reconciler/internal/lease"
)

func acquire(t testing.TB, dir, cluster string) lease.Lease {
	t.Helper()
	l, err := lease.Acquire(t.Context(), dir, cluster)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestOneHolderPerClusterAndAnEpochThatGrows(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	first := acquire(t, dir, "prod-eu")
	other := acquire(t, dir, "prod-us")
	defer other.Release()
	if first.Epoch != 1 || other.Epoch != 1 {
		t.Errorf("epochs %d and %d, want 1 and 1", first.Epoch, other.Epoch)
	}

	_, err := lease.Acquire(t.Context(), dir, "prod-eu")
	busy, ok := errors.AsType[*lease.BusyError](err)
	if !ok || busy.Holder != first.Holder || busy.PID != os.Getpid() || busy.Since.IsZero() {
		t.Fatalf("while held: %v", err)
	}
	if !strings.Contains(err.Error(), "prod-eu is busy: held by "+first.Holder) {
		t.Errorf("the error does not name the holder: %v", err)
	}
	for want := uint64(2); want < 5; want++ {
		first.Release()
		first.Release()
		if first = acquire(t, dir, "prod-eu"); first.Epoch != want {
			t.Fatalf("epoch %d, want %d", first.Epoch, want)
		}
	}
}

func TestTheHolderSaysHostProcessAndInstallation(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	l := acquire(t, dir, "a")
	id, err := lease.Installation(dir)
	host, _ := os.Hostname()
	if err != nil || l.Installation != id || l.Holder != fmt.Sprintf("%s:%d:%s", host, os.Getpid(), id) {
		t.Fatalf("holder %q, installation %q, %v", l.Holder, id, err)
	}
	if elsewhere := acquire(t, filepath.Join(t.TempDir(), "state"), "a"); elsewhere.Installation == id {
		t.Fatal("two state folders share an installation id")
	}
}

func TestTheInstallationIsMadeOnceByWhoeverComesFirst(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	var ids sync.Map
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			id, err := lease.Installation(dir)
			if err != nil {
				t.Error(err)
			}
			ids.Store(id, true)
		})
	}
	group.Wait()
	count := 0
	ids.Range(func(any, any) bool { count++; return true })
	entries, err := os.ReadDir(dir)
	if count != 1 || err != nil || len(entries) != 1 {
		t.Fatalf("%d ids, folder holds %v, %v", count, entries, err)
	}
	for _, damaged := range []string{"", "zz", strings.Repeat("a", 31), strings.Repeat("g", 32)} {
		if err := os.WriteFile(filepath.Join(dir, "installation"), []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if id, err := lease.Installation(dir); err == nil || !strings.Contains(err.Error(), "backup") {
			t.Errorf("%q passed for an installation: %q, %v", damaged, id, err)
		}
	}
}

func TestADamagedEpochRefusesAndIsNotReset(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	acquire(t, dir, "a").Release()
	path := filepath.Join(dir, "clusters/a/epoch")
	for _, damaged := range []string{"", "{", `{"epoch":0}`, `{"epoch":-1}`, `{"holder":"x"}`, "\x00\x00"} {
		if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 { // a refusal frees the lock
			if _, err := lease.Acquire(t.Context(), dir, "a"); err == nil || !strings.Contains(err.Error(), "takeover") {
				t.Errorf("%q: %v", damaged, err)
			}
		}
	}
}

func TestRaiseOnlyRaises(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	for _, step := range []struct{ seen, next uint64 }{{41, 42}, {7, 44}, {44, 46}} {
		// Raise itself takes an epoch.
		if err := lease.Raise(t.Context(), dir, "a", step.seen); err != nil {
			t.Fatal(err)
		}
		l := acquire(t, dir, "a")
		if l.Epoch != step.next {
			t.Errorf("after %d: epoch %d, want %d", step.seen, l.Epoch, step.next)
		}
		if err := lease.Raise(t.Context(), dir, "a", 1000); err == nil {
			t.Error("raised while held")
		}
		l.Release()
	}
	if err := lease.Raise(t.Context(), dir, "a", math.MaxUint64); err == nil {
		t.Error("raised past the end")
	}
	if l := acquire(t, dir, "a"); l.Epoch != 48 {
		t.Errorf("a refused raise left epoch %d", l.Epoch)
	}
}

func TestOneDaemonPerStateFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	l, err := lease.Daemon(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lease.Daemon(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "daemon's place") {
		t.Fatalf("a second daemon: %v", err)
	}
	acquire(t, dir, "a").Release()
	l.Release()
	if _, err := lease.Daemon(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
}

func TestNamesCannotLeaveTheFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	for _, name := range []string{"", "..", "../x", "a/b", `a\b`, "a\x00", ".x"} {
		if _, err := lease.Acquire(t.Context(), dir, name); err == nil {
			t.Errorf("%q passed for a cluster's name", name)
		}
	}
}

func TestAReadOnlyStateFolderGivesNoLease(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := lease.Acquire(t.Context(), filepath.Join(file, "state"), "a"); err == nil {
		t.Fatal("a lease without a place for its epoch")
	}
}

// TestAsAnotherProcess holds a lease until it is killed.
func TestAsAnotherProcess(t *testing.T) {
	dir := os.Getenv("LEASE_TEST_STATE")
	if dir == "" {
		t.Skip("started by TestAKilledHolderFreesTheLease")
	}
	l := acquire(t, dir, "a")
	fmt.Println("epoch", l.Epoch)
	select {}
}

func TestAKilledHolderFreesTheLease(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	for round := range uint64(3) {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAsAnotherProcess$")
		cmd.Env = append(os.Environ(), "LEASE_TEST_STATE="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		if want := fmt.Sprintln("epoch", 2*round+1); err != nil || line != want {
			t.Fatalf("the other process said %q, %v; want %q", line, err, want)
		}
		_, err = lease.Acquire(t.Context(), dir, "a")
		busy, ok := errors.AsType[*lease.BusyError](err)
		if !ok || busy.PID != cmd.Process.Pid {
			t.Fatalf("while another process holds it: %v", err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the other process ended well")
		}
		l := acquire(t, dir, "a")
		if l.Epoch != 2*round+2 {
			t.Fatalf("epoch %d after the kill", l.Epoch)
		}
		l.Release()
	}
}

func BenchmarkAcquire(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "state")
	for b.Loop() {
		acquire(b, dir, "a").Release()
	}
}
