//go:build linux

package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// A node that cannot be read is Unknown, in a phase that tells a person where
// to look. It costs the others nothing: neither their facts nor their time.

// TestUnknownSaysInWhichPhase has a node for each way of not being read, all
// in one cluster, so that one look meets all of them at once.
func TestUnknownSaysInWhichPhase(t *testing.T) {
	l := newLab(t, 9)
	spoilt := map[string]struct {
		phase string // "" is a node that is read in spite of it
		words string // that a person can act on
		spoil func(n *Node)
	}{
		"node-1": {"", "", func(n *Node) {
			n.loginShell(`echo "Welcome to $(hostname), today is a day"; echo noise >&2; exec /bin/sh "$@"`)
		}},
		"node-2": {"hostkey", "known_hosts", (*Node).newHostKeys},
		"node-3": {"trust", "outside trust.networks", func(*Node) {}}, // by the settings below
		"node-4": {"tcp", "connection refused", (*Node).StopSSHD},
		"node-5": {"tcp", "did not finish an SSH handshake", (*Node).HangSSHD},
		"node-6": {"parse", "not a line of the node script", func(n *Node) {
			n.Put("/usr/local/libexec/reconciler-node", strings.NewReader(`#!/bin/sh
printf 'begin %s 1\nuid\t=0\n\033[2Jroot@node-6 \033[31m# converged\033[0m\nend %s\n' "$2" "$2"
`), "root", "0755")
		}},
		"node-7": {"auth", "authorized_keys", func(n *Node) { n.Must("mv /home/" + Account + "/.ssh/authorized_keys /root") }},
		"node-8": {"sudo", "/usr/local/libexec/reconciler-node", func(n *Node) { n.Must("mv /etc/sudoers.d/" + Account + " /root") }},
		"node-9": {"parse", "", func(n *Node) { n.loginShell("exec echo this account is not available") }},
	}
	for _, n := range l.Nodes {
		spoilt[n.Name].spoil(n)
	}
	trusted := slices.DeleteFunc(l.addresses(), func(a string) bool { return a == l.Nodes[2].Address })
	l.settings(strings.Join(trusted, ", "))

	// Sshd that hangs is given up after 15 s of handshake; 20 s is what the
	// slowest machine may add to that. Two nodes in turn would take longer.
	began := time.Now()
	planned := l.op.Start("--config", l.config, "plan", "-o", "json", "--fail-on", "unobserved")
	read := l.op.Start("--config", l.config, "plan")
	status := l.statusOf(5)
	plan := l.planOf(planned.Ended())
	if took := time.Since(began); took > 35*time.Second {
		t.Errorf("a hanging node held up the look at the others: it took %s", took)
	}

	for _, n := range status.Clusters[0].Nodes {
		want := spoilt[n.Name]
		if want.phase == "parse" {
			delete(n.Unknown, "vault-api") // whether a Vault should answer there is not known either
		}
		why, unknown := n.Unknown[want.phase]
		switch {
		case want.phase == "" && (len(n.Unknown) > 0 || n.Service != "absent"):
			t.Errorf("%s could be read, and is %+v", n.Name, n)
		case want.phase != "" && (!unknown || len(n.Unknown) > 1):
			t.Errorf("%s should be unknown in phase %s, and is %v", n.Name, want.phase, n.Unknown)
		case want.phase != "" && !strings.Contains(why, want.words):
			t.Errorf("%s, %s: nothing says %q in %q", n.Name, want.phase, want.words, why)
		}
		if n.Name == "node-8" && n.Service != "absent" {
			t.Errorf("without root node-8 can tell of its service, and says %q", n.Service)
		}
	}
	for name, want := range spoilt {
		if got := plan.unseen(name); want.phase != "" && (len(got) == 0 || got[0] != want.phase) {
			t.Errorf("the plan saw %s fail in %v, not in %s", name, got, want.phase)
		}
	}
	for _, s := range plan.steps() {
		if s.Node != "node-1" || s.Action == "init" || s.Action == "start" {
			t.Errorf("planned with seven nodes unknown: %+v", s)
		}
	}
	if code := plan.Exit.Code; code != 5 || len(plan.blocked("node-unknown")) != 7 {
		t.Errorf("exit code %d, no birth because of %v", code, plan.blocked("node-unknown"))
	}

	text := read.Ended().Stdout
	if strings.Contains(text, "\033") {
		t.Errorf("what a node said went to the terminal as it came: %q", text)
	}
	for name, want := range spoilt {
		if want.phase != "" {
			l.want(text, name+"   not seen ("+want.phase+")")
		}
	}
}

