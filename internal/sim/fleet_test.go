package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// A fleet is several clusters of one repo, each a world of its own under one clock, and
// one daemon: it polls, and its clusters take their turns, in an order that the seed
// chooses. What a cluster is kept at is decided by what the daemon itself uses.

// content is what a commit wants of a cluster, as far as it matters here.
type content int

// at is a content at a cluster.
type at struct {
	cluster string
	content
}

// commit is what it wants of every cluster.
type commit map[string]content

// fleet is such a fleet.
type fleet struct {
	t        *testing.T
	dice     *rand.Rand
	now      time.Time
	names    []string // sorted
	clusters map[string]*run
	rings    []desired.Ring
	commits  []commit // the last one is the newest
	contents int
	specs    map[content]loop.Spec
	bad      map[at]bool // where Vault does not start with it

	kept   map[string]loop.Spec // by the daemon; nil: it does not live
	apply  map[string]loop.Spec // by a person's apply beside it
	died   time.Time
	loose  bool   // calls of the node script may go on whose process died
	away   *Node  // that cannot be reached
	held   string // cluster
	truth  map[string]*truth
	trace  []string
	broken []string // invariants
	acting bool     // a process of the reconciler does
	deaths int      // boundaries from now on until the process dies; 0: it lives on
}

// newFleet is a fleet of copies of one cluster that was born: of two rings, and of none.
func newFleet(t *testing.T, from *run, seed uint64) *fleet {
	f := &fleet{t: t, dice: rand.New(rand.NewPCG(seed, 2)), now: from.Time, clusters: map[string]*run{}, truth: map[string]*truth{},
		specs: map[content]loop.Spec{}, bad: map[at]bool{}, contents: 1, commits: []commit{{}}}
	f.rings = []desired.Ring{
		{Cluster: "lab-*", Soak: time.Duration(f.dice.IntN(5)) * time.Minute, AtOnce: 1 + f.dice.IntN(2)},
		{Cluster: "prod-*", Soak: time.Duration(f.dice.IntN(3)) * time.Minute, AtOnce: 1 + f.dice.IntN(2)},
	}
	f.names = []string{"lab-1", "lab-2", "other-1", "other-2", "prod-1", "prod-2", "prod-3"}
	for i, name := range f.names {
		r := from.copy(seed*100 + uint64(i))
		r.memory = map[string][]byte{name: r.memory["prod"]}
		r.revs = map[string]uint64{name: r.revs["prod"]}
		r.cross = f.come
		f.clusters[name], f.commits[0][name] = r, 0
		spec, since := f.spec(0, name), f.now.Add(-time.Hour)
		f.change(name, func(m diff.Memory) diff.Memory {
			m.Accepted = diff.Accepted{Commit: spec.Commit, Digest: spec.Cluster.Digest}
			m.Good.First = since
			return m
		})
		f.truth[name] = &truth{accepted: f.memory(name).Accepted, there: true, arrived: map[content]time.Time{0: since},
			failed: map[content]bool{}, may: map[string]bool{}}
	}
	return f
}

// spec is what a commit wants of a cluster.
func (f *fleet) spec(n int, name string) loop.Spec {
	is := f.commits[n][name]
	spec, ok := f.specs[is]
	if !ok {
		config := "  log_level: info\n  ui: true"
		if is > 0 { // every other one is brought into force by a reload
			config = fmt.Sprintf("  log_level: %s\n  ui: true\n  default_lease_ttl: %dh", []string{"info", "debug"}[is%2], 100+is/2)
		}
		spec = f.clusters[name].fleet("1.21.0", config)
		f.specs[is] = spec
	}
	spec.Cluster.Name, spec.Commit = name, fmt.Sprint(n)
	return spec
}

// number is that of a commit.
func (f *fleet) number(commit string) int {
	n, err := strconv.Atoi(commit)
	if err != nil {
		f.t.Fatal(err)
	}
	return n
}

// Load and the others are the one store of the fleet.
func (f *fleet) Load(ctx context.Context, cluster string) (diff.Memory, uint64, error) {
	return store{f.clusters[cluster].Reconciler}.Load(ctx, cluster)
}

func (f *fleet) Save(ctx context.Context, cluster string, m diff.Memory, rev uint64) (uint64, error) {
	return store{f.clusters[cluster].Reconciler}.Save(ctx, cluster, m, rev)
}

func (f *fleet) Append(ctx context.Context, cluster string, try diff.Try) error {
	return store{f.clusters[cluster].Reconciler}.Append(ctx, cluster, try)
}

func (f *fleet) memory(name string) diff.Memory {
	m, _, err := f.Load(context.Background(), name)
	if err != nil {
		f.t.Fatal(err)
	}
	return m
}

