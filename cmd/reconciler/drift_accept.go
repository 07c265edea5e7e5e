package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	patch "github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/vaultfleet/reconciler/internal/accept"
	"github.com/vaultfleet/reconciler/internal/forge"
	"github.com/vaultfleet/reconciler/internal/git"
	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// accepting is one run of drift accept.
type accepting struct {
	*app
	have  string
	print bool
	yes   bool
}

func newDriftAccept(a *app) *cobra.Command {
	r := &accepting{app: a}
	cmd := &cobra.Command{
		Use:   "accept ID",
		Short: "Propose that the spec wants what drifted",
		Long: "Look at the nodes, and make the spec want what drift ID is on them: as a pull request on the fleet's\n" +
			"forge, for a person to review and merge. It changes one file, and nothing but that value. Contents of\n" +
			"files, secrets, programs, audit devices and members of raft are not accepted so; the command says what\n" +
			"to do about them.\n\n" +
			"Without a forge, or with --print, the patch is printed, and nothing is changed anywhere.",
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd.Context(), args[0]) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&r.print, "print", false, "print the patch, and propose nothing")
	flags.BoolVar(&r.yes, "yes", false, "do not ask")
	flags.StringVar(&r.have, "have", "", "with --print and --fleet: take the nodes' state from `FILE` instead of looking at them")
	return cmd
}

// check refuses what could only fail later.
func (r *accepting) check(id string) error {
	if err := r.formats("text"); err != nil {
		return err
	}
	switch {
	case !regexp.MustCompile(`^D-[0-9a-f]{8}$`).MatchString(id):
		return usage("reconciler drift tells the IDs of what drifts, as D-1f0c22ab", "%q is no ID of a drift", id)
	case r.node != "":
		return usage("leave it out", "--node cannot be accepted: a drift is accepted on all nodes that have it")
	case r.have != "" && (!r.print || r.fleet == ""):
		return usage("add --print and --fleet DIR", "what a file tells of nodes is not proposed")
	}
	return nil
}

// foundDrift is a drift, and where it was found.
type foundDrift struct {
	looked
	cluster report.Cluster
	row     diff.Drift
}

func (r *accepting) run(ctx context.Context, id string) error {
	if err := r.check(id); err != nil {
		return err
	}
	all, err := r.look(ctx, r.have)
	if err != nil {
		return err
	}
	f, err := find(all, id)
	if err != nil {
		return err
	}
	edit, err := r.edit(f)
	if err != nil {
		return fmt.Errorf("accept %s, %s of %s: %w", id, f.row.Path, f.cluster.Name, err)
	}
	if r.print || f.from.repo == nil || f.from.only.Forge.Kind == "" {
		return r.show(f, edit)
	}
	return r.propose(ctx, f, edit)
}

// find looks for a drift by its ID; the same may be open on some nodes, and waived or
// pending on others.
func find(all []looked, id string) (foundDrift, error) {
	var open []string
	var unseen int
	var closed *foundDrift
	for _, l := range all {
		for _, c := range l.clusters {
			if c.Err != nil {
				unseen += c.Nodes
			}
			unseen += len(c.Drift.Unobserved)
			for _, row := range c.Drift.Rows {
				switch {
				case row.ID == id && row.Open():
					return foundDrift{l, c, row}, nil
				case row.ID == id:
					closed = &foundDrift{l, c, row}
				case row.Open():
					open = append(open, fmt.Sprintf("%s (%s %s)", row.ID, c.Name, row.Path))
				}
			}
		}
	}
	if closed != nil {
		return *closed, nil
	}
	slices.Sort(open)
	hint := "nothing drifts"
	if len(open) > 0 {
		hint = "open are: " + strings.Join(open, ", ")
	}
	if unseen > 0 {
		hint += "; not everything could be read"
	}
	return foundDrift{}, usage(hint, "there is no drift %s", id)
}

// edit makes the spec want what drifted.
func (r *accepting) edit(f foundDrift) (accept.Edit, error) {
	tree, err := r.tree(f)
	if err != nil {
		return accept.Edit{}, err
	}
	h, there, err := r.hostIfAny()
	if err != nil {
		return accept.Edit{}, err
	}
	edit, err := accept.Drift(tree, func(tree fs.FS) desired.Fleet {
		fleet := desired.Load(tree, loadOptions())
		if there {
			fleet = h.judged(fleet)
		}
		return fleet
	}, f.cluster.Name, f.row)
	if read, ok := tree.(*git.Tree); ok && read.Err() != nil {
		return edit, read.Err() // it says nothing about the commit
	}
	return edit, err
}

