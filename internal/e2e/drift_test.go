//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestDriftIsReported changes nodes by hand in twelve ways. Each is one row, with what
// it is, how bad, where, which line wants it otherwise and what to do; each is gone once
// it is put back; and a fleet that nobody touches has none, however often it is asked.
// Then the reconciler puts such things back itself, and not within the time that the spec
// leaves a person.
func TestDriftIsReported(t *testing.T) {
	t.Parallel() // it waits more than it works
	l := newLab(t, 3)
	l.born()
	spec := l.spec("  log_level: info\n  ui: true")
	l.write("clusters/prod/cluster.yaml", spec+"drift: {policy: report}\n")
	l.commit("drift is only reported")
	l.run(0, "apply", "--yes")
	l.inSync()
	client := l.client()

	l.part("fifty looks at an untouched fleet report nothing", func() {
		l.untouched(func() {
			for range 50 {
				l.run(0, "drift", "--detailed-exitcode", "--fail-on", "unobserved")
			}
		}, l.Nodes...)
	})
	for i, damage := range []struct {
		name     string
		do, undo string
		want     string // severity kind path
		line     string // of the spec, that wants it otherwise
	}{
		{"a value of the configuration", inPlace("/etc/vault.d/vault.hcl", `s/"info"/"trace"/`), inPlace("/etc/vault.d/vault.hcl", `s/"trace"/"info"/`),
			"medium changed config.log_level", "log_level: info"},
		{"a key that anybody may read", "chmod 0644 /etc/vault.d/tls/vault.key", "chmod 0640 /etc/vault.d/tls/vault.key",
			"critical changed files[/etc/vault.d/tls/vault.key].mode", "vault.key"},
		{"a drop-in of the unit", "mkdir /etc/systemd/system/vault.service.d; printf '[Service]\\nNice=5\\n' >/etc/systemd/system/vault.service.d/x.conf; systemctl daemon-reload",
			"rm -r /etc/systemd/system/vault.service.d; systemctl daemon-reload",
			"high extra service.drop_in[/etc/systemd/system/vault.service.d/x.conf]", ""},
		{"another file beside the configuration", "echo 'ui = false' >/etc/vault.d/more.hcl", "rm /etc/vault.d/more.hcl",
			"low extra config_folder[/etc/vault.d/more.hcl]", ""},
		{"the program swapped for another", "mv /opt/vault/versions/1.21.0/vault /opt/vault/kept; cp /bin/true /opt/vault/versions/1.21.0/vault",
			"mv /opt/vault/kept /opt/vault/versions/1.21.0/vault",
			"critical tampered vault", "version:"},
		{"a service that would not start at boot", "systemctl disable --quiet vault", "systemctl enable --quiet vault",
			"high changed service.enabled", ""},
		{"a certificate swapped for another", "cp /etc/vault.d/tls/vault.crt /root/kept.crt; cat /etc/vault.d/tls/ca.crt >/etc/vault.d/tls/vault.crt",
			"cat /root/kept.crt >/etc/vault.d/tls/vault.crt",
			"critical changed files[/etc/vault.d/tls/vault.crt]", "vault.crt"},
		{"a variable that nobody manages", "cp /etc/vault.d/vault.env /root/kept.env; echo 'HTTPS_PROXY=http://evil.internal' >>/etc/vault.d/vault.env",
			"cat /root/kept.env >/etc/vault.d/vault.env",
			"medium changed environment_file", ""},
		{"a file that is gone", "cp /etc/vault.d/tls/ca.crt /root/kept.ca; rm /etc/vault.d/tls/ca.crt", "install -m 0644 /root/kept.ca /etc/vault.d/tls/ca.crt",
			"medium missing files[/etc/vault.d/tls/ca.crt]", "ca.crt"},
		{"a version behind", "mkdir /opt/vault/versions/1.19.0; (cat /opt/vault/versions/1.21.0/vault; echo old) >/opt/vault/versions/1.19.0/vault; chmod 0755 /opt/vault/versions/1.19.0/vault; ln -sfn /opt/vault/versions/1.19.0/vault /usr/local/bin/vault",
			"ln -sfn /opt/vault/versions/1.21.0/vault /usr/local/bin/vault; rm -r /opt/vault/versions/1.19.0",
			"high mixed vault", "version:"},
		{"a unit that systemd has not loaded", "touch -d '+1 minute' /etc/systemd/system/vault.service", "systemctl daemon-reload",
			"high latent service.unit", ""},
	} {
		n := l.Nodes[i%len(l.Nodes)]
		l.part(damage.name, func() {
			n.Must(damage.do)
			row := l.oneDrift(n.Name)
			if got := row.Severity + " " + row.Kind + " " + row.Path; got != damage.want || row.Remedy == "" || row.ID == "" {
				t.Errorf("%s: %+v, want %s", damage.name, row, damage.want)
			}
			if damage.line != "" && !strings.Contains(l.lineOf(row.Place), damage.line) {
				t.Errorf("%s: the line %s is %q", damage.name, row.Place, l.lineOf(row.Place))
			}
			again := l.oneDrift(n.Name)
			if again.ID != row.ID || again.Since.IsZero() {
				t.Errorf("seen again it is another: %+v, %+v", row, again)
			}
			n.Must(damage.undo)
			l.run(0, "drift", "--detailed-exitcode", "--fail-on", "unobserved")
		})
	}
	l.part("what is gone is told", func() {
		l.want(l.run(0, "drift", "--since", "1h").Stdout, "gone", "config.log_level", "service.enabled", "nothing drifts")
	})
	l.part("a process that was started with something else", func() {
		n := l.Nodes[2]
		restarted := func() {
			n.Must("systemctl restart vault")
			l.unsealByHand(n)
		}
		n.Must(inPlace("/etc/vault.d/vault.hcl", `s/"info"/"trace"/`))
		restarted()
		n.Must(inPlace("/etc/vault.d/vault.hcl", `s/"trace"/"info"/`))
		row := l.oneDrift(n.Name)
		if got := row.Severity + " " + row.Kind + " " + row.Path; got != "medium latent config.log_level" {
			t.Errorf("%+v", row)
		}
		restarted()
		l.run(0, "drift", "--detailed-exitcode")
	})
	l.part("a member of raft that the spec does not know", func() {
		last := l.Nodes[2]
		without := slices.DeleteFunc(strings.SplitAfter(spec, "\n"), func(line string) bool { return strings.Contains(line, "{name: "+last.Name) })
		l.write("clusters/prod/cluster.yaml", strings.Join(without, "")+"drift: {policy: report}\n")
		l.commit("two nodes")
		l.run(0, "apply", "--yes")
		row := l.oneDrift("")
		if got := row.Severity + " " + row.Kind + " " + row.Path; got != "high extra raft.peers["+last.Name+"]" || !strings.Contains(row.Remedy, "remove-peer") {
			t.Errorf("%+v", row)
		}
		l.write("clusters/prod/cluster.yaml", spec+"drift: {policy: report}\n")
		l.commit("three nodes again")
		l.run(0, "apply", "--yes")
		l.run(0, "drift", "--detailed-exitcode")
	})
	l.part("an audit device is gone", func() {
		root, err := l.api("").GenerateRoot(t.Context(), l.leader().Address, l.shares())
		l.must(err)
		l.must(root.Ask(t.Context(), http.MethodDelete, l.leader().Address, "sys/audit/second", nil, nil))
		l.must(root.Ask(t.Context(), http.MethodPut, l.leader().Address, "auth/token/revoke-self", nil, nil))
		row := l.oneDrift("")
		if got := row.Severity + " " + row.Kind + " " + row.Path; got != "critical missing audit[second]" {
			t.Errorf("%+v", row)
		}
	})
	l.part("what drifts is put back, and not at once", func() {
		l.write("clusters/prod/cluster.yaml", spec+"drift: {after: 20s}\n")
		l.commit("drift is put back")
		d := l.daemon("-v")
		d.inSyncWith(l.head())
		n := l.Nodes[1]
		n.Must(inPlace("/etc/vault.d/vault.hcl", `s/"info"/"trace"/`))
		changed := time.Now()
		d.says("reason=by-hand")
		if text := n.Must("cat /etc/vault.d/vault.hcl"); !strings.Contains(text, `"trace"`) {
			t.Errorf("a fix by hand was undone after %v", time.Since(changed))
		}
		l.must(Until("the configuration is put back", 3*time.Minute, func() bool { return strings.Contains(n.Must("cat /etc/vault.d/vault.hcl"), `"info"`) }))
		d.ends(0)
		l.inSync()
	})
	l.serves()
	l.must(client.Shows())
}

