package git

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// limits are what a fleet repo may hold. What is beyond is an error.
type limits struct {
	Pack    int64 // bytes that one fetch brings
	Object  int64 // bytes of one object that is fetched
	Objects int64 // bytes of all that one fetch brings
	File    int64 // bytes of a file
	Files   int   // files and folders of a commit
	Path    int   // bytes of a path
	Depth   int   // folders above a file
}

// defaultLimits fit a fleet of 10,000 nodes with a certificate and a key each.
func defaultLimits() limits {
	return limits{Pack: 1 << 30, Object: 64 << 20, Objects: 4 << 30, File: 1 << 20, Files: 100_000, Path: 255, Depth: 32}
}

const (
	maxTree   = 16 << 20 // bytes of one tree object
	maxFaults = 20       // how many are told at once
)

// node is a file or folder of a commit.
type node struct {
	name string
	hash plumbing.Hash
	mode fs.FileMode
	size int64
	kids []*node // of a folder, by name
}

// Tree is a commit's folder of the fleet, as it is in git. It is an fs.FS,
// with ReadFile, ReadDir and Stat. It may be used by many goroutines.
type Tree struct {
	root    *node
	time    time.Time // of the commit; files have no other
	objects *objects
	limit   int64
	damage  func(error)

	mu     sync.Mutex
	failed error // the first of [ErrDamaged] or [ErrUnread]
}

// Err is the first error of a read so far that the commit has no part in:
// [ErrDamaged] or [ErrUnread].
func (t *Tree) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

// fail notes an error of a read.
func (t *Tree) fail(err error) {
	t.damage(err)
	if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrUnread) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed = cmp.Or(t.failed, err)
}

// At is the fleet's folder as of a commit. All its trees are read and all its
// files are seen to be there; contents are read when they are asked for.
func (r *Repo) At(commit string) (*Tree, error) {
	t, err := r.at(commit)
	if err != nil {
		r.mark(err)
		return nil, fmt.Errorf("read commit %.12s of the fleet repo: %w", commit, err)
	}
	return t, nil
}

func (r *Repo) at(commit string) (*Tree, error) {
	objects := openObjects(r.clone().dir)
	c, err := r.commit(objects, commit)
	if err != nil {
		return nil, err
	}
	l := &loader{objects: objects, limits: r.limits}
	root, err := l.root(c.TreeHash, r.remote.folder())
	if err != nil {
		return nil, err
	}
	return &Tree{root: root, time: c.Committer.When, objects: objects, limit: r.limits.File, damage: r.mark}, nil
}

// loader reads trees. Damage ends it at once; faults of what was committed are
// collected, so that they are told together.
type loader struct {
	objects *objects
	limits  limits
	count   int
	faults  []error
}

// errNoFolder says that a commit does not have the fleet's folder.
var errNoFolder = errors.New("it has no folder")

// root is a folder of a commit's tree, with all that is in it.
func (l *loader) root(tree plumbing.Hash, folder string) (*node, error) {
	tree, err := l.descend(tree, folder)
	if err != nil {
		return nil, err
	}
	root := &node{name: ".", hash: tree, mode: fs.ModeDir | 0o555}
	if root.kids, err = l.folder(tree, "", 0); err != nil {
		return nil, err
	}
	return root, errors.Join(l.faults...)
}

// descend finds the tree of a folder below another.
func (l *loader) descend(tree plumbing.Hash, folder string) (plumbing.Hash, error) {
	if folder == "." {
		return tree, nil
	}
	for name := range strings.SplitSeq(folder, "/") {
		entries, err := l.entries(tree, folder)
		if err != nil {
			return plumbing.ZeroHash, err
		}
		i := slices.IndexFunc(entries, func(e object.TreeEntry) bool { return e.Name == name && e.Mode == filemode.Dir })
		if i < 0 {
			return plumbing.ZeroHash, fmt.Errorf("%w %s; `path:` of the fleet in reconciler.yaml names it", errNoFolder, folder)
		}
		tree = entries[i].Hash
	}
	return tree, nil
}

