//go:build linux

package e2e

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vaultfleet/reconciler/internal/host"
	"github.com/vaultfleet/reconciler/internal/vault"
	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

var figures = flag.Int("figures", 0, "take the figures of docs/performance.md in that many rounds, of a cluster that was born; 0: one round, of one that was not, for what is judged")

const (
	binaryPath = "/usr/local/bin/vault"
	configPath = "/etc/vault.d/vault.hcl"
)

// A way is one way of asking the nodes for their facts.
type way struct {
	name   string
	before func() // what is not measured: it makes an asking a first one, or a second
	ask    func() map[string]proven
	inside bool // it works in this very process, beside the proxy
}

// A price is what it costs to ask once: of the traffic the first node's share,
// of everything else the whole.
type price struct {
	name string
	Traffic
	wall        time.Duration
	here, there time.Duration // CPU of the asking side, and of the nodes
}

// sideBySide is a lab whose first node is reached through a proxy.
type sideBySide struct {
	*lab
	proxy   *Proxy
	eyes    *host.Host // that keep their connections
	targets []actual.Target

	mu     sync.Mutex
	vaults map[string]*vault.Client // by node
}

func newSideBySide(t *testing.T) *sideBySide {
	t.Helper()
	s := &sideBySide{lab: newLabWith(t, Options{Nodes: 3,
		Packages: []string{"python3"}, Tools: []string{"ansible-playbook"}}), vaults: map[string]*vault.Client{}}
	first := s.Nodes[0]
	s.proxy = first.Proxy("22", 0)
	spec := s.spec("  log_level: info\n  ui: true")
	s.write("clusters/prod/cluster.yaml", strings.Replace(spec, "address: "+first.Address, "ssh: {address: "+first.Via+"}, address: "+first.Address, 1))
	s.commit("node-1 by another way")
	s.run(5, "apply", "--yes")
	if *figures == 0 {
		for _, n := range s.Nodes {
			n.Must("systemctl start vault") // a birth would, and take a minute more
		}
	} else {
		s.run(0, "approve", "--init", "prod", "--reason", "figures")
		s.run(8, "apply", "--yes")
		s.run(0, "keys", "confirm", "prod", "--identity", s.alice.File)
		s.run(0, "apply", "--yes")
	}
	fleet := desired.Load(os.DirFS(s.repo), desired.Options{})
	s.targets = diff.Targets(fleet.Clusters[0], diff.Memory{Known: *figures > 0})
	eyes, pool := s.Rig.eyes(s.api)
	t.Cleanup(pool.Close)
	s.eyes = eyes
	return s
}

// reached is the address at which the tools reach a node.
func (s *sideBySide) reached(n *Node) string {
	if n == s.Nodes[0] {
		return n.Via
	}
	return n.Address
}

// plan is the product as an operator calls it. It prints no facts; that nothing
// is to be changed says that they are what the commit wants.
func (s *sideBySide) plan() map[string]proven {
	if *figures > 0 {
		s.inSync()
	} else {
		s.want(s.run(5, "plan").Stdout, "init-unapproved", "0 of 3 nodes to change")
	}
	return nil
}

// forget makes the next plan one that knows no binary yet.
func (s *sideBySide) forget() { s.must(os.Remove(filepath.Join(s.Dir, "state", "hashes.json"))) }

// look is what the product does when it looks again, with its connections kept.
func (s *sideBySide) look() map[string]proven {
	each := func(n int, do func(int)) {
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() { do(i) })
		}
		all.Wait()
	}
	facts := map[string]proven{}
	for _, n := range actual.Probe(s.t.Context(), s.eyes.Look, each, s.targets) {
		if len(n.Unknown) > 0 {
			s.t.Fatalf("look at %s: %v", n.Name, n.Unknown)
		}
		facts[n.Name] = proven{
			Binary: strings.TrimPrefix(n.Binary.Digest, "sha256:"), Config: strings.TrimPrefix(n.Files[configPath].Digest, "sha256:"),
			Active: n.Service.ActiveState, Enabled: n.Service.UnitFileState, Runs: n.Process.Binary == n.Binary.Digest,
			Initialized: n.Vault.Initialized, Sealed: n.Vault.Sealed}
	}
	return facts
}

// api reads a node's Vault without a token, over a connection that is kept.
func (s *sideBySide) api(ctx context.Context, dial host.Dial, t actual.Target) (host.Answers, error) {
	s.mu.Lock()
	client, ok := s.vaults[t.Node]
	if !ok {
		client = vault.New(func(ctx context.Context) (net.Conn, error) { return dial(ctx, "tcp", t.APIAddress) }, t.ServerName, t.CAs)
		s.vaults[t.Node] = client
	}
	s.mu.Unlock()
	status, certificate, err := client.Status(ctx)
	return host.Answers{Vault: &status, Served: certificate}, err
}

