package git

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/vaultfleet/reconciler/internal/lease/flock"
)

// What somebody proposes was written by whoever can open a pull request. It is
// fetched into a repository beside the clone, which borrows what the clone has and
// is gone once it was read: nothing of it ever is in the clone, and a fetch of the
// branch never waits for it.

// ErrGone says that a server does not give a commit any more, which it named a
// moment ago: there is a newer one.
var ErrGone = errors.New("the commit is not there any more")

// ConflictError says that a merge needs a person.
type ConflictError struct {
	Files []string // below the fleet's folder, sorted
}

// UnfitError says that a merge gives what cannot be a fleet: a symbolic link, too many
// files, a history of its own; or that what was proposed is too large to be looked at.
type UnfitError struct {
	Err   error
	Large bool // which it is whatever it is merged into
}

func (e *UnfitError) Error() string { return e.Err.Error() }
func (e *UnfitError) Unwrap() error { return e.Err }

func (e *ConflictError) Error() string { return "both sides changed " + strings.Join(e.Files, ", ") }

// proposedLimits are what a stranger may send.
func proposedLimits() limits {
	l := defaultLimits()
	l.Pack, l.Object, l.Objects = 64<<20, 16<<20, 256<<20
	return l
}

// proposedWithin bounds the fetch of a proposed commit.
const proposedWithin = 2 * time.Minute

// Merge is what merging a proposed commit gives.
type Merge struct {
	tree    *Tree
	changed []string
	end     func() error
}

// Tree is the fleet's folder after the merge.
func (m *Merge) Tree() *Tree { return m.tree }

// Changed are the files below the fleet's folder that differ from the base, sorted.
func (m *Merge) Changed() []string { return m.changed }

// Close lets go of what was fetched. The trees cannot be read after it.
func (m *Merge) Close() error { return m.end() }

// Merge fetches a proposed commit and merges it into another one that the clone
// has, as git does without looking for renames, or not at all: an error is [ErrGone], a
// [ConflictError], an [UnfitError], or of the world, which a server is that leaves
// objects out. Of several best common ancestors one is taken. Merges of one repo wait
// for each other.
func (r *Repo) Merge(ctx context.Context, base, head string) (*Merge, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, proposedWithin, fmt.Errorf("it took longer than %v", proposedWithin))
	defer cancel()
	var m *Merge
	end, err := r.merging(ctx, base, head, func(g *merger, root, before plumbing.Hash) (err error) {
		m, err = g.made(root, before)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("merge %.12s into %.12s of the fleet repo: %w", head, base, err)
	}
	m.end = end
	return m, nil
}

// merging merges a head into a base and hands the merged folder on, and that of the
// base. Until the end nobody else merges in this repo, and what was fetched is there.
func (r *Repo) merging(ctx context.Context, base, head string, do func(g *merger, root, before plumbing.Hash) error) (end func() error, err error) {
	into, err := parseHash(base)
	if err != nil {
		return nil, err
	}
	proposed, err := parseHash(head)
	if err != nil {
		return nil, err
	}
	lock, err := flock.Wait(ctx, r.file("proposed.lock"))
	if err != nil {
		return nil, err
	}
	objects, away, err := r.borrow(ctx, proposed)
	close := func() error {
		defer lock.Unlock()
		return away()
	}
	whole := false
	defer func() {
		if !whole { // also where something panics
			err = errors.Join(blamed(err), close())
		}
	}()
	if err != nil {
		return nil, err
	}
	g := newMerger(ctx, objects, r.limits)
	root, before, err := g.roots(into, proposed, r.remote.folder())
	switch {
	case err != nil:
		return nil, err
	case len(g.conflicts) > 0:
		slices.Sort(g.conflicts)
		return nil, &ConflictError{g.conflicts}
	}
	if err := do(g, root, before); err != nil {
		return nil, err
	}
	whole = true
	return close, nil
}

