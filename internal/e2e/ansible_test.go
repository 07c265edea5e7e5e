//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// proven is what both tools are asked for, of one node.
type proven struct {
	Binary, Config      string // sha256, in hex
	Active, Enabled     string // as systemd says
	Runs                bool   // the process runs that very binary
	Initialized, Sealed bool
}

// TestAnsibleProvesTheSameFactsAtAHigherPrice asks the same facts of the same
// nodes with both tools. That they find the same is the proof that they were
// asked the same; time is measured and never judged.
func TestAnsibleProvesTheSameFactsAtAHigherPrice(t *testing.T) {
	s := newSideBySide(t)
	tuned := s.ansible("tuned.cfg")
	ours := []way{
		{name: "reconciler plan, a new process", ask: s.plan},
		{name: "reconciler, connections kept", before: func() { s.look() }, ask: s.look, inside: true},
	}
	theirs := []way{
		{name: "Ansible tuned, new connections", before: tuned.disconnect, ask: tuned.ask},
		{name: "Ansible tuned, connections kept", ask: tuned.ask},
	}
	judged := append(ours, theirs...)
	costs := s.measure(append(judged, s.more()...), 0)
	if *figures > 0 {
		costs = append(costs, s.turn())
	}
	t.Log(table(costs))
	for i := range ours {
		if a, b := costs[i], costs[len(ours)+i]; a.RoundTrips >= b.RoundTrips || a.ToNode+a.FromNode >= b.ToNode+b.FromNode {
			t.Errorf("%s costs more than %s:\n%+v\n%+v", a.name, b.name, a.Traffic, b.Traffic)
		}
	}
	said, seen := tuned.ask(), s.look()
	for _, n := range s.Nodes {
		if said[n.Name] != seen[n.Name] || !said[n.Name].Runs || len(said[n.Name].Binary) != 64 || len(said[n.Name].Config) != 64 {
			t.Errorf("of %s Ansible says\n%+v\nand reconciler\n%+v", n.Name, said[n.Name], seen[n.Name])
		}
	}
	if *figures > 0 {
		const delay = 100 * time.Millisecond
		for i, late := range s.measure(judged, delay) {
			t.Logf("%s: %.1f round trips by the clock", late.name, float64(late.wall-costs[i].wall)/float64(2*delay))
		}
	}
}

// more are the ways that are not judged: what a reader may ask next.
func (s *sideBySide) more() []way {
	if *figures == 0 {
		return nil
	}
	free, unread, plain := s.ansible("tuned.cfg"), s.ansible("tuned.cfg"), s.ansible("default.cfg")
	free.env = append(free.env, "ANSIBLE_STRATEGY=free")
	unread.args = append(unread.args, "--skip-tags=binary")
	return []way{
		{name: "reconciler plan, the first ever", before: s.forget, ask: s.plan},
		{name: "Ansible tuned, strategy free", ask: free.ask},
		{name: "Ansible tuned, binary not read", ask: unread.ask},
		{name: "Ansible as it comes", before: plain.disconnect, ask: plain.ask},
	}
}

// ansible is one configuration of Ansible, with its connections.
type ansible struct {
	s         *sideBySide
	env, args []string
	control   string // folder of its connections' sockets
}

// ansible makes a configuration from a file of testdata/ansible.
func (s *sideBySide) ansible(config string) *ansible {
	s.t.Helper()
	files, err := filepath.Abs(filepath.Join("testdata", "ansible"))
	s.must(err)
	control, err := os.MkdirTemp(s.Dir, "cp") // a socket's path must be short
	s.must(err)
	var inventory strings.Builder
	for _, n := range s.Nodes {
		fmt.Fprintf(&inventory, "%s ansible_host=%s vault=%s ansible_user=%s ansible_ssh_private_key_file=%s ansible_ssh_common_args='-o UserKnownHostsFile=%s'\n",
			n.Name, s.reached(n), n.Address, Account, s.Key, s.KnownHosts)
	}
	hosts := filepath.Join(s.Dir, "inventory")
	s.must(os.WriteFile(hosts, []byte(inventory.String()), 0o644))
	return &ansible{s: s, control: control,
		env:  []string{"LC_ALL=C.UTF-8", "ANSIBLE_CONFIG=" + filepath.Join(files, config), "ANSIBLE_SSH_CONTROL_PATH_DIR=" + control},
		args: []string{"-v", "-i", hosts, filepath.Join(files, "facts.yml")}}
}

// disconnect ends the connections that Ansible keeps.
func (a *ansible) disconnect() {
	sockets, err := filepath.Glob(filepath.Join(a.control, "*"))
	a.s.must(err)
	for _, socket := range sockets {
		if ended := a.s.op.Other("ssh", "-O", "exit", "-S", socket, "node"); ended.Code != 0 {
			a.s.t.Fatalf("end an SSH connection of Ansible: %s", ended.Stderr)
		}
	}
}

var outcome = regexp.MustCompile(`(?m)^(?:ok|changed): \[([^\]]+)\] => (\{.*\})`)

// ask runs the playbook and reads from its output what it learnt.
func (a *ansible) ask() map[string]proven {
	op := a.s.op
	op.Env = append(op.Env[:len(op.Env):len(op.Env)], a.env...)
	ended := op.Other("ansible-playbook", a.args...)
	if ended.Code != 0 {
		a.s.t.Fatalf("ansible-playbook exits %d\n%s\n%s", ended.Code, ended.Stdout, ended.Stderr)
	}
	facts := map[string]proven{}
	for _, match := range outcome.FindAllStringSubmatch(ended.Stdout, -1) {
		var r struct {
			Stat   struct{ Path, Checksum string }
			Stdout string
			JSON   struct{ Initialized, Sealed bool }
		}
		a.s.must(json.Unmarshal([]byte(match[2]), &r))
		node := facts[match[1]]
		switch {
		case r.Stat.Path == binaryPath:
			node.Binary = r.Stat.Checksum
		case r.Stat.Path == configPath:
			node.Config = r.Stat.Checksum
		case r.Stdout != "":
			node.Active, node.Enabled = shown(r.Stdout, "ActiveState"), shown(r.Stdout, "UnitFileState")
			node.Runs = shown(r.Stdout, "Runs") == "binary"
		default:
			node.Initialized, node.Sealed = r.JSON.Initialized, r.JSON.Sealed
		}
		facts[match[1]] = node
	}
	return facts
}

// shown is the value of a line NAME=VALUE.
func shown(text, name string) string {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok {
			return value
		}
	}
	return ""
}
