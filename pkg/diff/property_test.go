package diff

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// anyScene draws a cluster in some trouble under some spec.
func anyScene(t *rapid.T) *scene {
	n := rapid.SampledFrom([]int{3, 3, 5}).Draw(t, "nodes")
	s := map[bool]func(int) *scene{true: convergedScene, false: freshScene}[rapid.IntRange(0, 4).Draw(t, "kind") > 0](n)
	running := s.memory.Known
	troubles := []string{"unreachable tcp", "hold", "rootless", "data-unreadable", "peers.json", "disabled", "binary 1.20.0",
		"missing " + notePath, "edited " + configPath, "mode " + keyPath + " 0644"}
	if running {
		troubles = append(troubles, "restarted", "sealed", "rebooted", "service failed signal", "service inactive success", "masked",
			"data empty", "loaded "+configPath, "unmarked", "stale-unit", "behind", "unhealthy", "leaderless", "nonvoter",
			"removed", "audit-shut", "cluster other", "certificate expired", "upgraded 1.21.1")
	}
	for i := range s.have {
		if !rapid.Bool().Draw(t, "trouble") {
			continue
		}
		words := strings.Fields(rapid.SampledFrom(troubles).Draw(t, "what"))
		if s.have[i].Machine == nil || (s.have[i].Vault == nil && running) {
			continue
		}
		if err := s.applyNode(&s.have[i], words); err != nil {
			t.Fatal(err)
		}
	}
	wishes := []string{"config ui false", `config log_level "debug"`, "version 1.21.1", "version 1.20.0", "bytes " + notePath,
		"bytes " + unitPath, "bytes " + certPath, "rules learning", "pause 1m", "manage seal raft", "unbuilt rollout.window", "audit spare syslog"}
	for _, wish := range rapid.SliceOfN(rapid.SampledFrom(wishes), 0, 3).Draw(t, "wishes") {
		if err := s.applyWant(strings.Fields(wish)); err != nil {
			t.Fatal(err)
		}
	}
	for _, word := range rapid.SliceOfN(rapid.SampledFrom([]string{"approved", "proven", "held eu-1", "newest 1.21.1", "birth keys", "birth confirmed"}), 0, 2).Draw(t, "memory") {
		if err := s.applyMemory(strings.Fields(word)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestPlanningTwiceGivesTheSameBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anyScene(t)
		m := Remember(s.memory, s.want, s.have, s.now)
		first, _ := json.Marshal(Cluster(s.want, s.have, m, s.now))
		second, _ := json.Marshal(Cluster(s.want, s.have, m, s.now))
		if !bytes.Equal(first, second) {
			t.Fatalf("two plans of one situation:\n%s\n%s", first, second)
		}
	})
}

func TestOrderOfInputDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anyScene(t)
		m := Remember(s.memory, s.want, s.have, s.now)
		first, _ := json.Marshal(Cluster(s.want, s.have, m, s.now))
		shuffled := rapid.Permutation(s.have).Draw(t, "order")
		second, _ := json.Marshal(Cluster(s.want, shuffled, Remember(s.memory, s.want, shuffled, s.now), s.now))
		if !bytes.Equal(first, second) {
			t.Fatalf("the order of the nodes changed the plan:\n%s\n%s", first, second)
		}
	})
}

func TestRememberingTheSameComesToRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anyScene(t)
		once := Remember(Remember(s.memory, s.want, s.have, s.now), s.want, s.have, s.now) // a seal is sure at its second sight
		if again := Remember(once, s.want, s.have, s.now); !reflect.DeepEqual(once, again) {
			t.Fatalf("the same look changed the memory again:\n%+v\n%+v", once, again)
		}
	})
}

// The forecast ends, and what it ends in asks for no further step.
func TestAPlanLeavesNothingToDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anyScene(t)
		m := Remember(s.memory, s.want, s.have, s.now)
		if plan := Cluster(s.want, s.have, m, s.now); len(plan.Waves) >= maxWaves {
			t.Fatalf("the forecast never ends:\n%s", show(plan))
		}
	})
}

// No wave takes a serving voter down unless the others, as the wave finds them,
// are a quorum; only the learning rules allow less.
func TestNoWaveBreaksQuorum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anyScene(t)
		m := Remember(s.memory, s.want, s.have, s.now)
		plan := Cluster(s.want, s.have, m, s.now)
		v := viewOf(s.want, s.have, m)
		sim := newSituation(s.want, s.have, m, s.now)
		for i, wave := range plan.Waves {
			voters := electorateOf(v, m, s.want)
			var down []string
			for _, step := range wave {
				if step.Action == ActionRestart && slices.Contains(voters.serving(v), step.Node) {
					down = append(down, step.Node)
				}
			}
			left := len(voters.serving(v)) - len(down)
			if len(down) > 0 && left < voters.quorum() && s.want.Rules != desired.RulesLearning {
				t.Fatalf("wave %d takes %v down and leaves %d of %d voters:\n%s", i+1, down, left, voters.size(), show(plan))
			}
			v = sim.simulate(wave)
			sim.v, sim.forecast = v, true
		}
	})
}

