package embed

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// lacks prints what of this machine the node script, the shims and the units miss:
// a tool, or the GNU one where another would not do.
const lacks = `
for tool in awk base64 cat chmod cp cut env flock grep head id ln mkdir mktemp mv nice rm setsid sha256sum sleep sync tail timeout tr uname; do
	command -v "$tool" >/dev/null || echo "$tool"
done
gnu() { [ "$2" = "$3" ] || echo "GNU $1"; }
gnu date "$(date -d 'Mon 2006-01-02 15:04:05 UTC' +%s.%N)" 1136214245.000000000
gnu find "$(find / -maxdepth 0 -readable ! -newermt @9999999999 -printf %p)" /
gnu readlink "$(readlink -m -- /no/such/path)" /no/such/path
gnu sed "$(printf 'a\nb\n' | sed '0,/a/d')" b
gnu stat "$(stat -L -c %.9Y -- / | tr -d 0-9)" .
/bin/kill --signal CONT $$ || echo /bin/kill
exit 0`

// Tools says what this machine lacks to run embedded ones, or nil.
func Tools() error { return tools(system) }

func tools(path string) error {
	cmd := exec.Command("/bin/sh", "-c", lacks)
	cmd.Env = []string{"PATH=" + path, "LC_ALL=C"}
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("look for the tools of embedded machines: %w", err)
	}
	if missing := strings.Split(strings.TrimSpace(string(out)), "\n"); missing[0] != "" {
		return fmt.Errorf("embedded machines need what this one does not have: %s", strings.Join(missing, ", "))
	}
	return nil
}

// Executes says why no program runs that lies below a folder, or nil.
func Executes(dir string) (err error) {
	dir, err = os.MkdirTemp(dir, "embed")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		return err
	}
	if err := exec.Command(program).Run(); err != nil {
		return fmt.Errorf("no program runs there: %w", err)
	}
	return nil
}

// Reachable says why nodes whose folders lie below this one could not reach them, or
// nil. Only root's nodes are run by somebody else.
func Reachable(dir string) error {
	if !worker().other {
		return nil
	}
	return entered(dir)
}

// entered says which folder on the way to one others may not enter, or nil.
func entered(dir string) error {
	at, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	for {
		info, err := os.Stat(at)
		if err != nil {
			return err
		}
		if info.Mode()&0o001 == 0 {
			return fmt.Errorf("others than its owner may not enter %s", at)
		}
		if at == filepath.Dir(at) {
			return nil
		}
		at = filepath.Dir(at)
	}
}
