package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultfleet/reconciler/internal/demo"
)

func newDemo(a *app) *cobra.Command {
	d := &demonstration{app: a}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch a fleet of three being born, changed, damaged, healed and protected, on this machine",
		Long: "Play the whole story on this machine, with nothing installed and without root: three nodes on loopback,\n" +
			"each with an SSH server and a systemd of its own, a fleet repo, a release mirror, and Vault simulators\n" +
			"(not Vault). The nodes are reached, probed and changed by the same code as real ones. Every claim is\n" +
			"looked up on the nodes; one that does not hold ends the story with exit code 1.\n\n" +
			"Everything is in one folder and ends with the story. With --keep the fleet stays until Ctrl-C.",
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return d.play(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&d.keep, "keep", false, "leave the fleet running after the story, to play with, until Ctrl-C")
	cmd.Flags().BoolVar(&d.fast, "fast", false, "no pauses to read in")
	return cmd
}

// demonstration is one run of the demo.
type demonstration struct {
	*app
	keep, fast bool
}

func (d *demonstration) play(ctx context.Context) (err error) {
	if err := d.formats("text"); err != nil {
		return err
	}
	if runtime.GOOS != "linux" {
		return &exitError{code: exitFailed, err: errors.New("the demo's nodes are Linux hosts, and this is none"),
			hint: "run it in a Linux machine or container with Go: go run ./cmd/reconciler demo"}
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP) // a terminal that is closed must leave nothing behind either
	defer stop()
	dir, err := os.MkdirTemp("", "reconciler-demo-")
	if err != nil {
		return fmt.Errorf("make a folder for the demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	stage, err := demo.NewStage(demo.Options{Dir: dir, Watch: watch})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stage.Close()) }()
	d.say("Vault simulator, not Vault: three machines are made in %s.", dir)
	for _, n := range stage.Fleet.Nodes {
		d.say("  %s is %s", n.Name, n.Address)
	}
	how := demo.Telling{Command: d.command, Out: d.stdout, Styled: d.colored(d.stdout), Pause: reading, Older: "1.21.0", Newer: "1.21.1"}
	if d.fast {
		how.Pause = 0
	}
	began := time.Now()
	if err := demo.Tell(ctx, stage, how); err != nil {
		if d.keep && ctx.Err() == nil {
			fmt.Fprintf(d.stderr, "reconciler: error: %v\nreconciler: hint: the fleet runs in %s until Ctrl-C, for you to look into it\n", err, dir)
			<-ctx.Done()
		}
		return err
	}
	d.say("\nThat was the story, in %.0f seconds. Every ✓ was looked up on the nodes.", time.Since(began).Seconds())
	d.next(stage)
	if d.keep {
		<-ctx.Done()
	}
	return nil
}

const (
	// watch is how long a simulated Vault watches a new server before it votes;
	// Vault takes 10 seconds.
	watch = 2 * time.Second
	// reading is the time to read between two acts.
	reading = 2 * time.Second
)

// command runs a command line of the product, in this very program.
func (d *demonstration) command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot(&app{stdin: strings.NewReader(""), stdout: stdout, stderr: stderr})
	root.SetArgs(args)
	return exitCode(root.ExecuteContext(ctx), stderr)
}

// next says what to try.
func (d *demonstration) next(s *demo.Stage) {
	if !d.keep {
		d.say("\nNext: reconciler demo --keep leaves the fleet running to play with. README.md begins with your own.")
		return
	}
	n := s.Fleet.Nodes[1]
	d.say("\nThe fleet runs until Ctrl-C. In another shell:\n")
	d.say("  alias r='%s --config %s'", filepath.Join(s.Dir, "nodes", "reconciler"), s.Config)
	d.say("  cd %s     # edit, git commit -am …: the reconciler follows this branch", s.Repo)
	d.say("  r plan; r apply; r status; r why %s; r run", demo.Cluster)
	d.say("  ssh -i %s -o UserKnownHostsFile=%s -p %d reconciler@%s 'systemctl stop vault'", filepath.Join(s.Dir, "ssh.key"), filepath.Join(s.Dir, "known_hosts"), 2222, n.Address)
	d.say("  the files of %s are in %s", n.Name, n.Root)
}