// losesSight of a voter while the cluster serves, and sees what becomes of a change
// that takes restarts. The cluster is as before when it returns.
func (l *lab) losesSight(n *Node) {
	l.t.Helper()
	n.StopSSHD()
	l.run(0, "plan")
	l.run(3, "plan", "--fail-on", "unobserved")
	before := l.started()
	l.want(l.run(3, "apply", "--yes").Stdout, n.Name, "not seen (tcp)")
	for _, s := range l.statusOf(0).Clusters[0].Nodes {
		if s.Name != n.Name && (s.Spec != "in-sync" || len(s.Unknown) > 0) {
			l.t.Errorf("%s was read beside %s, and is %+v", s.Name, n.Name, s)
		}
	}

	l.write("clusters/prod/cluster.yaml", l.spec("  log_level: info\n  ui: false"))
	l.commit("no ui")
	plan := l.planOf(l.run(5, "plan", "-o", "json"))
	if len(plan.blocked("quorum")) == 0 || len(plan.steps()) > 0 {
		l.t.Errorf("with a voter unseen nobody may be taken down, and planned is %+v, blocked %+v", plan.steps(), plan.Clusters[0].Plan.Blocks)
	}
	l.want(l.run(5, "apply", "--yes").Stdout, "quorum", n.Name)
	if after := l.started(); !slices.Equal(after, before) {
		l.t.Errorf("Vault was restarted: %v, and was %v", after, before)
	}

	l.write("clusters/prod/cluster.yaml", l.spec("  log_level: info\n  ui: true"))
	l.commit("the ui again")
	n.StartSSHD()
	l.inSync()
}

// started names the process of Vault on each node.
func (l *lab) started() []string {
	l.t.Helper()
	var all []string
	for _, n := range l.Nodes {
		all = append(all, n.Name+" "+strings.TrimSpace(n.Must("systemctl show -p InvocationID,ExecMainPID vault | tr '\\n' ' '")))
	}
	return all
}

func (l *lab) addresses() []string {
	var all []string
	for _, n := range l.Nodes {
		all = append(all, n.Address)
	}
	return all
}

// loginShell makes a script the shell that sshd runs for the account.
func (n *Node) loginShell(script string) {
	n.rig.t.Helper()
	n.Put("/usr/local/bin/odd-shell", strings.NewReader("#!/bin/sh\n"+script+"\n"), "root", "0755")
	n.Must("usermod --shell /usr/local/bin/odd-shell " + Account)
}

// newHostKeys makes it another machine to whoever knew its keys.
func (n *Node) newHostKeys() {
	n.rig.t.Helper()
	n.Must(`for type in ed25519 ecdsa; do
	rm /etc/ssh/ssh_host_${type}_key*
	ssh-keygen -q -t $type -N '' -f /etc/ssh/ssh_host_${type}_key
done
systemctl restart ssh`)
	n.rig.must(Until("sshd on "+n.Name, 10*time.Second, n.greets))
}

// statusDoc is what the tests read of `status -o json`.
type statusDoc struct {
	Clusters []struct {
		State, Birth string
		Nodes        []struct {
			Name, Service, Seal, Spec string
			Unknown                   map[string]string
		}
	}
}

func (l *lab) statusOf(code int) statusDoc {
	l.t.Helper()
	var d statusDoc
	out := l.run(code, "status", "-o", "json").Stdout
	if err := json.Unmarshal([]byte(out), &d); err != nil || len(d.Clusters) != 1 || len(d.Clusters[0].Nodes) != len(l.Nodes) {
		l.t.Fatalf("status: %v\n%s", err, out)
	}
	return d
}

// planDoc is what the tests read of `plan -o json` and `apply -o json`.
type planDoc struct {
	Clusters []struct {
		Plan struct {
			Waves  [][]planStep
			Blocks []planBlock
			Unseen []struct{ Node, Phase, Error string }
		}
		Results []planStep
	}
	Exit struct{ Code int }
}

type planStep struct{ Node, Action string }

type planBlock struct{ Node, Reason, Detail, Lift string }

func (l *lab) planOf(ended Ended) planDoc {
	l.t.Helper()
	l.said.WriteString(ended.Stdout + ended.Stderr)
	var d planDoc
	if err := json.Unmarshal([]byte(ended.Stdout), &d); err != nil || len(d.Clusters) != 1 {
		l.t.Fatalf("plan: %v\n%s\n%s", err, ended.Stdout, ended.Stderr)
	}
	return d
}

// steps are those of all waves.
func (d planDoc) steps() []planStep { return slices.Concat(d.Clusters[0].Plan.Waves...) }

// blocked are the nodes, "" for the cluster, that are blocked for a reason.
func (d planDoc) blocked(reason string) []string {
	var nodes []string
	for _, b := range d.Clusters[0].Plan.Blocks {
		if b.Reason == reason {
			nodes = append(nodes, b.Node)
		}
	}
	return nodes
}

// unseen are the phases in which the look at a node failed; none is "".
func (d planDoc) unseen(node string) []string {
	var phases []string
	for _, u := range d.Clusters[0].Plan.Unseen {
		if u.Node == node {
			phases = append(phases, u.Phase)
		}
	}
	return phases
}
