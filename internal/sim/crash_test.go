package sim

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/loop"
)

// A reconciler dies at every boundary: before and after whatever it makes durable
// or asks of a node, and amid what a node does for it, which goes on there by
// itself or, the script killed too, does not. The next one knows the state folder and looks
// at the machines. However often that happens, the end is that of a run in
// which nobody died, down to how often each Vault was started.

// story is what a cluster is to converge on, one after the other, each with
// what people or accidents do before.
type story struct {
	name  string
	from  func(t *testing.T, seed uint64) *run
	steps []func(r *run) loop.Spec
}

var stories = []story{
	{"a birth", func(t *testing.T, seed uint64) *run { return newRun(t, seed, 3) }, []func(*run) loop.Spec{
		func(r *run) loop.Spec { r.approve(); return r.fleet("1.21.0", "  log_level: info\n  ui: true") },
		func(r *run) loop.Spec { r.confirm(); return r.spec },
	}},
	{"a reload", born, []func(*run) loop.Spec{func(r *run) loop.Spec { return r.fleet("1.21.0", "  log_level: debug\n  ui: true") }}},
	{"a roll", born, []func(*run) loop.Spec{func(r *run) loop.Spec { return r.fleet("1.21.0", "  log_level: info\n  ui: false") }}},
	{"an upgrade", born, []func(*run) loop.Spec{func(r *run) loop.Spec { return r.fleet("1.21.1", "  log_level: info\n  ui: true") }}},
	{"a repair", born, []func(*run) loop.Spec{func(r *run) loop.Spec {
		r.Node("eu-2").Unit.Kill()
		r.Node("eu-2").Vault.Stop()
		r.Node("eu-3").Reboot(r.spec.Cluster, r.Time)
		edited := r.Node("eu-1").Files["/etc/vault.d/tls/ca.crt"]
		edited.Body = []byte("edited by hand")
		r.Node("eu-1").Files["/etc/vault.d/tls/ca.crt"] = edited
		return r.spec
	}}},
}

// told is a story under way.
type told struct {
	*run
	story
	step   int   // that is converged on
	deaths []int // at which boundaries from here on reconcilers die
	passed int   // boundaries
	where  string
	each   func(told) // hears of every boundary; nil: nobody listens
}

// death is what a dying process panics with.
type death struct{}

func (s *told) come(where string) {
	s.passed++
	s.where = where
	if s.each != nil {
		s.each(*s)
	}
	if slices.Contains(s.deaths, s.passed) {
		panic(death{})
	}
}

// begin is the next step of the story.
func (s *told) begin() {
	s.spec = s.steps[s.step](s.run)
	s.Use(s.spec.Cluster)
}

// end has one reconciler after the other take the story on to its end.
func (s *told) end() {
	s.t.Helper()
	for {
		last, died := s.life()
		switch {
		case died:
			s.bury()
			continue
		case last.Err != nil:
			s.t.Fatal(last.Err)
		case s.step == len(s.steps)-1:
			if !last.Plan.Empty() || len(s.Broken) > 0 {
				s.t.Errorf("%s ends, after a death %s: %v %+v %+v\n%s", s.name, s.where, s.Broken, last.Plan.Blocks, last.Plan.Waits, strings.Join(s.Trace, "\n"))
			}
			return
		}
		s.step++
		s.begin()
	}
}

// life is one process.
func (s *told) life() (last loop.Turned, died bool) {
	defer func() {
		s.cross = nil
		switch p := recover().(type) {
		case nil:
		case death:
			died = true
		default:
			panic(p)
		}
	}()
	s.cross = s.come
	return loop.Converge(context.Background(), s.Ports(), s.spec, nil), false
}

// bury is what may come over a world before the next process begins: time, the
// end of a call of the node script, another leader.
func (s *told) bury() {
	if s.where == "amid activate" && s.rand.IntN(3) == 0 {
		for _, n := range s.Nodes {
			n.rest = nil
		}
	}
	if raft := s.Nodes[0].Vault.Raft; raft != nil && s.rand.IntN(3) == 0 {
		for _, n := range s.Nodes {
			if p := peer(raft, n); p != nil && p.Voter && n.Vault.Open && n.Vault.ID != raft.Leader && n.RunsV >= raft.Newest {
				raft.Leader = n.Vault.ID
				break
			}
		}
	}
	s.Pass(time.Duration(s.rand.IntN(10)) * time.Second)
}

