package git

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// Remote is a branch of a repository, and the folder in it that is the fleet.
type Remote struct {
	URL    string // absolute path, file:///PATH, or what the server goes by
	Branch string // "main"
	Path   string // folder of the fleet in the repository; "" and "." are all of it
	// Server serves the repository; nil: it lies on this machine.
	Server Server
}

// upstream checks a remote and is where it is followed from.
func (r Remote) upstream(l limits) (upstream, error) {
	if !fs.ValidPath(r.folder()) {
		return nil, fmt.Errorf("path %q is not a folder within a repository, such as fleet/prod", r.Path)
	}
	if err := plumbing.NewBranchReferenceName(r.Branch).Validate(); err != nil || r.Branch == "" {
		return nil, fmt.Errorf("%.80q is not the name of a branch, such as main", r.Branch)
	}
	if r.Server != nil {
		return served{r.Server, l}, nil
	}
	path, err := r.local()
	return here{path, l}, err
}

// local is the path of a repository on this machine.
func (r Remote) local() (string, error) {
	if filepath.IsAbs(r.URL) {
		return filepath.Clean(r.URL), nil
	}
	u, err := url.Parse(r.URL)
	if err != nil {
		return "", errors.New("it is not a URL; give file:///PATH") // the text may hold a password
	}
	if u.Scheme != "file" {
		return "", fmt.Errorf("%s is not on this machine, and nobody serves it; file:// and absolute paths are", u.Redacted())
	}
	if u.Host != "" && u.Host != "localhost" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || !filepath.IsAbs(u.Path) {
		return "", fmt.Errorf("%s: a path is written file:///PATH, with three slashes", u.Redacted())
	}
	return filepath.Clean(u.Path), nil
}

// folder is Path as io/fs spells it.
func (r Remote) folder() string {
	if r.Path == "" {
		return "."
	}
	return path.Clean(strings.TrimSuffix(r.Path, "/"))
}

func (r Remote) ref() plumbing.ReferenceName { return plumbing.NewBranchReferenceName(r.Branch) }
