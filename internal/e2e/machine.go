//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/internal/conform"
)

// machine is a node as the suites of conform reach into it: as root, past SSH.
type machine struct{ *Node }

// Shell is that of [conform.Host].
func (m machine) Shell(script, stdin string) (string, error) {
	out, err := m.run(strings.NewReader(stdin), `exec /bin/sh -c "$1" 2>&1`, script)
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return string(out), nil
}

// Reload is that of [conform.Host]. Its end is the process's READY=1, and systemd
// says that it heard it only where it says everything. Its state does not tell: it
// is active also between the end of ExecReload and the process's first word.
func (m machine) Reload(unit string) (err error) {
	heard := func() (int, error) {
		out, err := m.Shell("journalctl --sync; journalctl --quiet -o cat _PID=1 UNIT="+unit+".service | grep -c '(READY=1)' || :", "")
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(strings.TrimSpace(out))
	}
	before, err := heard()
	if err != nil {
		return err
	}
	defer func() {
		_, back := m.Shell("systemctl log-level info", "")
		err = errors.Join(err, back)
	}()
	if _, err := m.Shell("systemctl log-level debug && systemctl reload "+unit, ""); err != nil {
		return err
	}
	return Until("the end of the reload on "+m.Name, time.Minute, func() bool {
		now, failed := heard()
		return failed == nil && now > before
	})
}

// Servers are a binary of Vault on the rig's nodes, "a" on the first one, each a new
// service of systemd.
func (r *Rig) Servers(binary string) (*conform.Fleet, error) {
	var machines []conform.Machine
	for i, n := range r.Nodes {
		machines = append(machines, conform.Machine{Host: machine{n}, Name: string(rune('a' + i)), Address: n.Address})
	}
	return conform.NewFleet(binary, r.Dial, machines...)
}