// made is a merge as it can be read.
func (g *merger) made(root, before plumbing.Hash) (*Merge, error) {
	l := &loader{objects: g.clone.objects, limits: g.limits}
	was, err := l.root(before, ".")
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrUnread) {
		return nil, err
	}
	if err != nil {
		was = &node{} // what is wrong with the base is not this commit's fault
	}
	l = &loader{objects: g.objects, limits: g.limits}
	after, err := l.root(root, ".")
	if err != nil {
		return nil, unfit(err)
	}
	return &Merge{
		tree:    &Tree{root: after, time: g.when, objects: g.objects, limit: g.limits.File, damage: func(error) {}},
		changed: differing(was, after, ""),
	}, nil
}

// blamed says of an error of fetching what was proposed what whoever proposed it has to
// know.
func blamed(err error) error {
	large, ok := errors.AsType[*oversizeError](err)
	switch {
	case ok:
		return &UnfitError{errors.New(large.text), true}
	case moved(err):
		return ErrGone
	}
	return err
}

// unfit is an error of reading what was proposed. Where our clone or this machine has no
// part in it, whoever proposed it has.
func unfit(err error) error {
	for _, other := range []error{ErrDamaged, ErrUnread, errIncomplete, errUnknown, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, other) {
			return err
		}
	}
	if errors.As(err, new(*UnfitError)) {
		return err
	}
	return &UnfitError{Err: err}
}

// borrow gets a commit and all that it needs, beside the clone, which is the lender.
func (r *Repo) borrow(ctx context.Context, tip plumbing.Hash) (o *objects, end func() error, err error) {
	end = func() error { return nil }
	if own := openObjects(r.clone().dir); own.has(tip) { // merged already, with all that it needs
		return own, end, nil
	}
	up, ok := r.up.(served)
	if !ok {
		s, err := openSource(r.up.(here).path, r.limits)
		if err != nil {
			return nil, end, err
		}
		o = openObjects(s.repo.Storer.(*filesystem.Storage).Filesystem().Root())
		o.lender = openObjects(r.clone().dir)
		return o, end, nil
	}
	beside, err := create(r.file("proposed"))
	if err != nil {
		return nil, end, err
	}
	end = func() error { return os.RemoveAll(beside.dir) }
	_, err = served{up.Server, proposedLimits()}.fetch(ctx, r.clone(), beside, tip)
	o = openObjects(beside.dir)
	o.lender = openObjects(r.clone().dir)
	return o, end, err
}

// merger merges trees. What it makes is in memory alone.
type merger struct {
	history
	limits
	clone     history // where the base is, and what it forked from
	empty     plumbing.Hash
	conflicts []string
	when      time.Time // of the head
}

func newMerger(ctx context.Context, o *objects, l limits) *merger {
	clone := o.lender
	if clone == nil {
		clone = o // what is merged is there already
	}
	g := &merger{history: history{ctx, o}, limits: l, clone: history{ctx, clone}, empty: o.add(plumbing.TreeObject, nil)}
	clone.add(plumbing.TreeObject, nil)
	return g
}

// of is where the three sides of a merge are read: fork, base, head.
func (g *merger) of(side int) history {
	if side < 2 {
		return g.clone
	}
	return g.history
}

// roots are the fleet's folder of the merge and of the base. A folder that is not
// there is empty.
func (g *merger) roots(base, head plumbing.Hash, folder string) (merged, before plumbing.Hash, err error) {
	fork, err := g.fork(base, head)
	if err != nil {
		return merged, before, err
	}
	var trees [3]plumbing.Hash
	for i, commit := range []plumbing.Hash{fork, base, head} {
		body, _, err := g.of(i).read(commit)
		if err != nil {
			return merged, before, err
		}
		c, err := decodeCommit(body)
		if err != nil {
			return merged, before, err
		}
		g.when = c.Committer.When
		l := &loader{objects: g.of(i).objects, limits: g.limits}
		if trees[i], err = l.descend(c.TreeHash, folder); errors.Is(err, errNoFolder) {
			trees[i], err = g.empty, nil
		}
		if err != nil && i == 2 {
			err = unfit(err)
		}
		if err != nil {
			return merged, before, err
		}
	}
	merged, err = g.folder(trees[0], trees[1], trees[2], "", 0)
	return merged, trees[1], err
}