// Nothing is done to a node that was not seen, or that a person wants left
// alone.
func TestNothingIsDoneToTheUnseenAndTheWilled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anyScene(t)
		m := Remember(s.memory, s.want, s.have, s.now)
		plan := Cluster(s.want, s.have, m, s.now)
		alone := map[string]string{}
		for _, n := range s.have {
			switch {
			case n.Machine == nil:
				alone[n.Name] = "was not seen"
			case n.Machine.Hold != nil:
				alone[n.Name] = "has a hold file"
			case n.Data != nil && n.Data.Peers:
				alone[n.Name] = "has a peers.json"
			case m.Member(n.Name).Will != WillNone:
				alone[n.Name] = "was " + string(m.Member(n.Name).Will) + " by hand"
			}
		}
		for _, wave := range plan.Waves {
			for _, step := range wave {
				if why := alone[step.Node]; why != "" {
					t.Fatalf("%s on %s, which %s:\n%s", step.Action, step.Node, why, show(plan))
				}
			}
		}
	})
}

// A cluster is born only when every node was seen with a data folder that was
// empty before we first started Vault there.
func TestBirthNeedsEveryNodeProven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anyScene(t)
		m := Remember(s.memory, s.want, s.have, s.now)
		plan := Cluster(s.want, s.have, m, s.now)
		for _, wave := range plan.Waves {
			for _, step := range wave {
				if step.Action != ActionInit {
					continue
				}
				if _, ok := m.leave(LeaveInit, "", s.now); !ok || m.Known {
					t.Fatalf("init without leave, or of a known cluster:\n%s", show(plan))
				}
				for _, n := range s.have {
					if n.Machine == nil || !m.Member(n.Name).Empty {
						t.Fatalf("init although %s was not seen empty:\n%s", n.Name, show(plan))
					}
				}
			}
		}
	})
}

// A plan holds only diff's own and standard types: whoever acts on it cannot
// reach into what is wanted or what was seen.
func TestPlanHoldsOnlyItsOwnTypes(t *testing.T) {
	var walk func(reflect.Type, string)
	walk = func(typ reflect.Type, path string) {
		if pkg := typ.PkgPath(); strings.Contains(pkg, "vaultfleet") && !strings.HasSuffix(pkg, "/pkg/diff") {
			t.Errorf("%s is a %s: a plan is data of pkg/diff alone", path, typ)
		}
		switch typ.Kind() {
		case reflect.Slice, reflect.Pointer, reflect.Array:
			walk(typ.Elem(), path+"[]")
		case reflect.Map:
			walk(typ.Key(), path+" key")
			walk(typ.Elem(), path+" value")
		case reflect.Struct:
			if typ.PkgPath() == "time" {
				return
			}
			for f := range typ.Fields() {
				walk(f.Type, path+"."+f.Name)
			}
		case reflect.Func, reflect.Interface, reflect.Chan:
			t.Errorf("%s is a %s: a plan is data", path, typ.Kind())
		}
	}
	walk(reflect.TypeFor[Plan](), "Plan")
}

func BenchmarkPlanThousandClustersInSync(b *testing.B) {
	s := convergedScene(3)
	b.ReportAllocs()
	for b.Loop() {
		for range 1000 {
			if plan := Cluster(s.want, s.have, s.memory, s.now); !plan.Empty() {
				b.Fatal(show(plan))
			}
		}
	}
}

func BenchmarkPlanUpgrade(b *testing.B) {
	s := convergedScene(3)
	if err := s.applyWant([]string{"version", "1.21.1"}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if plan := Cluster(s.want, s.have, s.memory, s.now); len(plan.Waves) == 0 {
			b.Fatal("no waves")
		}
	}
}

func TestObservationsRoundTrip(t *testing.T) {
	s := convergedScene(3)
	first, err := json.Marshal(s.have)
	if err != nil {
		t.Fatal(err)
	}
	var back []actual.Node
	if err := json.Unmarshal(first, &back); err != nil {
		t.Fatal(err)
	}
	if second, _ := json.Marshal(back); !bytes.Equal(first, second) {
		t.Errorf("observations do not round-trip:\n%s\n%s", first, second)
	}
}
