package simvault

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"github.com/vaultfleet/reconciler/internal/sim"
)

// A release of the simulator is a copy of this program that ends with its
// version: each has bytes of its own, as those of Vault have.

const (
	trailer = "\nvault simulator, not Vault: " // and the version
	room    = 64                               // bytes that both take
)

// oldest is the first version whose answers somebody looked at.
const oldest = "1.19.0"

// Release writes a release of the simulator.
func Release(to io.Writer, version string) error {
	if !sim.AtLeast(version, oldest) {
		return fmt.Errorf("the simulator does not know Vault %s: the oldest one that it knows is %s", version, oldest)
	}
	own, err := os.Executable()
	if err != nil {
		return err
	}
	f, err := os.Open(own)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(to, io.NewSectionReader(f, 0, loaded(f))); err != nil {
		return err
	}
	end := trailer + version
	if len(end) > room {
		return fmt.Errorf("version %s is too long", version)
	}
	_, err = io.WriteString(to, end+strings.Repeat(" ", room-len(end)))
	return err
}

// loaded is how many bytes of a program it takes to run it. What follows is for
// debuggers: nobody need move and hash it at every install. Where the program is of
// another format than ELF, it takes all.
func loaded(f io.ReaderAt) int64 {
	program, err := elf.NewFile(f)
	if err != nil {
		return math.MaxInt64
	}
	var end uint64
	for _, p := range program.Progs {
		end = max(end, p.Off+p.Filesz)
	}
	return int64(end)
}

// releaseOf is the version of a release.
func releaseOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := f.Seek(-room, io.SeekEnd); err != nil {
		return "", err
	}
	end, err := io.ReadAll(f)
	if err != nil {
		return "", err
	}
	version, ok := bytes.CutPrefix(end, []byte(trailer))
	if !ok {
		return "", errors.New("not a release of the simulator: " + path)
	}
	return strings.TrimSpace(string(version)), nil
}
