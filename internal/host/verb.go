package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/apply"
)

// Exit codes of the node script; with all of these nothing was done.
const (
	exitUsage      = 64
	exitContent    = 65
	exitBusy       = 75
	exitFenced     = 76
	exitNotAllowed = 77
	exitHeld       = 79
	// exitMissing is the login shell's, for a script that is not there.
	exitMissing = 127
)

// verbTime is how long a verb may take where its caller sets no deadline:
// longer than systemd gives a Vault to stop (120 s) and its process to be gone.
const verbTime = 10 * time.Minute

const verbCap = 1 << 20 // bytes of an answer

// Fence is what every change carries: nothing older than Epoch, and nobody but
// Holder, may change the node afterwards. Op names the operation in the node's
// own record. Holder must be the same over restarts of a reconciler.
type Fence struct {
	Epoch  uint64
	Holder string
	Op     string
}

// FencedError says that a node obeys somebody else, or this installation at a
// later time than its state folder knows of. Nothing was done.
type FencedError struct {
	Cluster string
	Node    string
	Epoch   uint64 // that the node saw
	Holder  string
	Past    uint64 // the epoch that was sent, where Holder is we ourselves; 0: it is another one
}

func (e *FencedError) Error() string {
	if e.Past > 0 {
		return fmt.Sprintf("%s obeys epoch %d of this very installation, whose state folder is at %d: the folder is older than the node (restored from a backup?); reconciler takeover %s goes on from what the nodes know",
			e.Node, e.Epoch, e.Past, e.Cluster)
	}
	return fmt.Sprintf("%s obeys epoch %d of installation %s; once that one is stopped for good: reconciler takeover %s", e.Node, e.Epoch, e.Holder, e.Cluster)
}

// Unwrap makes it an [apply.ErrRefused].
func (e *FencedError) Unwrap() error { return apply.ErrRefused }

// Busy says who acts there, and what to do about it.
func (e *FencedError) Busy() string { return e.Error() }

// Node is one node to act on.
type Node struct {
	host   *Host
	target actual.Target
}

// Node is the node of a target.
func (h *Host) Node(t actual.Target) *Node { return &Node{h, t} }

// Verb runs one verb of the node script under a fence, as root, and returns what
// it printed. The script is installed first where that is allowed and needed.
// Verbs that begin with "vault-" are told the path of the node's vault binary
// before args. Secrets belong into stdin, never into args. An error that wraps
// [apply.ErrRefused] means that nothing was done; any other that nobody knows.
func (n *Node) Verb(ctx context.Context, fence Fence, verb string, args []string, stdin io.Reader) ([]byte, error) {
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, verbTime)
		defer cancel()
	}
	conn, err := n.host.connect(ctx, n.target)
	if err != nil {
		return nil, n.refused(verb, err)
	}
	if err := n.equip(ctx, conn, verb, fence); err != nil {
		return nil, err
	}
	words := []string{verb, strconv.FormatUint(fence.Epoch, 10), fence.Holder, fence.Op}
	if strings.HasPrefix(verb, "vault-") {
		words = append(words, n.target.BinaryPath)
	}
	out, err := conn.Run(ctx, rungInstalled.command(n.target.User, append(words, args...)), stdin, verbCap)
	if err != nil {
		return nil, fmt.Errorf("%s on %s: %w", verb, n.target.Node, err)
	}
	return out.Stdout, n.judge(verb, fence, out)
}

// equip makes sure that the node has a script that this release can work with:
// its own, or one of the same protocol where only the operator may replace it.
// A takeover works with what is there: the node does not obey us before it.
func (n *Node) equip(ctx context.Context, conn Conn, verb string, fence Fence) error {
	s := n.host.standing(n.target)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.script == scriptDigest() {
		return nil
	}
	facts, _, err := n.host.ask(ctx, conn, n.target, s, "probe", nil, probeTime)
	if err != nil {
		return n.refused("probe", err)
	}
	s.script = newReading(n.target, facts).machineSection().Script
	if s.script == scriptDigest() || verb == "takeover" && s.script != "" && n.speaks(ctx, conn) {
		return nil
	}
	if n.host.Enforced != nil && n.host.Enforced(n.target) {
		err = n.install(ctx, conn, fence)
		if err == nil {
			s.script, s.rung, s.until = scriptDigest(), rungInstalled, time.Time{}
			return nil
		}
		var fenced *FencedError
		if errors.As(err, &fenced) {
			return err
		}
	}
	if s.script != "" && n.speaks(ctx, conn) {
		return nil
	}
	if err == nil {
		err = errors.New("the node script is not installed")
	}
	return n.refused("install the node script", fmt.Errorf("%w; put it at %s as root, and grant the account %s", err, ScriptPath, SudoersLine))
}

// install sends the script to itself: the text that arrives on standard input is
// put in place by the same text, running from the command.
func (n *Node) install(ctx context.Context, conn Conn, fence Fence) error {
	words := []string{"install-script", strconv.FormatUint(fence.Epoch, 10), fence.Holder, fence.Op, strings.TrimPrefix(scriptDigest(), "sha256:")}
	sudo := "sudo -n "
	if n.target.User == "root" {
		sudo = ""
	}
	out, err := conn.Run(ctx, sudo+"/bin/sh -c "+quote(script)+" reconciler-node"+quoted(words), strings.NewReader(script), verbCap)
	if err != nil {
		return fmt.Errorf("install the node script on %s: %w", n.target.Node, err)
	}
	return n.judge("install the node script", fence, out)
}

// speaks says that the installed script, of another release, is one whose verbs
// we know.
func (n *Node) speaks(ctx context.Context, conn Conn) bool {
	out, err := conn.Run(ctx, rungInstalled.command(n.target.User, []string{"about"}), nil, 4096)
	return err == nil && out.Exit == 0 && string(bytes.TrimSpace(out.Stdout)) == "protocol 1"
}

// judge makes an error of an exit code.
func (n *Node) judge(verb string, fence Fence, out Output) error {
	said := firstLine(bytes.TrimPrefix(out.Stderr, []byte("reconciler-node: ")))
	switch out.Exit {
	case 0:
		return nil
	case exitFenced:
		return n.fenced(fence, out)
	case exitUsage, exitContent, exitBusy, exitNotAllowed, exitHeld, exitMissing:
		return n.refused(verb, errors.New(said))
	}
	if bytes.HasPrefix(out.Stderr, []byte("sudo: ")) {
		return n.refused(verb, errors.New(refusal(out)))
	}
	return fmt.Errorf("%s on %s: exit code %d: %s", verb, n.target.Node, out.Exit, clean(string(bytes.TrimSpace(out.Stderr)), 800))
}

// fenced reads "fenced EPOCH HOLDER".
func (n *Node) fenced(fence Fence, out Output) error {
	e := &FencedError{Cluster: n.target.Cluster, Node: n.target.Node, Holder: "somebody else"}
	for line := range strings.Lines(string(out.Stdout)) {
		if words := strings.Fields(line); len(words) == 3 && words[0] == "fenced" {
			e.Epoch, _ = strconv.ParseUint(words[1], 10, 63)
			e.Holder = clean(words[2], 256)
		}
	}
	if e.Holder == fence.Holder && e.Epoch > fence.Epoch {
		e.Past = fence.Epoch
	}
	return e
}

func (n *Node) refused(what string, err error) error {
	return fmt.Errorf("%s on %s: %w: %w", what, n.target.Node, err, apply.ErrRefused)
}