// maxCommon caps at how many commits a proposal may join the branch's history.
const maxCommon = 64

// fork is a best common ancestor of two commits.
func (g *merger) fork(base, head plumbing.Hash) (plumbing.Hash, error) {
	nobody := func(string, []byte) error { return nil }
	of, err := g.clone.walk(base, nil, nobody)
	if errors.Is(err, errUnknown) {
		return base, fmt.Errorf("commit %s: %w", base, err)
	}
	if err != nil {
		return base, err
	}
	if of[head] {
		return head, nil // merged already
	}
	upon, err := g.walk(head, of, nobody)
	if err != nil {
		return base, err
	}
	var common []plumbing.Hash
	for h := range upon {
		if of[h] {
			common = append(common, h)
		}
	}
	slices.SortFunc(common, func(a, b plumbing.Hash) int { return bytes.Compare(a[:], b[:]) })
	// One that another leads to is not a best one.
	if len(common) > maxCommon {
		return base, &UnfitError{Err: fmt.Errorf("its history joins that of the branch at more than %d commits", maxCommon)}
	}
	for _, h := range slices.Clone(common) {
		if !slices.Contains(common, h) {
			continue
		}
		behind, err := g.clone.walk(h, nil, nobody)
		if err != nil {
			return base, err
		}
		common = slices.DeleteFunc(common, func(c plumbing.Hash) bool { return c != h && behind[c] })
		if len(common) == 1 {
			break
		}
	}
	if len(common) == 0 {
		return base, &UnfitError{Err: errors.New("the two have no common history")}
	}
	return common[0], nil
}

// folder merges a folder of three trees.
func (g *merger) folder(fork, base, head plumbing.Hash, at string, depth int) (plumbing.Hash, error) {
	switch {
	case base == head || fork == head:
		return base, nil
	case fork == base:
		return head, nil
	case depth > g.Depth:
		return base, &UnfitError{Err: fmt.Errorf("folder %q: it is deeper than %d folders", at, g.Depth)}
	}
	var sides [3]map[string]object.TreeEntry
	names := map[string]bool{}
	for i, h := range []plumbing.Hash{fork, base, head} {
		l := &loader{objects: g.of(i).objects, limits: g.limits}
		entries, err := l.entries(h, at)
		if err != nil && i == 2 {
			err = unfit(err)
		}
		if err != nil {
			return base, err
		}
		sides[i] = map[string]object.TreeEntry{}
		for _, e := range entries {
			sides[i][e.Name], names[e.Name] = e, true
		}
		if len(sides[i]) < len(entries) {
			return base, &UnfitError{Err: fmt.Errorf("folder %q: it holds a name twice", at)}
		}
	}
	var merged []object.TreeEntry
	for _, name := range slices.Sorted(maps.Keys(names)) {
		e, err := g.entry(sides[0][name], sides[1][name], sides[2][name], path.Join(at, name), depth)
		if err != nil {
			return base, err
		}
		if e.Name != "" {
			merged = append(merged, e)
		}
	}
	return g.write(merged), nil
}

