package release

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// archivePath is where a release lies below a source.
func archivePath(version, platform string) (string, error) {
	if !isVersion(version) {
		return "", fmt.Errorf("%.40q is not a version of Vault, such as 1.21.0", version)
	}
	if !isPlatform(platform) {
		return "", fmt.Errorf("%.40q is not a platform, such as linux_amd64", platform)
	}
	return filepath.Join("vault", version, fmt.Sprintf("vault_%s_%s.zip", version, platform)), nil
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

// sourceFolder is the folder of a file:// source.
func sourceFolder(source string) (string, error) {
	u, err := url.Parse(source)
	if err != nil {
		return "", fmt.Errorf("releases.source %.200q is not a URL; give https://… or file:///FOLDER", source)
	}
	switch u.Scheme {
	case "file":
	case "https":
		return "", fmt.Errorf("releases.source %s: https sources are not built yet; mirror the release into a folder of the same layout, name it under trust.releases in reconciler.yaml, and give file:///FOLDER", u.Redacted())
	default:
		return "", fmt.Errorf("releases.source %.200q: only https:// and file:// are known", u.Redacted())
	}
	if u.Host != "" && u.Host != "localhost" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || !filepath.IsAbs(u.Path) {
		return "", fmt.Errorf("releases.source %.200q: a folder is written file:///FOLDER, with three slashes", u.Redacted())
	}
	return filepath.Clean(u.Path), nil
}

// openArchive opens an archive of a file:// source. A commit names the source,
// so the folder must lie below one that reconciler.yaml trusts, and no link
// leads out of that.
func (c Cache) openArchive(source, version, platform string) (*os.File, error) {
	name, err := archivePath(version, platform)
	if err != nil {
		return nil, err
	}
	folder, err := sourceFolder(source)
	if err != nil {
		return nil, err
	}
	trusted, below, ok := c.trusted(folder)
	if !ok {
		return nil, fmt.Errorf("releases.source %s is not below a folder of trust.releases in reconciler.yaml (%s)", folder, strings.Join(c.Sources, ", "))
	}
	root, err := os.OpenRoot(trusted)
	if err != nil {
		return nil, fmt.Errorf("open a folder of trust.releases: %w", err)
	}
	defer root.Close()
	path := filepath.Join(below, name)
	info, err := root.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing; the source must be laid out like releases.hashicorp.com", filepath.Join(trusted, path))
	}
	if err != nil {
		return nil, fmt.Errorf("open below %s: %w", trusted, err)
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for its other end
		return nil, fmt.Errorf("%s is not a regular file", filepath.Join(trusted, path))
	}
	return root.Open(path)
}

// trusted splits a folder into the trusted folder that it is, or lies below,
// and the rest.
func (c Cache) trusted(folder string) (root, below string, ok bool) {
	for _, s := range c.Sources {
		s = filepath.Clean(s)
		rel, err := filepath.Rel(s, folder)
		if err == nil && filepath.IsAbs(s) && filepath.IsLocal(rel) {
			return s, rel, true
		}
	}
	return "", "", false
}
