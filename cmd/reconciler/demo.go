package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	goversion "github.com/hashicorp/go-version"
	"github.com/spf13/cobra"

	"github.com/vaultfleet/reconciler/internal/demo"
	"github.com/vaultfleet/reconciler/internal/embed"
)

func newDemo(a *app) *cobra.Command {
	d := &demonstration{app: a}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch a fleet of three being born, changed, damaged, healed and protected, on this machine",
		Long: "Play the whole story on this machine, with nothing installed and without root: three nodes on loopback,\n" +
			"each with an SSH server and a systemd of its own, a fleet repo, a release mirror, and Vault simulators\n" +
			"(not Vault). The nodes are reached, probed and changed by the same code as real ones. Every claim is\n" +
			"checked; one that does not hold ends the story with exit code 1.\n\n" +
			"With --vault or --download the servers are Vault: local processes, confined to their node's folder,\n" +
			"which needs root or user namespaces. Given twice, the story upgrades from the older to the newer.\n\n" +
			"Everything is in one folder and ends with the story. With --keep the fleet stays until Ctrl-C.",
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return d.play(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&d.keep, "keep", false, "leave the fleet running after the story, to play with, until Ctrl-C")
	flags.BoolVar(&d.fast, "fast", false, "no pauses to read in")
	flags.StringArrayVar(&d.vaults, "vault", nil, "`PATH` of a Vault binary to play it with; may be given twice")
	flags.StringArrayVar(&d.downloads, "download", nil, "`VERSION` of Vault to download, verify and play it with; may be given twice")
	flags.StringVar(&d.source, "source", "https://releases.hashicorp.com", "`URL` of a mirror to download from, laid out like releases.hashicorp.com")
	flags.StringArrayVar(&d.keys, "release-key", nil, "`FILE` with an armored key whose signature counts beside HashiCorp's; may be repeated")
	return cmd
}

// demonstration is one run of the demo.
type demonstration struct {
	*app
	keep, fast bool
	styled     bool
	vaults     []string
	downloads  []string
	source     string
	keys       []string
}

const (
	// watch is how long a simulated Vault watches a new server before it votes;
	// Vault takes 10 seconds.
	watch = 2 * time.Second
	// reading is the time to read between two acts.
	reading = 2 * time.Second
)

func (d *demonstration) play(ctx context.Context) (err error) {
	if err := d.possible(); err != nil {
		return err
	}
	releases, err := d.releases(ctx)
	if err != nil {
		return err
	}
	syscall.Umask(0o022)                 // what runs on the machines inherits it, and has another one on a host
	if !signal.Ignored(syscall.SIGHUP) { // nohup
		var stop func()
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGHUP) // a terminal that is closed must leave nothing behind either
		defer stop()
	}
	ctx, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	d.styled = d.colored(d.stdout)
	d.stdout = &heard{d.stdout, lost}
	// With somebody notified, a write to a pipe that nobody reads is an error instead
	// of the end. Ignored, it would be for everything that runs on the nodes as well.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	dir, err := os.MkdirTemp("", "reconciler-demo-")
	if err != nil {
		return fmt.Errorf("make a folder for the demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	options := demo.Options{Dir: dir, Watch: watch}
	what := "Vault simulator, not Vault"
	if d.real() {
		options.Vault, options.Watch, what = true, 0, "Vault as local processes"
	}
	if len(d.downloads) > 0 {
		options.Source, options.Keys = d.source, d.keys
	}
	stage, err := demo.NewStage(options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stage.Close()) }()
	d.say("%s: three machines are made in %s.", what, dir)
	for _, n := range stage.Fleet.Nodes {
		d.say("  %s is %s", n.Name, n.Address)
	}
	for _, r := range releases {
		if err := r.supply(stage); err != nil {
			return fmt.Errorf("lay out Vault %s: %w", r.version, err)
		}
	}
	return d.tell(ctx, stage, releases)
}

