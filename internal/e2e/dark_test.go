//go:build linux

package e2e

import (
	"bytes"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestAClusterComesBack takes away more than a cluster can lose, and expects
// that what can be brought back is, at once and before anything else.
func TestAClusterComesBack(t *testing.T) {
	t.Parallel() // it waits more than it works
	l := newLab(t, 3)
	l.born()
	client := l.client()
	second, third := l.Nodes[1], l.Nodes[2]

	l.part("from a power cut of everything while git is gone", func() {
		back := l.away(l.repo)
		for _, n := range l.Nodes {
			n.PowerCut()
		}
		l.bootAll(l.Nodes...)
		began := time.Now()
		l.want(l.run(0, "apply", "--yes").Stderr, "going on with the commit that was fetched last")
		l.t.Logf("cold start of three: %.1f s", time.Since(began).Seconds())
		l.inSync()
		back()
		l.serves()
		l.must(client.Shows())
	})

	l.part("when two nodes are sealed at once", func() {
		for _, n := range l.Nodes[1:] {
			n.Must("systemctl restart vault")
			l.comesBackSealed(n)
		}
		l.want(l.run(2, "plan", "--detailed-exitcode").Stdout, "unseal", second.Name, third.Name)
		l.run(0, "apply", "--yes")
		l.inSync()
		l.must(client.Shows())
	})

	l.part("as far as it can with one node gone for good", func() {
		third.PowerCut()
		second.Must("systemctl kill --signal=KILL vault")
		l.comesBackSealed(second)
		l.want(l.run(3, "apply", "--yes").Stdout, third.Name, "not seen")
		if !l.sealStatus(second, `"sealed":false`) {
			l.t.Errorf("%s was not repaired while %s was gone", second.Name, third.Name)
		}
		l.must(client.Shows(l.Nodes[0].Address, second.Address))
	})

	l.part("with nothing done but start and unseal while two voters are down", func() {
		second.Must("systemctl disable --quiet vault")
		second.PowerCut()
		l.write("clusters/prod/cluster.yaml", l.spec("  log_level: debug\n  ui: false"))
		l.commit("log more, and no UI")
		l.bootAll(second)
		began := time.Now()
		apply := l.planOf(l.run(5, "apply", "--yes", "-o", "json"))
		done := apply.Clusters[0].Results
		if want := []planStep{{second.Name, "start"}, {second.Name, "unseal"}}; len(done) < 2 || !slices.Equal(done[:2], want) {
			l.t.Errorf("with two voters down, done is %v", done)
		}
		if downs := l.downs(began, l.Nodes[0], second); len(downs) > 0 || len(apply.blocked("quorum")) == 0 {
			l.t.Errorf("with one voter gone %v went down, blocked is %+v", downs, apply.Clusters[0].Plan.Blocks)
		}
		l.bootAll(third)
		l.run(0, "apply", "--yes")
		l.inSync()
		l.serves()
		l.must(client.Shows())
	})

	l.part("from certificates that have all expired", func() {
		l.expire("reload")
		expired := l.op.Run("--config", l.config, "plan")
		l.said.WriteString(expired.Stdout + expired.Stderr)
		l.want(expired.Stdout, "expired")
		l.certificates(time.Now().AddDate(0, 0, 90))
		began := time.Now()
		l.run(0, "apply", "--yes")
		l.inSync()
		if downs := l.downs(began); len(downs) > 0 {
			l.t.Errorf("a new certificate took nodes down: %v", downs)
		}
		l.serves()
		l.must(client.Shows())
	})
	l.part("from certificates that have all expired, and nobody unsealed", func() {
		l.expire("restart")
		for _, n := range l.Nodes {
			l.must(Until(n.Name+" to listen", time.Minute, func() bool { _, err := n.Exec("ss -ltn | grep -q :8200"); return err == nil }))
		}
		l.want(l.run(2, "plan", "--detailed-exitcode").Stdout, "unseal")
		l.certificates(time.Now().AddDate(0, 0, 90))
		l.run(0, "apply", "--yes")
		l.inSync()
		l.serves()
		l.must(client.Shows())
	})
	t.Logf("the client through all of it: %s", client.Lap())
}

// expire commits certificates that have ended, and has each Vault serve its own,
// by that action of systemd.
func (l *lab) expire(action string) {
	l.t.Helper()
	l.certificates(time.Now().Add(-time.Minute))
	for _, n := range l.Nodes {
		n.Put("/etc/vault.d/tls/vault.key", bytes.NewReader(n.CertKey), "root:vault", "0640")
		n.Put("/etc/vault.d/tls/vault.crt", bytes.NewReader(n.Cert), "root:vault", "0644")
		n.Must("systemctl " + action + " vault")
	}
}

// bootAll powers nodes on at once and returns when all are up.
func (l *lab) bootAll(nodes ...*Node) {
	l.t.Helper()
	errs := make([]error, len(nodes))
	var booted sync.WaitGroup
	for i, n := range nodes {
		l.must(n.start())
		booted.Go(func() { errs[i] = n.up() })
	}
	booted.Wait()
	for _, err := range errs {
		l.must(err)
	}
}

// certificates commits certificates of every node that end then.
func (l *lab) certificates(end time.Time) {
	l.t.Helper()
	for _, n := range l.Nodes {
		var err error
		n.Cert, n.CertKey, err = l.CA.IssueUntil(end, n.Name, n.Address, n.Via, "127.0.0.1", "localhost")
		l.must(err)
		key, err := l.identity.Encrypt(n.CertKey)
		l.must(err)
		l.write("clusters/prod/tls/"+n.Name+".crt", string(n.Cert))
		l.write("clusters/prod/tls/"+n.Name+".key.age", string(key))
	}
	l.commit("certificates until " + end.UTC().Format(time.RFC3339))
}
