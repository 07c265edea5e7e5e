//go:build linux

package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestACommitTravelsRingByRing has a small cluster before a large one. A commit that
// changes both restarts the small one first, lets it soak, and only then touches the
// large one; a commit that the small one cannot take up never reaches the large one,
// which is still repaired.
func TestACommitTravelsRingByRing(t *testing.T) {
	t.Parallel() // it waits more than it works
	l := newLab(t, 4)
	all, first := l.Nodes, l.Nodes[3]
	l.Nodes = all[:3] // what the helpers know as the cluster
	t.Cleanup(func() { l.Nodes = all })
	rings := func(ui string) {
		l.write("clusters/prod/cluster.yaml", l.spec("  log_level: info\n  ui: "+ui))
		l.write("clusters/first/cluster.yaml", l.alone(first, "  log_level: info\n  ui: "+ui))
	}
	key, err := l.identity.Encrypt(first.CertKey)
	l.must(err)
	l.write("clusters/first/tls/ca.crt", string(l.CA.PEM))
	l.write("clusters/first/tls/"+first.Name+".crt", string(first.Cert))
	l.write("clusters/first/tls/"+first.Name+".key.age", string(key))
	releases := l.Releases(l.version)
	l.write("fleet.yaml", "format: 1\nfleet: lab\nreleases: {source: \"file://"+releases.Dir+"\"}\nrollout: {rings: [{cluster: first, soak: 20s}]}\n")
	rings("true")
	l.commit("two clusters in rings")
	for _, cluster := range []string{"first", "prod"} {
		l.run(0, "approve", "--init", cluster, "--reason", "a new cluster")
	}
	l.run(8, "apply", "--yes")
	for _, cluster := range []string{"first", "prod"} {
		l.run(0, "keys", "confirm", cluster, "--identity", l.alice.File)
	}
	l.run(0, "apply", "--yes")
	l.inSync()
	d := l.daemon("-v")
	d.says("cluster=first", `msg="in sync"`)
	d.says("cluster=prod", `msg="in sync"`)

	l.part("the first ring rolls and soaks before the next begins", func() {
		before, began := l.runs(), time.Now()
		rings("false")
		l.commit("no UI")
		d.says("cluster=prod", "reason=ring")
		d.says(`msg="in sync"`, "cluster=first ", "commit="+l.head())
		soaks := time.Now()
		if now := l.runs(); !slices.Equal(before, now) {
			t.Error("prod was restarted before the ring before it had soaked")
		}
		l.want(l.run(0, "plan", "--cluster", "prod").Stdout, "waits    ring", "when commit", "reaches it", "ui")
		d.says(`msg="in sync"`, "cluster=prod ", "commit="+l.head())
		if soaked := time.Since(soaks); soaked < 15*time.Second {
			t.Errorf("prod was rolled %v after the first ring, which soaks for 20s", soaked)
		}
		t.Logf("both rings, with a soak of 20 s: %.0f s", time.Since(began).Seconds())
	})

	l.part("what the first ring cannot take up goes no further", func() {
		before := l.runs()
		l.write("clusters/first/tls/"+first.Name+".crt", string(l.Nodes[0].Cert)) // of another key
		l.write("clusters/prod/cluster.yaml", l.spec("  log_level: info\n  ui: true"))
		l.commit("a certificate that does not fit")
		d.says("cluster=first", "reason=refused")
		turns := d.turns()
		d.until("more turns of prod", func() bool { return d.turns() > turns+5 })
		if now := l.runs(); !slices.Equal(before, now) {
			t.Error("a commit went past a ring that it failed in")
		}
		d.repairs(l.Nodes[1])
		l.want(l.run(0, "plan", "--cluster", "prod").Stdout, "waits    ring")
	})

	l.part("the commit that mends it travels on", func() {
		l.write("clusters/first/tls/"+first.Name+".crt", string(first.Cert))
		l.commit("the certificate that fits")
		d.inSyncWith(l.head())
		d.says(`msg="in sync"`, "cluster=prod ", "commit="+l.head())
		l.answers()
	})
	d.ends(0)
}

// alone is a cluster of one node, to learn with.
func (l *lab) alone(n *Node, config string) string {
	text := l.spec(config)
	text = strings.Replace(text, "cluster: prod", "cluster: first\nrules: learning", 1)
	return text[:strings.Index(text, "nodes:\n")] + "nodes:\n  - {name: " + n.Name + ", address: " + n.Address + ", zone: z1}\n"
}