// heard is an output whose loss ends the story.
type heard struct {
	io.Writer
	lost context.CancelCauseFunc
}

func (h *heard) Write(p []byte) (int, error) {
	n, err := h.Writer.Write(p)
	if err != nil {
		h.lost(fmt.Errorf("nobody reads any more: %w: %w", err, context.Canceled))
	}
	return n, err
}

// real says that the servers are Vault.
func (d *demonstration) real() bool { return len(d.vaults)+len(d.downloads) > 0 }

// possible refuses what cannot be played, or not here.
func (d *demonstration) possible() error {
	if err := d.formats("text"); err != nil {
		return err
	}
	switch {
	case runtime.GOOS != "linux":
		return &exitError{code: exitFailed, err: errors.New("the demo's nodes are Linux hosts, and this is none"),
			hint: "run it in a Linux machine or container with Go: go run ./cmd/reconciler demo"}
	case len(d.vaults) > 0 && len(d.downloads) > 0:
		return usage("give one of them, or the other", "--vault and --download do not go together")
	case len(d.vaults) > 2 || len(d.downloads) > 2:
		return usage("give an older version and a newer one", "the story is about two versions at most")
	}
	if err := lives(os.TempDir()); err != nil {
		return err
	}
	if err := embed.Tools(); err != nil {
		return &exitError{code: exitFailed, err: err,
			hint: "install GNU coreutils, findutils, sed and grep, an awk, util-linux and procps: in Debian and Alpine, coreutils findutils sed grep gawk util-linux procps"}
	}
	if !d.real() {
		return nil
	}
	if err := embed.Confines(); err != nil {
		return &exitError{code: exitFailed, err: fmt.Errorf("confine Vault to the folder of its node: %w", err),
			hint: "run it as root, or allow user namespaces: sysctl kernel.unprivileged_userns_clone=1 (Debian), kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu)"}
	}
	return nil
}

// lives refuses a temporary folder that the demo's machines cannot live in.
func lives(dir string) error {
	refused := func(why error, hint string) error {
		return &exitError{code: exitFailed, err: fmt.Errorf("the demo's machines cannot live in %s: %w", dir, why), hint: hint}
	}
	if !filepath.IsAbs(dir) || strings.ContainsFunc(dir, isOdd) || len(dir) > temporaryMost {
		return refused(errors.New("its path is not one for shells and sockets"), "set TMPDIR to a folder with a short path of letters, digits, . _ and -, such as /tmp")
	}
	if err := embed.Reachable(dir); err != nil {
		return refused(err, "as root, the machines run as the user nobody: set TMPDIR to a folder that everybody may enter, such as /tmp")
	}
	if err := embed.Executes(dir); err != nil {
		return refused(err, "set TMPDIR to a folder that you may write to and that is not mounted noexec, such as /var/tmp")
	}
	return nil
}

// temporaryMost is how long the path of the temporary folder may be: the names of
// sockets below it end at 108 bytes.
const temporaryMost = 50

// isOdd says that a shell or a unit file would have to quote a letter of a path.
func isOdd(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-", r))
}

// supplied is a version for the story, and how the stage's source comes to have
// it.
type supplied struct {
	version string
	supply  func(*demo.Stage) error
}

// releases are the versions of the story, the older first.
func (d *demonstration) releases(ctx context.Context) ([]supplied, error) {
	var found []supplied
	for _, path := range d.vaults {
		path, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		version, err := versionOf(ctx, path)
		if err != nil {
			return nil, err
		}
		found = append(found, supplied{version, func(s *demo.Stage) error { return s.Release(version, path) }})
	}
	for _, version := range d.downloads {
		found = append(found, supplied{version, func(*demo.Stage) error { return nil }})
	}
	if len(found) == 0 {
		for _, version := range []string{"1.21.0", "1.21.1"} {
			found = append(found, supplied{version, func(s *demo.Stage) error { return s.Simulate(version) }})
		}
	}
	for _, f := range found {
		v, err := goversion.NewVersion(f.version)
		if err != nil || v.Segments()[0] != 1 {
			return nil, usage("give a version such as 1.21.0; from 2.0 on a person's root token needs another one first", "the story is about Vault 1, not %q", f.version)
		}
	}
	slices.SortFunc(found, func(a, b supplied) int {
		return goversion.Must(goversion.NewVersion(a.version)).Compare(goversion.Must(goversion.NewVersion(b.version)))
	})
	return found, nil
}

