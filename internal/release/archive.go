package release

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

const (
	maxArchive = 1 << 30 // bytes
	maxBinary  = 1 << 30 // bytes
	maxMembers = 64      // a release has the binary and a few licence texts
)

// encrypted is the flag of a member that needs a password (APPNOTE.TXT 4.4.4).
const encrypted = 0x1

// binaryMember finds the one vault binary in a release archive. Any member
// that an honest release would not have makes the whole archive suspect.
func binaryMember(archive *os.File, platform string) (*zip.File, error) {
	info, err := archive.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxArchive {
		return nil, fmt.Errorf("%s has %d bytes, more than any release of Vault", archive.Name(), info.Size())
	}
	z, err := zip.NewReader(archive, info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s is not a zip archive: %w", archive.Name(), err)
	}
	if len(z.File) > maxMembers {
		return nil, fmt.Errorf("%s has %d members, a release has a few", archive.Name(), len(z.File))
	}
	want := "vault"
	if strings.HasPrefix(platform, "windows_") {
		want = "vault.exe"
	}
	var found *zip.File
	seen := map[string]bool{}
	for _, m := range z.File {
		err := honest(m)
		if err == nil && seen[strings.ToLower(m.Name)] {
			err = errors.New("it is there twice")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: member %.80q: %w", archive.Name(), m.Name, err)
		}
		seen[strings.ToLower(m.Name)] = true
		if m.Name == want {
			found = m
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%s has no member %s", archive.Name(), want)
	}
	return found, nil
}

func honest(m *zip.File) error {
	name := strings.TrimSuffix(m.Name, "/")
	switch {
	case !fs.ValidPath(name) || name == "." || path.IsAbs(name) || strings.ContainsAny(name, `\:`):
		return errors.New("its name leads out of the archive")
	case m.Mode().Type() != 0 && !m.Mode().IsDir():
		return fmt.Errorf("it is a %s, not a file", m.Mode().Type())
	case m.Flags&encrypted != 0:
		return errors.New("it is encrypted")
	case m.Method != zip.Store && m.Method != zip.Deflate:
		return fmt.Errorf("compression method %d is not one that releases use", m.Method)
	case m.UncompressedSize64 > maxBinary:
		return fmt.Errorf("it unpacks to %d bytes, more than any Vault", m.UncompressedSize64)
	}
	return nil
}

// unpack copies a member out, never more than it says to have, and returns its
// sha256. A wrong CRC is an error (archive/zip).
func unpack(ctx context.Context, m *zip.File, out io.Writer) (string, error) {
	in, err := m.Open()
	if err != nil {
		return "", fmt.Errorf("unpack %s: %w", m.Name, err)
	}
	defer in.Close()
	capped := io.LimitReader(in, maxBinary+1)
	got, err := sum(ctx, io.TeeReader(capped, out))
	if err != nil {
		return "", fmt.Errorf("unpack %s: %w", m.Name, err)
	}
	return got, nil
}
