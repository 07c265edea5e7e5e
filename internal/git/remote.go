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
	URL    string // absolute path, or file:///PATH
	Branch string // "main"
	Path   string // folder of the fleet in the repository; "" and "." are all of it
}

// local checks a remote and is the path of its repository.
func (r Remote) local() (string, error) {
	if !fs.ValidPath(r.folder()) {
		return "", fmt.Errorf("path %q is not a folder within a repository, such as fleet/prod", r.Path)
	}
	if err := plumbing.NewBranchReferenceName(r.Branch).Validate(); err != nil || r.Branch == "" {
		return "", fmt.Errorf("%.80q is not the name of a branch, such as main", r.Branch)
	}
	if filepath.IsAbs(r.URL) {
		return filepath.Clean(r.URL), nil
	}
	u, err := url.Parse(r.URL)
	if scp := strings.IndexByte(r.URL, ':'); err != nil && scp > 0 || err == nil && u.Scheme == "" && scp > 0 {
		return "", errors.New("ssh is not built yet as a way to a fleet repo; give the absolute path of a repository, such as a mirror that `git clone --mirror` makes")
	}
	if err != nil {
		return "", errors.New("it is not a URL; give file:///PATH") // the text may hold a password
	}
	switch u.Scheme {
	case "file":
		if u.Host != "" && u.Host != "localhost" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || !filepath.IsAbs(u.Path) {
			return "", fmt.Errorf("%s: a path is written file:///PATH, with three slashes", u.Redacted())
		}
		return filepath.Clean(u.Path), nil
	case "https", "ssh":
		return "", fmt.Errorf("%s: %s is not built yet as a way to a fleet repo; give the absolute path of a repository, such as a mirror that `git clone --mirror` makes", u.Redacted(), u.Scheme)
	}
	return "", fmt.Errorf("%s: only file:// and absolute paths are known", u.Redacted())
}

// folder is Path as io/fs spells it.
func (r Remote) folder() string {
	if r.Path == "" {
		return "."
	}
	return path.Clean(strings.TrimSuffix(r.Path, "/"))
}

func (r Remote) ref() plumbing.ReferenceName { return plumbing.NewBranchReferenceName(r.Branch) }