// measure asks in every way, one after the other, as many rounds as there are,
// and returns the medians. What is kept between two askings is there before
// the first is measured.
func (s *sideBySide) measure(ways []way, delay time.Duration) []price {
	s.t.Helper()
	s.proxy.Close()
	s.proxy = s.Nodes[0].Proxy("22", delay)
	for _, w := range ways {
		w.ask()
	}
	all := make([][]price, len(ways))
	for range max(1, *figures) {
		load, err := os.ReadFile("/proc/loadavg")
		s.must(err)
		s.t.Logf("load %s", load)
		for i, w := range ways {
			all[i] = append(all[i], s.price(w))
		}
	}
	var medians []price
	for i, w := range ways {
		medians = append(medians, price{name: w.name, Traffic: Traffic{
			ToNode:      median(all[i], func(p price) int64 { return p.ToNode }),
			FromNode:    median(all[i], func(p price) int64 { return p.FromNode }),
			Connections: median(all[i], func(p price) int64 { return p.Connections }),
			RoundTrips:  median(all[i], func(p price) int64 { return p.RoundTrips }),
		}, wall: median(all[i], func(p price) time.Duration { return p.wall }),
			here:  median(all[i], func(p price) time.Duration { return p.here }),
			there: median(all[i], func(p price) time.Duration { return p.there })})
	}
	return medians
}

func median[T cmp.Ordered](all []price, of func(price) T) T {
	var values []T
	for _, p := range all {
		values = append(values, of(p))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// price asks once.
func (s *sideBySide) price(w way) price {
	s.t.Helper()
	if w.before != nil {
		w.before()
	}
	m := s.meter(w)
	w.ask()
	return m(w.name)
}

// turn is what a turn of the daemon costs that finds nothing to do.
func (s *sideBySide) turn() price {
	s.t.Helper()
	const turns = 20
	d := s.daemon("-v")
	looked := func(often int) {
		d.until(fmt.Sprint(often, " turns"), func() bool { return d.turns() >= often })
	}
	looked(3)
	before := d.turns()
	m := s.meter(way{})
	looked(before + turns)
	p := m("reconciler run, a turn")
	d.ends(0)
	return price{p.name, Traffic{p.ToNode / turns, p.FromNode / turns, p.Connections / turns, p.RoundTrips / turns},
		p.wall / turns, p.here / turns, p.there / turns}
}

// meter starts counting; what it returns says what has been counted.
func (s *sideBySide) meter(w way) func(name string) price {
	before, here, there, began := s.proxy.Traffic(), s.here(w), s.there(), time.Now()
	return func(name string) price {
		wall, after := time.Since(began), s.proxy.Traffic()
		return price{name, Traffic{after.ToNode - before.ToNode, after.FromNode - before.FromNode,
			after.Connections - before.Connections, after.RoundTrips - before.RoundTrips},
			wall, s.here(w) - here, s.there() - there}
	}
}

// here is the CPU time of the asking side so far, of all its processes.
func (s *sideBySide) here(w way) time.Duration {
	if !w.inside {
		return s.cpu(s.tools)
	}
	var used unix.Rusage
	s.must(unix.Getrusage(unix.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// there is the CPU time of the nodes so far, with all that runs on them.
func (s *sideBySide) there() time.Duration {
	var sum time.Duration
	for _, n := range s.Nodes {
		sum += s.cpu(filepath.Join(cgroup2(), n.cgroup()))
	}
	return sum
}

func (s *sideBySide) cpu(group string) time.Duration {
	s.t.Helper()
	stat, err := os.ReadFile(filepath.Join(group, "cpu.stat"))
	s.must(err)
	var used int64
	_, err = fmt.Sscanf(string(stat), "usage_usec %d", &used)
	s.must(err)
	return time.Duration(used) * time.Microsecond
}

// table shows prices as docs/performance.md does, the first as the unit of time.
func table(prices []price) string {
	var b strings.Builder
	b.WriteString("\n| asked by | round trips | KB to the node | KB from it | connections | CPU here | CPU of the nodes | wall | ratio |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, p := range prices {
		fmt.Fprintf(&b, "| %s | %d | %.1f | %.1f | %d | %d ms | %d ms | %.2f s | %.1f |\n", p.name, p.RoundTrips, float64(p.ToNode)/1000, float64(p.FromNode)/1000,
			p.Connections, p.here.Milliseconds(), p.there.Milliseconds(), p.wall.Seconds(), float64(p.wall)/float64(prices[0].wall))
	}
	return b.String()
}
