package lease

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/vaultfleet/reconciler/internal/store/durable"
)

// Installation is who this state folder is: 32 hex digits of chance, made once
// and kept in STATE/installation. Two state folders never share one, unless
// one was copied.
func Installation(stateDir string) (string, error) {
	path := filepath.Join(stateDir, "installation")
	id, err := readInstallation(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	if err := durable.MakeFolder(stateDir, 0o700); err != nil {
		return "", fmt.Errorf("make the installation id: %w", err)
	}
	if err := makeInstallation(path); err != nil {
		return "", fmt.Errorf("make the installation id: %w", err)
	}
	return readInstallation(path)
}

func readInstallation(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the installation id: %w", err)
	}
	id := strings.TrimSuffix(string(data), "\n")
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != 16 {
		return "", fmt.Errorf("read the installation id: %s does not hold 32 hex digits; restore it from a backup: nodes know this reconciler by it", path)
	}
	return id, nil
}

// makeInstallation writes a new id whole beside its place and links it there:
// of two processes, the first link wins and the other's id is dropped.
func makeInstallation(path string) error {
	var raw [16]byte
	rand.Read(raw[:]) // never fails (crypto/rand)
	whole := fmt.Sprintf("%s.%d.%s.tmp", path, os.Getpid(), hex.EncodeToString(raw[:4]))
	if err := durable.WriteFile(whole, []byte(hex.EncodeToString(raw[:])+"\n"), 0o600); err != nil {
		return err
	}
	defer os.Remove(whole)
	if err := os.Link(whole, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return durable.SyncFolder(filepath.Dir(path))
}
