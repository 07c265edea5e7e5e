//go:build linux

package main

import (
	"bytes"
	"io"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vaultfleet/reconciler/internal/demo"
)

// TestFleet runs the stories of testdata/fleet: the product's commands on three
// embedded nodes, over SSH, by the real node script, with simulated Vaults. A birth
// is dear, so one stage is for all of them, in the order of their names. Every
// script finds the folder of the stage in $STAGE, the fleet repo in $STAGE/fleet,
// and the simulator's 1.21.0 in the mirror.
func TestFleet(t *testing.T) {
	t.Parallel() // it waits more than it works
	stage := setStage(t)
	testscript.RunT(inTurn{t}, testscript.Params{
		Dir:                 "testdata/fleet",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Values[stageKey{}], env.Values[keeperKey{}] = stage, &keeper{}
			for name, value := range map[string]string{"STAGE": stage.Dir, "RECONCILER_CONFIG": stage.Config, "USER": "ada", "SUDO_USER": "", "PLATFORM": demo.Platform()} {
				env.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    exits,
			"edit":     edit,
			"commit":   commitStage,
			"release":  release_,
			"born":     bornStage,
			"on":       on,
			"note":     note,
			"same":     same,
			"daemon":   daemon_,
			"says":     says,
			"ends":     ends,
			"discreet": discreet,
			"listens":  listens,
			"hook":     hook_,
			"gets":     gets,
			"taken":    taken,
		},
	})
}

// inTurn is a test whose scripts run one after the other.
type inTurn struct{ *testing.T }

func (inTurn) Parallel() {}

func (inTurn) Verbose() bool { return testing.Verbose() }

func (t inTurn) Run(name string, script func(testscript.T)) {
	t.T.Run(name, func(t *testing.T) { script(inTurn{t}) })
}

type stageKey struct{}

func setStage(t *testing.T) *demo.Stage {
	t.Helper()
	stage, err := demo.NewStage(demo.Options{Dir: reachable(t), Watch: time.Second})
	check(t, err)
	t.Cleanup(func() { check(t, stage.Close()) })
	check(t, stage.Simulate("1.21.0"))
	return stage
}

func stageOf(ts *testscript.TestScript) *demo.Stage { return ts.Value(stageKey{}).(*demo.Stage) }

// edit changes one place of the fleet repo: edit FILE OLD NEW
func edit(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(stageOf(ts).Edit(demo.Edit{File: args[0], Old: args[1], New: args[2]}))
}

// commitStage commits the fleet repo: commit SUBJECT
func commitStage(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(stageOf(ts).Commit(args[0]))
}

// release_ puts a version of the simulator into the mirror: release VERSION
func release_(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(stageOf(ts).Simulate(args[0]))
}

// bornStage brings the cluster from bare machines to where it is in sync, unless
// the story before has left it there.
func bornStage(ts *testscript.TestScript, _ bool, _ []string) {
	s := stageOf(ts)
	if run([]string{"--config", s.Config, "plan", "--detailed-exitcode"}, strings.NewReader(""), io.Discard, io.Discard) == 0 {
		return
	}
	for _, line := range []struct {
		code int
		args []string
	}{
		{0, []string{"lock", "1.21.0", "--platform", demo.Platform(), "--fleet", s.Repo}},
		{0, []string{"approve", "--init", demo.Cluster, "--reason", "test"}},
		{8, []string{"apply", "--yes"}},
		{0, []string{"keys", "confirm", demo.Cluster, "--identity", s.Holder.File}},
		{0, []string{"apply", "--yes"}},
	} {
		if line.args[0] == "approve" {
			ts.Check(s.Commit("A cluster of three"))
		}
		var out bytes.Buffer
		if code := run(append([]string{"--config", s.Config}, line.args...), strings.NewReader(""), &out, &out); code != line.code {
			ts.Fatalf("reconciler %q exits %d, not %d\n%s", line.args, code, line.code, out.String())
		}
	}
}

// on is what happens on a node: on NODE kill | stop | rewrite FILE OLD NEW
func on(ts *testscript.TestScript, _ bool, args []string) {
	n := stageOf(ts).Node(args[0])
	switch args[1] {
	case "kill":
		pid, err := strconv.Atoi(n.Systemctl("show", "vault", "-P", "MainPID"))
		ts.Check(err)
		ts.Check(syscall.Kill(pid, syscall.SIGKILL))
	case "stop":
		if said := n.Systemctl("stop", "vault"); said != "" {
			ts.Fatalf("stop: %s", said)
		}
	case "rewrite":
		ts.Check(stageOf(ts).Rewrite(n.Name, args[2], args[3], args[4]))
	default:
		ts.Fatalf("nothing is known to happen as %q", args[1])
	}
}

// note keeps which process each Vault is; same says which are the same since:
// same NODE…, and the others are not.
func note(ts *testscript.TestScript, _ bool, _ []string) {
	for _, n := range stageOf(ts).Fleet.Nodes {
		ts.Setenv("PROCESS_"+n.Name, n.Systemctl("show", "vault", "-P", "InvocationID"))
	}
}

func same(ts *testscript.TestScript, _ bool, args []string) {
	for _, n := range stageOf(ts).Fleet.Nodes {
		is := n.Systemctl("show", "vault", "-P", "InvocationID") == ts.Getenv("PROCESS_"+n.Name)
		if want := slices.Contains(args, n.Name); is != want {
			ts.Fatalf("%s is the same process: %v, want %v", n.Name, is, want)
		}
	}
}