// inPlace edits a file as an editor does that keeps its inode, its owner and its mode.
func inPlace(path, script string) string {
	return fmt.Sprintf("sed '%s' %s >/root/edited && cat /root/edited >%s", script, path, path)
}

// driftRow is a row of the report.
type driftRow struct {
	ID, Kind, Severity, Path, Place, Remedy, State string
	Nodes                                          []string
	Since                                          time.Time
}

// oneDrift reports drift, and expects one row, on one node or on the cluster.
func (l *lab) oneDrift(node string) driftRow {
	l.t.Helper()
	var report struct {
		Items      []driftRow
		Unobserved []any
	}
	text := l.run(2, "drift", "-o", "json", "--detailed-exitcode").Stdout
	l.must(json.Unmarshal([]byte(text), &report))
	report.Items = slices.DeleteFunc(report.Items, func(r driftRow) bool { return r.State == "pending" })
	on := []string{node}
	if node == "" {
		on = nil
	}
	if len(report.Items) != 1 || !slices.Equal(report.Items[0].Nodes, on) || len(report.Unobserved) > 0 {
		l.t.Fatalf("one drift on %q was expected, and not\n%s", node, text)
	}
	return report.Items[0]
}

// lineOf is the line of the repo that a place names.
func (l *lab) lineOf(place string) string {
	l.t.Helper()
	file, line, ok := strings.Cut(place, ":")
	number := 0
	if _, err := fmt.Sscan(line, &number); !ok || err != nil {
		return ""
	}
	text, err := os.ReadFile(filepath.Join(l.repo, file))
	l.must(err)
	lines := strings.Split(string(text), "\n")
	if number < 1 || number > len(lines) {
		return ""
	}
	return lines[number-1]
}