// entry merges one entry; the zero entry is that there is none.
func (g *merger) entry(fork, base, head object.TreeEntry, at string, depth int) (object.TreeEntry, error) {
	none := object.TreeEntry{}
	switch {
	case base == head || fork == head:
		return base, nil
	case fork == base:
		return head, nil
	}
	dir := func(e object.TreeEntry) bool { return e == none || e.Mode == filemode.Dir }
	if dir(fork) && dir(base) && dir(head) {
		hashes := [3]plumbing.Hash{}
		for i, e := range []object.TreeEntry{fork, base, head} {
			if hashes[i] = e.Hash; e == none {
				hashes[i] = g.empty
			}
		}
		h, err := g.folder(hashes[0], hashes[1], hashes[2], at, depth+1)
		if err != nil || h == g.empty {
			return none, err
		}
		return object.TreeEntry{Name: cmp.Or(base.Name, head.Name), Mode: filemode.Dir, Hash: h}, nil
	}
	file := func(e object.TreeEntry) bool { return e.Mode == filemode.Regular || e.Mode == filemode.Executable }
	if !file(fork) || !file(base) || !file(head) {
		g.conflicts = append(g.conflicts, at)
		return base, nil
	}
	mode := head.Mode
	if fork.Mode == head.Mode {
		mode = base.Mode
	}
	h, err := g.file(fork.Hash, base.Hash, head.Hash, at)
	return object.TreeEntry{Name: base.Name, Mode: mode, Hash: h}, err
}

// file merges a text by lines.
func (g *merger) file(fork, base, head plumbing.Hash, at string) (plumbing.Hash, error) {
	switch {
	case base == head || fork == head:
		return base, nil
	case fork == base:
		return head, nil
	}
	if g.ctx.Err() != nil { // a text may take a second
		return base, context.Cause(g.ctx)
	}
	var texts [3]string
	for i, h := range []plumbing.Hash{fork, base, head} {
		data, err := g.of(i).objects.read(plumbing.BlobObject, h, g.File)
		if errors.As(err, new(*tooLargeError)) {
			return base, &UnfitError{Err: fmt.Errorf("file %q: %w", at, err)}
		}
		if err != nil {
			return base, fmt.Errorf("file %q: %w", at, err)
		}
		if bytes.IndexByte(data, 0) >= 0 {
			g.conflicts = append(g.conflicts, at)
			return base, nil
		}
		texts[i] = string(data)
	}
	text, ok := mergeLines(texts[0], texts[1], texts[2])
	if !ok {
		g.conflicts = append(g.conflicts, at)
		return base, nil
	}
	return g.objects.add(plumbing.BlobObject, []byte(text)), nil
}

// write makes a tree of entries.
func (g *merger) write(entries []object.TreeEntry) plumbing.Hash {
	key := func(e object.TreeEntry) string { // as git sorts
		if e.Mode == filemode.Dir {
			return e.Name + "/"
		}
		return e.Name
	}
	slices.SortFunc(entries, func(a, b object.TreeEntry) int { return cmp.Compare(key(a), key(b)) })
	var b bytes.Buffer
	for _, e := range entries {
		fmt.Fprintf(&b, "%o %s\x00", uint32(e.Mode), e.Name)
		b.Write(e.Hash[:])
	}
	return g.objects.add(plumbing.TreeObject, b.Bytes())
}

// differing are the files in which two folders differ, sorted.
func differing(a, b *node, at string) []string {
	kids := map[string][2]*node{}
	for _, k := range a.kids {
		kids[k.name] = [2]*node{k, nil}
	}
	for _, k := range b.kids {
		kids[k.name] = [2]*node{kids[k.name][0], k}
	}
	var files []string
	for _, name := range slices.Sorted(maps.Keys(kids)) {
		x, y := kids[name][0], kids[name][1]
		where := path.Join(at, name)
		switch {
		case x != nil && y != nil && x.hash == y.hash && x.mode == y.mode:
			continue
		case x != nil && x.mode.IsDir() || y != nil && y.mode.IsDir():
			files = append(files, differing(folderOf(x), folderOf(y), where)...)
			if x != nil && !x.mode.IsDir() || y != nil && !y.mode.IsDir() {
				files = append(files, where)
			}
		default:
			files = append(files, where)
		}
	}
	return files
}

func folderOf(n *node) *node {
	if n == nil {
		return &node{}
	}
	return n
}
