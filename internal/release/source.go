package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// archivePath is where the archive of a release lies below a source.
func archivePath(version, platform string) (string, error) {
	if !isPlatform(platform) {
		return "", fmt.Errorf("%.40q is not a platform, such as linux_amd64", platform)
	}
	return releasePath(version, "_"+platform+".zip")
}

// releasePath is where a file of a version lies below a source.
func releasePath(version, suffix string) (string, error) {
	if !isVersion(version) {
		return "", fmt.Errorf("%.40q is not a version of Vault, such as 1.21.0", version)
	}
	return filepath.Join("vault", version, "vault_"+version+suffix), nil
}

// isVersion says that a text is a version such as 1.21.0, 1.21.0-rc1 or
// 1.21.0+ent.hsm. It becomes part of a path.
func isVersion(text string) bool {
	numbers, rest := text, ""
	if i := strings.IndexAny(text, "-+"); i >= 0 {
		numbers, rest = text[:i], text[i+1:]
	}
	if strings.Count(numbers, ".") != 2 {
		return false
	}
	for part := range strings.SplitSeq(numbers, ".") {
		if !made(part, "0123456789") {
			return false
		}
	}
	if numbers == text {
		return true
	}
	for part := range strings.SplitSeq(rest, "-") {
		for word := range strings.SplitSeq(part, ".") {
			if !made(word, letters+"ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
				return false
			}
		}
	}
	return true
}

// letters are what a platform's name is made of.
const letters = "abcdefghijklmnopqrstuvwxyz0123456789"

func isPlatform(text string) bool {
	system, arch, ok := strings.Cut(text, "_")
	return ok && made(system, letters) && made(arch, letters)
}

// made says that a text is not empty and holds no other characters.
func made(text, of string) bool {
	return text != "" && strings.Trim(text, of) == ""
}

// source is where releases lie, laid out like releases.hashicorp.com.
type source interface {
	// open opens a file by its path below the source. That it is not there is
	// [fs.ErrNotExist].
	open(ctx context.Context, name string) (io.ReadCloser, error)
	// at is how a file is named to people.
	at(name string) string
}

// parseSource is the source of a URL, without a trusted folder for one that is
// of files.
func parseSource(text string, web Web) (source, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("releases.source %.200q is not a URL; give https://… or file:///FOLDER", text)
	}
	shown := (&url.URL{Scheme: u.Scheme, Opaque: u.Opaque, Host: u.Host, Path: u.Path}).String() // the rest may give access
	bare := u.User == nil && u.RawQuery == "" && u.Fragment == ""
	switch {
	case u.Scheme == "https" && u.Host != "" && bare:
		return mirror{base: u, web: web}, nil
	case u.Scheme == "https":
		return nil, fmt.Errorf("releases.source %.200q: a mirror is written https://HOST/PATH, with no user and no query", shown)
	case u.Scheme != "file":
		return nil, fmt.Errorf("releases.source %.200q: only https:// and file:// are known", shown)
	case u.Host != "" && u.Host != "localhost" || !bare || !filepath.IsAbs(u.Path):
		return nil, fmt.Errorf("releases.source %.200q: a folder is written file:///FOLDER, with three slashes", shown)
	}
	return folder{root: filepath.Clean(u.Path), below: "."}, nil
}

// folder is a file:// source. No link leads out of its root.
type folder struct {
	root  string // absolute
	below string // where in it the releases lie
}

func (f folder) at(name string) string { return filepath.Join(f.root, f.below, name) }

func (f folder) open(_ context.Context, name string) (io.ReadCloser, error) {
	root, err := os.OpenRoot(f.root)
	if err != nil {
		return nil, fmt.Errorf("open a folder of releases: %w", err)
	}
	defer root.Close()
	path := filepath.Join(f.below, name)
	info, err := root.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &missingError{f.at(name) + " is missing; the source must be laid out like releases.hashicorp.com"}
	}
	if err != nil {
		return nil, fmt.Errorf("open below %s: %w", f.root, err)
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for its other end
		return nil, fmt.Errorf("%s is not a regular file", f.at(name))
	}
	return root.Open(path)
}

// missingError says that a source does not have a file.
type missingError struct{ text string }

func (e *missingError) Error() string { return e.text }

func (e *missingError) Is(target error) bool { return target == fs.ErrNotExist }

// trust is a source that a commit named. A folder must be, or lie below, one
// that reconciler.yaml trusts, or a commit could have any file of this machine
// read; https reads nothing of it.
func trust(s source, folders []string) (source, error) {
	f, local := s.(folder)
	if !local {
		return s, nil
	}
	for _, t := range folders {
		t = filepath.Clean(t)
		rel, err := filepath.Rel(t, f.root)
		if err == nil && filepath.IsAbs(t) && filepath.IsLocal(rel) {
			return folder{root: t, below: rel}, nil
		}
	}
	return nil, fmt.Errorf("releases.source %s is not below a folder of trust.releases in reconciler.yaml (%s)", f.root, strings.Join(folders, ", "))
}