var vaultVersion = regexp.MustCompile(`^Vault v([0-9][0-9A-Za-z.+-]*)`)

// versionOf asks a binary.
func versionOf(ctx context.Context, path string) (string, error) {
	out, err := exec.CommandContext(ctx, path, "version").Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", path, err)
	}
	found := vaultVersion.FindSubmatch(out)
	if found == nil {
		return "", fmt.Errorf("%s is not Vault: its version is %.80q", path, out)
	}
	return string(found[1]), nil
}

func (d *demonstration) tell(ctx context.Context, stage *demo.Stage, releases []supplied) error {
	how := demo.Telling{Command: d.command, Out: d.stdout, Styled: d.styled, Pause: reading,
		Older: releases[0].version, Newer: releases[len(releases)-1].version}
	if d.fast {
		how.Pause = 0
	}
	began := time.Now()
	if err := demo.Tell(ctx, stage, how); err != nil {
		if d.keep && ctx.Err() == nil {
			d.say("\nThe story ended early: %v\nThe fleet runs in %s until Ctrl-C, for you to look into it.", err, stage.Dir)
			<-ctx.Done()
		}
		return err
	}
	d.say("\nThat was the story, in %.0f seconds. Every ✓ was checked.", time.Since(began).Seconds())
	if err := d.next(stage); err != nil {
		return err
	}
	if d.keep {
		<-ctx.Done()
	}
	return nil
}

// command runs a command line of the product, in this very program.
func (d *demonstration) command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot(&app{stdin: strings.NewReader(""), stdout: stdout, stderr: stderr})
	root.SetArgs(args)
	return exitCode(root.ExecuteContext(ctx), stderr)
}

// called is how a person calls this program: go run builds it in a folder that is
// gone when it ends.
func called(program string) string {
	if strings.Contains(program, "/go-build") {
		return "go run ./cmd/reconciler"
	}
	return program
}

// next says what to try. What is indented is for a shell, line by line.
func (d *demonstration) next(s *demo.Stage) error {
	if !d.keep {
		d.say("\nNext: %s demo --keep leaves the fleet running to play with. README.md begins with your own.", called(os.Args[0]))
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	program := filepath.Join(s.Dir, "reconciler") // a name that no shell takes apart
	if err := os.Symlink(self, program); err != nil {
		return err
	}
	n := s.Fleet.Nodes[1]
	d.say("\nThe fleet runs until Ctrl-C. In another shell:\n")
	d.say("  alias r='%s --config %s'", program, s.Config)
	d.say("  cd %s", s.Repo)
	d.say("\nCommit something, and see what comes of it:\n")
	d.say("  sed -i 's/log_level: debug/log_level: info/' environments/production.yaml")
	d.say("  git commit -am 'Log less'")
	d.say("  r plan\n  r apply\n  r status")
	d.say("\nStop a Vault by hand, and ask why it is left alone. The files of %s are in %s.\n", n.Name, n.Root)
	d.say("  ssh -i %s -o IdentitiesOnly=yes -o UserKnownHostsFile=%s -p %d %s@%s 'systemctl stop vault'",
		filepath.Join(s.Dir, "ssh.key"), filepath.Join(s.Dir, "known_hosts"), embed.Port, embed.Account, n.Address)
	d.say("  r why %s", demo.Cluster)
	d.say("\nLet the daemon follow the branch, until Ctrl-C:\n")
	d.say("  r run")
	return nil
}