// decide is what the clusters are kept at, by whoever is going to act on some.
func (f *fleet) decide(ours func(name string) bool) map[string]loop.Spec {
	newest := len(f.commits) - 1
	var wanted []loop.Wanted
	for _, name := range f.names {
		spec := f.spec(newest, name)
		wanted = append(wanted, loop.Wanted{Cluster: spec.Cluster, Commit: spec.Commit, Ours: ours(name)})
	}
	travel := loop.Travel{Rings: f.rings, Store: f, Alone: func(context.Context) (func(), error) { return func() {}, nil }}
	reached, err := travel.Decide(context.Background(), wanted, f.now)
	if err != nil {
		f.t.Fatal(err)
	}
	kept := map[string]loop.Spec{}
	for i, name := range f.names {
		spec := f.spec(newest, name)
		if w := reached[i].Wait; w != nil {
			spec = f.spec(f.number(reached[i].Memory.Accepted.Commit), name)
			spec.Waits = []diff.Wait{*w}
		}
		spec.Ahead, spec.Noted = reached[i].Ahead, reached[i].Noted
		kept[name] = spec
	}
	return kept
}

// poll has the daemon read the newest commit.
func (f *fleet) poll() {
	f.alive(func() { f.kept = f.decide(func(string) bool { return true }) })
	f.check()
}

// turn is one turn of a cluster, and says whether anything was done.
func (f *fleet) turn(name string, kept map[string]loop.Spec) (acted bool) {
	spec, ok := kept[name]
	if !ok {
		return false
	}
	r := f.clusters[name]
	r.Use(spec.Cluster)
	f.alive(func() {
		t := loop.Turn(context.Background(), r.Ports(), spec)
		if t.Err != nil && !errors.As(t.Err, new(loop.Busy)) {
			f.t.Fatalf("%s: %v", name, t.Err)
		}
		f.saw(name, spec, t)
		acted = len(t.Results) > 0
	})
	f.pass(max(0, r.Time.Sub(f.now)))
	return acted
}

// alive does what a process does. When it dies of it, the daemon knows nothing of what
// it had decided.
func (f *fleet) alive(do func()) {
	f.acting = true
	defer func() {
		f.acting = false
		switch p := recover().(type) {
		case nil:
		case death:
			f.kept, f.apply, f.died, f.loose = nil, nil, f.now, true
			f.say("died")
		default:
			panic(p)
		}
	}()
	do()
}

func (f *fleet) come(string) {
	if f.acting && f.deaths > 0 {
		if f.deaths--; f.deaths == 0 {
			panic(death{})
		}
	}
}

// pass lets time go by for all clusters alike.
func (f *fleet) pass(d time.Duration) {
	f.now = f.now.Add(d)
	for _, name := range f.names {
		r := f.clusters[name]
		r.Pass(max(0, f.now.Sub(r.Time)))
	}
}

func (f *fleet) say(format string, args ...any) {
	f.trace = append(f.trace, f.now.Format("15:04:05 ")+fmt.Sprintf(format, args...))
}

// change changes what is remembered of a cluster, as a person does.
func (f *fleet) change(name string, change func(diff.Memory) diff.Memory) {
	if err := f.clusters[name].Change(context.Background(), name, change); err != nil {
		f.t.Fatal(err)
	}
}

// propose is a new commit: a share of the clusters want something else. In those where
// it is bad Vault does not start with it, or does not take it at a reload.
func (f *fleet) propose(share float64, bad ...string) {
	next := maps.Clone(f.commits[len(f.commits)-1])
	is := content(f.contents)
	f.contents++
	for _, name := range f.names {
		if f.dice.Float64() < share {
			next[name] = is
		}
	}
	f.push(next)
	for _, name := range bad {
		f.bad[at{name, is}] = true
		for _, put := range f.puts(is, name) {
			n := f.clusters[name].Node(put.node)
			n.Unusable = maps.Clone(n.Unusable)
			if n.Unusable == nil {
				n.Unusable = map[string]bool{}
			}
			n.Unusable[put.digest] = true
		}
	}
}

// any are some of the clusters.
func (f *fleet) any(share float64) (names []string) {
	for _, name := range f.names {
		if f.dice.Float64() < share {
			names = append(names, name)
		}
	}
	return names
}

// revert is a new commit that wants what an older one wanted.
func (f *fleet) revert() { f.push(maps.Clone(f.commits[f.dice.IntN(len(f.commits))])) }

func (f *fleet) push(c commit) {
	f.commits = append(f.commits, c)
	f.apply = nil // nobody applies what is not the newest
	f.say("commit %d %v", len(f.commits)-1, c)
}

// put is the configuration of one node.
type put struct{ node, digest string }

// puts are the configurations that a content gives to the nodes of a cluster.
func (f *fleet) puts(is content, name string) (puts []put) {
	n := slices.IndexFunc(f.commits, func(c commit) bool { return c[name] == is })
	if n < 0 {
		return nil // no commit wants it of this cluster
	}
	c := f.spec(n, name).Cluster
	for _, node := range c.Nodes {
		for _, p := range node.Puts {
			if p.Path == c.Service.ConfigPath {
				puts = append(puts, put{node.Name, p.Digest})
			}
		}
	}
	return puts
}
