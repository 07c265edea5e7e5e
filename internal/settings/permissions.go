package settings

import (
	"fmt"
	"io/fs"
	"os"

	"gopkg.in/yaml.v3"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// A setting is worth what the file system keeps from others. What is not
// there, or cannot be looked at, is no problem here: whoever opens it says so,
// and `validate` works where the keys are not.

// open checks reconciler.yaml itself: whoever writes it decides whom we trust.
func (r *reader) open(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("is a folder")}
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		r.problem(desired.Place{File: path}, "chmod go-w "+path,
			fmt.Sprintf("mode %04o lets others than its owner change these settings", mode))
	}
	return nil
}

// private checks a file that holds a secret.
func (r *reader) private(n *yaml.Node, path string) {
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o007 != 0 {
		r.at(n, "chmod 600 "+path, "%s has mode %04o: everybody on this host may use it", path, info.Mode().Perm())
	}
}

// guardedPaths reads a list of files that say whom we trust.
func (r *reader) guardedPaths(n *yaml.Node, where string, to *[]string) {
	r.items(n, where, func(n *yaml.Node) {
		var file string
		if r.path(n, "an item of "+where, &file) {
			r.guarded(n, file)
			*to = append(*to, file)
		}
	})
}

// guarded checks a file that says whom we trust.
func (r *reader) guarded(n *yaml.Node, path string) {
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o002 != 0 {
		r.at(n, "chmod o-w "+path, "%s has mode %04o: everybody on this host may change it", path, info.Mode().Perm())
	}
}