// portrait is all that is the same at the end of two runs of one story.
func (r *run) portrait() string {
	var b strings.Builder
	for _, n := range r.Nodes {
		fmt.Fprintf(&b, "%s: %v %v runs %s, %+v, open %v\n", n.Name, n.Users, n.Links, n.RunsV, n.Unit, n.Vault.Open)
		for _, path := range slices.Sorted(maps.Keys(n.Files)) {
			f := n.Files[path]
			fmt.Fprintf(&b, "  %s %s %s:%s %s, runs %s\n", path, f.Digest(), f.Owner, f.Group, f.Mode, n.Mark.Files[path])
		}
	}
	raft := r.Nodes[0].Vault.Raft
	fmt.Fprintf(&b, "%d of %d vote, devices %v, root token %v, credential %v, init asked %d times\n",
		raft.voters(), len(raft.Members), raft.Devices, raft.Root, r.opens(raft), r.Inits)
	return b.String()
}

// tell is the story told in a copy of a world, with these deaths.
func (s story) tell(before *run, deaths ...int) told {
	before.t.Helper()
	t := told{run: before.copy(before.seed), story: s, deaths: deaths}
	t.begin()
	t.end()
	return t
}

func TestAReconcilerThatDiesAtAnyBoundaryIsGoneOnFrom(t *testing.T) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			var dead []told
			alive := told{run: s.from(t, 1), story: s}
			alive.each = func(now told) {
				now.run, now.each = now.copy(uint64(now.passed)), nil
				dead = append(dead, now)
			}
			alive.begin()
			alive.end()
			want := alive.portrait()
			for _, d := range dead {
				n, where := d.passed, d.where
				d.bury()
				d.end()
				if got := d.portrait(); got != want {
					t.Errorf("death at boundary %d, %s: the end is\n%s\nand without it\n%s", n, where, got, want)
				}
			}
			t.Logf("%d boundaries", len(dead))
		})
	}
}

func TestDeathsInARowChangeNothing(t *testing.T) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			before := s.from(t, 7)
			alive := s.tell(before)
			want := alive.portrait()
			for seed := range uint64(6) {
				dice := rand.New(rand.NewPCG(seed, 1))
				first := 1 + dice.IntN(alive.passed)
				deaths := []int{first, first + 1 + dice.IntN(10), first + 1 + dice.IntN(100)}
				ended := s.tell(before, deaths...)
				if got := ended.portrait(); got != want {
					t.Fatalf("deaths %v: the end is\n%s\nand without them\n%s", deaths, got, want)
				}
				if again := s.tell(before, deaths...); !slices.Equal(ended.Trace, again.Trace) {
					t.Fatalf("deaths %v: the same seed gives another trace:\n%v\n%v", deaths, ended.Trace, again.Trace)
				}
			}
		})
	}
}

// copy is the same world once more, which goes its own way from here on.
func (r *run) copy(seed uint64) *run {
	w := NewWorld(seed)
	w.Time, w.Inits, w.ops, w.spec, w.kept = r.Time, r.Inits, r.ops, r.World.spec, maps.Clone(r.kept)
	w.epoch, w.memory, w.revs = r.epoch, maps.Clone(r.memory), maps.Clone(r.revs)
	rafts := map[*Raft]*Raft{nil: nil}
	for _, raft := range r.rafts() {
		c := *raft
		c.Members, c.Devices = map[string]*Peer{}, maps.Clone(raft.Devices)
		for id, p := range raft.Members {
			p := *p
			c.Members[id] = &p
		}
		rafts[raft] = &c
	}
	for _, n := range r.Nodes {
		c := *n
		c.Users, c.Files, c.Links, c.Mark = maps.Clone(n.Users), maps.Clone(n.Files), maps.Clone(n.Links), cloneMark(n.Mark)
		c.Vault.Raft, c.rest = rafts[n.Vault.Raft], slices.Clone(n.rest)
		w.Nodes = append(w.Nodes, &c)
	}
	return &run{World: w, t: r.t, rules: r.rules, seed: seed, tls: r.tls, spec: r.spec}
}
