package desired

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

const (
	maxFiles     = 100_000 // of a repo
	maxFileBytes = 4 << 20 // of a file that a node gets
	maxScanBytes = 1 << 20 // of a file are searched for plaintext secrets
)

// repo is the index of one commit's files, but for those of clusters that are known. Links are never followed: what a
// path names at one commit must not depend on what lies beside it.
type repo struct {
	fsys     fs.FS
	types    map[string]fs.FileMode // by path, of everything but .git
	folders  map[string][]string    // folder → names of its entries, sorted
	bodies   map[string][]byte      // of the files below clusters/ and environments/, and at the root
	problems []Problem
}

func openRepo(fsys fs.FS, skip func(cluster string) bool) *repo {
	r := &repo{fsys: fsys, types: map[string]fs.FileMode{}, folders: map[string][]string{}, bodies: map[string][]byte{}}
	err := fs.WalkDir(fsys, ".", func(at string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case at == ".":
			return nil
		case entry.IsDir() && entry.Name() == ".git":
			return fs.SkipDir
		case len(r.types) >= maxFiles:
			return fmt.Errorf("the repo has more than %d files", maxFiles)
		}
		r.types[at] = entry.Type()
		r.folders[path.Dir(at)] = append(r.folders[path.Dir(at)], entry.Name())
		if entry.Type().IsRegular() {
			r.look(at)
		}
		if cluster, below := strings.CutPrefix(at, clustersFolder+"/"); below && entry.IsDir() && path.Dir(at) == clustersFolder && skip(cluster) {
			return fs.SkipDir
		}
		return nil
	})
	for _, names := range r.folders {
		slices.Sort(names) // a file system need not
	}
	if err != nil {
		r.problems = append(r.problems, Problem{Place: Place{File: "."}, Severity: SeverityError, Text: "reading the repo: " + err.Error()})
	}
	return r
}

// look searches one file for plaintext secrets, and keeps its bytes when they
// may be needed again.
func (r *repo) look(at string) {
	body, err := r.load(at)
	if errors.Is(err, errTooLarge) {
		return // told when something needs the file
	}
	if err != nil {
		r.problems = append(r.problems, Problem{Place: Place{File: at}, Severity: SeverityError, Cluster: clusterOf(at), Text: "reading the file: " + err.Error()})
		return
	}
	if len(body) <= maxScanBytes {
		r.problems = append(r.problems, plaintextSecrets(at, body)...)
	}
	if top, _, below := strings.Cut(at, "/"); !below || top == "clusters" || top == "environments" {
		r.bodies[at] = body
	}
}

var errTooLarge = fmt.Errorf("the file has more than %d bytes", maxFileBytes)

func (r *repo) load(at string) ([]byte, error) {
	f, err := r.fsys.Open(at)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxFileBytes {
		return nil, errTooLarge
	}
	return body, nil
}

// clusterOf is the cluster that a file of the repo belongs to; empty when it
// belongs to more.
func clusterOf(at string) string {
	if rest, ok := strings.CutPrefix(at, "clusters/"); ok {
		if name, _, below := strings.Cut(rest, "/"); below {
			return name
		}
	}
	return ""
}

// read is a file of the repo, or what keeps it from being read and what would
// be right.
func (r *repo) read(at string) (body []byte, wrong, hint string) {
	if body, ok := r.bodies[at]; ok {
		return body, "", ""
	}
	for i := range at {
		if at[i] == '/' && r.types[at[:i]]&fs.ModeSymlink != 0 {
			return nil, at[:i] + " is a symbolic link, and links are not followed", "put the folder itself into the repo"
		}
	}
	kind, there := r.types[at]
	switch {
	case !there:
		hint = "add the file"
		if near := nearest(path.Base(at), r.folders[path.Dir(at)]); near != "" {
			hint = "did you mean " + near + "?"
		}
		return nil, "there is no file " + at, hint
	case kind&fs.ModeSymlink != 0:
		return nil, at + " is a symbolic link, and links are not followed", "put the file itself into the repo"
	case kind.IsDir():
		return nil, at + " is a folder", "name a file"
	case !kind.IsRegular():
		return nil, at + " is no regular file", "name a regular file"
	}
	if _, err := r.load(at); err != nil {
		return nil, at + ": " + err.Error(), "keep what a node gets below 4 MiB"
	}
	return nil, at + " could not be read", ""
}