// entries is one tree object. It does what object.GetTree does, on content
// that was checked against its hash.
func (l *loader) entries(h plumbing.Hash, at string) ([]object.TreeEntry, error) {
	data, err := l.objects.read(plumbing.TreeObject, h, maxTree)
	if err != nil {
		return nil, fmt.Errorf("folder %q: %w", at, err)
	}
	obj := &plumbing.MemoryObject{}
	obj.SetType(plumbing.TreeObject)
	if _, err := obj.Write(data); err != nil {
		return nil, err
	}
	t, err := object.DecodeTree(nil, obj)
	if err != nil {
		return nil, fmt.Errorf("folder %q: %w", at, err)
	}
	if !sort.IsSorted(object.TreeEntrySorter(t.Entries)) { // programs would find other files in it
		return nil, fmt.Errorf("folder %q: its entries are not in git's order; run `git fsck`", at)
	}
	return t.Entries, nil
}

func (l *loader) folder(h plumbing.Hash, at string, depth int) ([]*node, error) {
	if depth > l.limits.Depth {
		l.fault(at, fmt.Sprintf("it is deeper than %d folders", l.limits.Depth))
		return nil, nil
	}
	entries, err := l.entries(h, at)
	if err != nil {
		return nil, err
	}
	if l.count += len(entries); l.count > l.limits.Files {
		return nil, fmt.Errorf("it has more than %d files and folders", l.limits.Files)
	}
	names := make(map[string]bool, len(entries))
	kids := make([]*node, 0, len(entries))
	for _, e := range entries {
		where := path.Join(at, e.Name)
		if why := l.odd(e, where, names); why != "" {
			l.fault(where, why)
			continue
		}
		kid, err := l.entry(e, where, depth)
		if err != nil {
			return nil, err
		}
		kids = append(kids, kid)
	}
	slices.SortFunc(kids, func(a, b *node) int { return cmp.Compare(a.name, b.name) })
	return kids, nil
}

func (l *loader) entry(e object.TreeEntry, where string, depth int) (kid *node, err error) {
	kid = &node{name: e.Name, hash: e.Hash, mode: 0o444}
	switch e.Mode {
	case filemode.Dir:
		kid.mode = fs.ModeDir | 0o555
		kid.kids, err = l.folder(e.Hash, where, depth+1)
		return kid, err
	case filemode.Executable:
		kid.mode = 0o555
	}
	if kid.size, err = l.objects.size(e.Hash); err != nil {
		return nil, fmt.Errorf("file %q: %w", where, err)
	}
	if kid.size > l.limits.File {
		l.fault(where, (&tooLargeError{kid.size, l.limits.File}).Error())
	}
	return kid, nil
}

// odd says why an entry cannot be part of a fleet repo; "" is that it can.
func (l *loader) odd(e object.TreeEntry, where string, names map[string]bool) string {
	folded := strings.ToLower(e.Name)
	twice := names[folded]
	names[folded] = true
	switch {
	case !utf8.ValidString(e.Name) || strings.ContainsFunc(e.Name, unicode.IsControl) || strings.ContainsAny(e.Name, `/\`):
		return "its name has characters that names of files may not have"
	case e.Name == "." || e.Name == ".." || isGits(e.Name):
		return "its name is not one of a file"
	case twice:
		return "its folder holds that name twice, or twice but for upper and lower case"
	case len(where) > l.limits.Path:
		return fmt.Sprintf("its path is longer than %d bytes", l.limits.Path)
	}
	switch e.Mode {
	case filemode.Dir, filemode.Regular, filemode.Executable:
		return ""
	case filemode.Symlink:
		return "it is a symbolic link; commit the file itself"
	case filemode.Submodule:
		return "it is a submodule; commit its files"
	}
	return fmt.Sprintf("it has mode %s; files have 100644 or 100755", e.Mode)
}

func (l *loader) fault(where, why string) {
	switch {
	case len(l.faults) < maxFaults:
		l.faults = append(l.faults, fmt.Errorf("%q: %s", where, why))
	case len(l.faults) == maxFaults:
		l.faults = append(l.faults, errors.New("and more of that kind"))
	}
}
