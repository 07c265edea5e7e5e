package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultfleet/reconciler/internal/admission"
	"github.com/vaultfleet/reconciler/internal/git"
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/internal/settings"
	"github.com/vaultfleet/reconciler/internal/signature"
)

// branch is a branch that is followed: our clone of it, and which of its commits
// may be acted on.
type branch struct {
	*git.Repo
	dir  string // of the clone, and of what is kept beside it
	name string
	of   string // its fleet, as the history has it
	gate admission.Gate
}

// openBranch opens our clone of a repo. The repo itself is not contacted.
func (a *app) openBranch(ctx context.Context, h host, followed settings.Fleet) (branch, error) {
	if err := h.ownState(); err != nil {
		return branch{}, err
	}
	server, err := serverOf(followed)
	if err != nil {
		return branch{}, err
	}
	if _, err := signersOf(followed.Signatures); err != nil { // said at the start, not at the first commit
		return branch{}, err
	}
	remote := git.Remote{URL: followed.Repo, Branch: followed.Branch, Path: followed.Path, Server: server}
	dir := clone(h.settings.State, remote)
	repo, err := git.Open(ctx, dir, remote)
	if err != nil {
		return branch{}, err
	}
	verify, err := verifier(repo, followed)
	return branch{repo, dir, followed.Branch, followed.Words(), admission.Gate{File: filepath.Join(dir, "admitted"), History: repo,
		Policy: admission.Policy(followed.Signatures.Policy), Verify: verify}}, err
}

// verifier checks a commit as the policy asks.
func verifier(repo *git.Repo, followed settings.Fleet) (func(ctx context.Context, id string, object []byte) error, error) {
	if admission.Policy(followed.Signatures.Policy) == admission.Forge {
		judge, err := judgeOf(repo, followed)
		if err != nil {
			return nil, err
		}
		return judge.Verify, nil
	}
	signed := signedBy(followed.Signatures)
	return func(_ context.Context, _ string, object []byte) error { return signed(object) }, nil
}

// signedBy says why a commit is not signed by who may. Their files are read for each, so
// that a signer who is added or taken out counts at once.
func signedBy(s settings.Signatures) func(object []byte) error {
	return func(object []byte) error {
		signers, err := signersOf(s)
		if err != nil {
			return err
		}
		_, err = signers.Verify(object, time.Now())
		return err
	}
}

// signersOf are whose signatures count.
func signersOf(s settings.Signatures) (signature.Signers, error) {
	allowed, keys, forgeKeys, err := s.Contents()
	if err != nil {
		return signature.Signers{}, err
	}
	var all signature.Signers
	for _, text := range allowed {
		if all, err = signature.ParseAllowedSigners(text, time.Local); err != nil {
			return all, fmt.Errorf("%s: %w", s.AllowedSigners, err)
		}
	}
	for _, files := range []struct {
		names []string
		texts [][]byte
		parse func([]byte) (signature.Signers, error)
	}{{s.Keys, keys, signature.ParseKeyring}, {s.ForgeKeys, forgeKeys, signature.ParseKeys}} {
		for i, text := range files.texts {
			more, err := files.parse(text)
			if err != nil {
				return all, fmt.Errorf("%s: %w", files.names[i], err)
			}
			all = all.And(more)
		}
	}
	return all, nil
}

// clone is the folder of a remote's clone.
func clone(state string, r git.Remote) string {
	sum := sha256.Sum256([]byte(r.URL + "\x00" + r.Branch + "\x00" + r.Path))
	return filepath.Join(state, "git", hex.EncodeToString(sum[:8]))
}

// poll asks the repo, and says which commit may be acted on.
func (b branch) poll(ctx context.Context) (commit string, held error, err error) {
	newest, err := b.Fetch(ctx)
	if err != nil {
		return "", nil, err
	}
	commit, why, err := b.gate.Admit(ctx, newest)
	if why != nil {
		held = fmt.Errorf("%w; %s", why, liftOf(why))
	}
	return commit, held, err
}

// last is the commit that was admitted last; false: none was.
func (b branch) last() (string, bool, error) {
	commit, err := b.gate.Last()
	return commit, commit != "", err
}

// newest is the commit to act on, or, where the repo cannot be reached, the one
// that was admitted last: an outage of git must not stop a repair.
func (a *app) newest(ctx context.Context, b branch) (string, error) {
	commit, held, err := b.poll(ctx)
	if err != nil {
		last, ok, other := b.last()
		if other != nil || !ok {
			return "", err
		}
		fmt.Fprintf(a.stderr, "reconciler: warning: %v; going on with the commit that was fetched last\n", err)
		return last, nil
	}
	if held != nil {
		if commit == "" {
			return "", held
		}
		a.held = held
		fmt.Fprintf(a.stderr, "reconciler: warning: %v\n", held)
	}
	return commit, nil
}

// liftOf is what ends it that a commit is held.
func liftOf(held *admission.HeldError) string {
	if held.Rewind {
		return fmt.Sprintf("push the branch forward from where it was; or, if this is meant: reconciler approve-rewind %.12s --reason WHY", held.Newest)
	}
	if hint := hintOf(held.Err); hint != "" {
		return hint
	}
	return "put a commit on the branch that is signed by somebody who may, and leave out those that are not"
}

func newApproveRewind(a *app) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "approve-rewind COMMIT",
		Short: "Let the branch go back to a commit that it was rewound or force-pushed to",
		Long: "A branch that does not move forward from the commit that is in force is held. This lets it go to the\n" +
			"commit that it stands at now, which has to be named: by its full ID, or at least 12 digits of it.\n" +
			"Its signatures are asked for all the same. A daemon follows it at its next poll.",
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return usage(`add --reason "why"`, "a rewind needs a reason: somebody will ask why a commit was taken back")
			}
			return a.approveRewind(cmd.Context(), args[0], reason)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for whoever reads it later")
	return cmd
}

// shortest is how many digits name a commit.
const shortest = 12

func (a *app) approveRewind(ctx context.Context, commit, reason string) error {
	h, err := a.host()
	if err != nil {
		return err
	}
	followed, err := a.followed(h)
	if err != nil {
		return err
	}
	b, newest, err := a.standsAt(ctx, h, followed, commit)
	if err != nil {
		return err
	}
	word := admission.Rewind{By: who(), Reason: reason, At: time.Now().UTC()}
	if err := b.gate.Approve(ctx, newest, word); err != nil {
		return err
	}
	past := a.writes(h)
	defer past.Close()
	e := did(report.WordRewind, reason)
	e.Commit = newest
	past.Did(b.of, e)
	a.say("Approved by %s: %s may go back to %.12s.", word.By, b.name, newest)
	return nil
}

// standsAt is the branch that stands at the commit that a person named, by enough
// of its digits.
func (a *app) standsAt(ctx context.Context, h host, followed []settings.Fleet, commit string) (b branch, newest string, err error) {
	var others []error
	for _, f := range followed {
		if b, err = a.openBranch(ctx, h, f); err == nil {
			newest, err = b.Fetch(ctx)
		}
		if err == nil {
			if len(commit) >= shortest && len(commit) <= len(newest) && newest[:len(commit)] == commit {
				return b, newest, nil
			}
			err = usage("name it, if that is meant", "%s of %s stands at %s, and not at %q", f.Branch, f.Repo, newest, commit)
		}
		others = append(others, err)
	}
	for _, other := range others[:len(others)-1] {
		fmt.Fprintf(a.stderr, "reconciler: error: %v\n", other)
	}
	return branch{}, "", err
}
