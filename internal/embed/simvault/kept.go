package simvault

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// What the servers share is written at every request. A new file each time costs more
// than all else that they do, so the text lies in two that are written in place, its
// copy first: whoever is killed amid one of them leaves the other whole.

// keep writes a text.
func keep(path string, text []byte) error {
	sealed := []byte(hash(string(text)) + "\n" + string(text))
	if err := overwrite(path+".copy", sealed); err != nil {
		return err
	}
	return overwrite(path, sealed)
}

func overwrite(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(text, 0)
	return errors.Join(err, f.Truncate(int64(len(text))), f.Close())
}

// kept is a text that was kept, whole.
func kept(path string) ([]byte, error) {
	for _, at := range []string{path, path + ".copy"} {
		sealed, err := os.ReadFile(at)
		if err != nil {
			return nil, err
		}
		sum, text, _ := strings.Cut(string(sealed), "\n")
		if sum == hash(text) {
			return []byte(text), nil
		}
	}
	return nil, fmt.Errorf("%s: neither it nor its copy is whole", path)
}