// tree is the fleet at the commit that is in force for the cluster.
func (r *accepting) tree(f foundDrift) (fs.FS, error) {
	if f.from.repo == nil {
		return openFolder(r.fleet)
	}
	return f.from.repo.At(f.cluster.Plan.Commit)
}

// inRepo is where a file of the fleet lies in the repository.
func (f foundDrift) inRepo(file string) string { return path.Join(f.from.only.Path, file) }

// show prints the patch, and where to commit it.
func (r *accepting) show(f foundDrift, edit accept.Edit) error {
	if err := r.patch(f, edit); err != nil {
		return err
	}
	where := "on a branch from " + f.source.Branch
	if f.source.Folder != "" {
		where = "in the repository of " + f.source.Folder
	}
	r.say("\nNothing was changed. Commit it %s, as `git apply` takes it, and have it reviewed.", where)
	return nil
}

func (r *accepting) patch(f foundDrift, edit accept.Edit) error {
	file := f.inRepo(edit.File)
	for _, w := range edit.Warnings {
		fmt.Fprintf(r.stderr, "reconciler: warning: %s\n", w)
	}
	_, err := r.stdout.Write(patch.Diff("a/"+file, edit.Before, "b/"+file, edit.After))
	return err
}

// propose opens a pull request, unless there is one.
func (r *accepting) propose(ctx context.Context, f foundDrift, edit accept.Edit) error {
	client, err := forgeOf(f.from.only.Forge)
	if err != nil {
		return err
	}
	branch, onto := "reconciler/accept-"+f.row.ID, f.from.only.Branch
	open, there, err := client.PullFrom(ctx, onto, branch)
	if err != nil {
		return err
	}
	if there {
		_, err := fmt.Fprintf(r.stdout, "It is proposed already: %s\n", pageOf(open))
		return err
	}
	if !r.yes && !isTerminal(r.stdin) {
		return usage("add --yes, once you have read the patch of --print", "nobody can be asked: standard input is no terminal")
	}
	if err := r.patch(f, edit); err != nil {
		return err
	}
	if !r.yes {
		fmt.Fprintf(r.stdout, "\nPropose this as a pull request against %s of %s? Only yes will do: ", onto, f.from.only.Forge.Project)
		if answer, err := r.answer(ctx); err != nil || answer != "yes" {
			r.say("Nothing was proposed.")
			return err
		}
	}
	pull, err := send(ctx, client, f, edit, branch, onto)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(r.stdout, "Proposed: %s\n", pageOf(pull))
	return err
}

// pageOf is the address of a pull request, as the forge tells it, without what would
// steer a terminal.
func pageOf(p forge.Pull) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, p.URL)
}

// send makes the branch, and then the pull request.
func send(ctx context.Context, client forge.Client, f foundDrift, edit accept.Edit, branch, onto string) (forge.Pull, error) {
	about := report.Acceptance{Cluster: f.cluster.Name, Drift: f.row, Commit: f.cluster.Plan.Commit, File: edit.File, By: who(), Warnings: edit.Warnings, Now: f.now}
	var body bytes.Buffer
	if err := about.Markdown(&body); err != nil {
		return forge.Pull{}, err
	}
	err := client.CommitFile(ctx, forge.Change{Branch: branch, Base: f.cluster.Plan.Commit, Path: f.inRepo(edit.File), Was: edit.Before, Is: edit.After, Message: about.Title()})
	if errors.Is(err, forge.ErrExists) {
		return forge.Pull{}, &exitError{code: exitFailed, err: err, hint: "no pull request of it is open: delete the branch " + branch + " on the forge, or open one from it"}
	}
	if err != nil {
		return forge.Pull{}, err
	}
	pull, err := client.OpenPull(ctx, forge.Request{Title: about.Title(), Body: body.String(), Branch: branch, Base: onto})
	if err != nil {
		return pull, &exitError{code: exitFailed, err: err, hint: "the branch " + branch + " is there: open a pull request from it on the forge, or delete it"}
	}
	return pull, nil
}
