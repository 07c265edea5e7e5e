//go:build linux

package e2e

import (
	"archive/zip"
	"compress/flate"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const platform = "linux_amd64"

// Releases is a folder laid out as https://releases.hashicorp.com.
type Releases struct {
	Dir  string
	Lock string // the text of a vault.lock for what is in it
}

// Vault returns the path of that version's binary, which it builds when nobody
// has: that takes minutes.
func (r *Rig) Vault(version string) string {
	r.t.Helper()
	binary, err := recipe("vault", version)
	r.must(err)
	return binary
}

// Releases lays out these versions of Vault, each a copy that a test may spoil.
func (r *Rig) Releases(versions ...string) Releases {
	r.t.Helper()
	releases := Releases{Dir: filepath.Join(r.Dir, "releases")}
	lock := strings.Builder{}
	lock.WriteString("format: 1\nvault:\n")
	for _, version := range versions {
		binary := r.Vault(version)
		archive, err := packed(binary, version)
		r.must(err)
		dir := filepath.Join(releases.Dir, "vault", version)
		r.must(os.MkdirAll(dir, 0o755))
		name := fmt.Sprintf("vault_%s_%s.zip", version, platform)
		r.must(copyFile(filepath.Join(dir, name), archive))
		archiveSum, err := sum(archive)
		r.must(err)
		binarySum, err := sum(binary)
		r.must(err)
		r.must(os.WriteFile(filepath.Join(dir, "vault_"+version+"_SHA256SUMS"), fmt.Appendf(nil, "%s  %s\n", archiveSum, name), 0o644))
		fmt.Fprintf(&lock, "  %s:\n    %s: {archive: sha256:%s, binary: sha256:%s}\n", version, platform, archiveSum, binarySum)
	}
	releases.Lock = lock.String()
	return releases
}

// packed zips a binary as a release is, once, beside the binary itself.
func packed(binary, version string) (string, error) {
	path := fmt.Sprintf("%s_%s_%s.zip", binary, version, platform)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return path, err
	}
	out, err := os.CreateTemp(filepath.Dir(path), "zip")
	if err != nil {
		return "", err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	z := zip.NewWriter(out)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.BestSpeed)
	})
	licence, err := z.Create("LICENSE.txt")
	if err != nil {
		return "", err
	}
	fmt.Fprintln(licence, "Vault is licensed by HashiCorp under the Business Source License 1.1.")
	header := &zip.FileHeader{Name: "vault", Method: zip.Deflate}
	header.SetMode(0o755)
	member, err := z.CreateHeader(header)
	if err != nil {
		return "", err
	}
	in, err := os.Open(binary)
	if err != nil {
		return "", err
	}
	defer in.Close()
	if _, err := io.Copy(member, in); err != nil {
		return "", err
	}
	if err := errors.Join(z.Close(), out.Close()); err != nil {
		return "", err
	}
	return path, os.Rename(out.Name(), path)
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

func sum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}
