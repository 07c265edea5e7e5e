package release

import (
	"archive/zip"
	"bufio"
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

// wanted is the archive of a release, and which it must be.
type wanted struct {
	version, platform string
	sum               string // sha256 in hex
	says              string // who says so
}

// take fetches the archive and unpacks its vault binary, whose sha256 it
// returns. Meanwhile the archive lies in a folder of ours, where nobody
// exchanges it between the check and the use.
func (w wanted) take(ctx context.Context, from source, folder string, out io.Writer) (string, error) {
	name, err := archivePath(w.version, w.platform)
	if err != nil {
		return "", err
	}
	archive, err := os.CreateTemp(folder, partial)
	if err != nil {
		return "", err
	}
	defer func() {
		archive.Close()
		os.Remove(archive.Name()) // what stays of a killed process is swept by the next
	}()
	got, err := fetch(ctx, from, name, maxArchive, archive)
	if err != nil {
		return "", err
	}
	if got != w.sum {
		return "", &MismatchError{Path: from.at(name), Says: w.says, Want: w.sum, Got: got}
	}
	binary, err := unpack(ctx, archive, w.platform, out)
	if err != nil {
		return "", fmt.Errorf("%s: %w", from.at(name), err)
	}
	return binary, nil
}

// unpack copies the vault binary out of an archive and returns its sha256.
func unpack(ctx context.Context, archive *os.File, platform string, out io.Writer) (string, error) {
	m, err := binaryMember(archive, platform)
	if err != nil {
		return "", err
	}
	in, err := m.Open()
	if err != nil {
		return "", fmt.Errorf("unpack %s: %w", m.Name, err)
	}
	defer in.Close()
	capped := bufio.NewReader(io.LimitReader(in, maxBinary+1)) // zip checks the length that it says, and the CRC
	head, err := capped.Peek(headerBytes)
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("unpack %s: %w", m.Name, err)
	}
	if err := fits(head, platform); err != nil {
		return "", fmt.Errorf("%s: %w", m.Name, err)
	}
	got, err := sum(ctx, io.TeeReader(capped, out))
	if err != nil {
		return "", fmt.Errorf("unpack %s: %w", m.Name, err)
	}
	return got, nil
}

// binaryMember finds the one vault binary in a release archive. Any member
// that an honest release would not have makes the whole archive suspect.
func binaryMember(archive *os.File, platform string) (*zip.File, error) {
	info, err := archive.Stat()
	if err != nil {
		return nil, err
	}
	z, err := zip.NewReader(archive, info.Size())
	if err != nil {
		return nil, fmt.Errorf("it is not a zip archive: %w", err)
	}
	if len(z.File) > maxMembers {
		return nil, fmt.Errorf("it has %d members, a release has a few", len(z.File))
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
			return nil, fmt.Errorf("member %.80q: %w", m.Name, err)
		}
		seen[strings.ToLower(m.Name)] = true
		if m.Name == want {
			found = m
		}
	}
	if found == nil {
		return nil, fmt.Errorf("it has no member %s", want)
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
