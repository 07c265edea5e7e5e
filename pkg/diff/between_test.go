package diff

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vaultfleet/reconciler/examples"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// What is settled leaves nothing to do, whatever the spec; else a pull request
// would be blamed for it.
func TestBetweenASpecAndItselfIsNothing(t *testing.T) {
	empty := func(t interface{ Errorf(string, ...any) }, c desired.Cluster) {
		if plan := Between(c, c, noon); len(plan.Waves) > 0 || len(plan.Waits) > 0 || len(plan.Notes) > 0 || len(plan.Unseen) > 0 {
			t.Errorf("%s differs from itself:\n%s", c.Name, show(plan))
		}
	}
	fleet := desired.Load(examples.FleetRepo(), desired.Options{})
	if len(fleet.Clusters) < 2 {
		t.Fatalf("the example has %d clusters: %v", len(fleet.Clusters), fleet.Problems)
	}
	for _, c := range fleet.Clusters {
		empty(t, c)
	}
	rapid.Check(t, func(t *rapid.T) { empty(t, anyScene(t).want) })
}

// The plan between two specs is that for nodes that converged on the first.
func TestBetweenTwoSpecsIsThePlanForNodesOnTheFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := convergedScene(3)
		old := convergedScene(len(s.want.Nodes)).want
		for _, wish := range rapid.SliceOfN(rapid.SampledFrom([]string{"config ui false", `config log_level "debug"`, "version 1.21.1",
			"bytes " + notePath, "bytes " + certPath, "audit spare syslog"}), 0, 3).Draw(t, "wishes") {
			if err := s.applyWant(strings.Fields(wish)); err != nil {
				t.Fatal(err)
			}
		}
		if s.want.Digest == old.Digest {
			s.want.Digest = "spec-2"
		}
		live, between := s.plan(), Between(old, s.want, s.now)
		if got, want := whatItDoes(between), whatItDoes(live); !slices.Equal(got, want) {
			t.Fatalf("between:\n%s\nlive:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// A look does not read a configuration that is the wanted one; what changes to
// another is told all the same.
func TestALookThatWasMadeForOneSpecServesAnother(t *testing.T) {
	s := convergedScene(3)
	old := convergedScene(3).want
	if err := s.applyWant([]string{"config", "log_level", `"debug"`}); err != nil {
		t.Fatal(err)
	}
	for i := range s.have {
		f := s.have[i].Files[configPath]
		f.Config = nil
		s.have[i].Files[configPath] = f
		s.have[i].Process.Mark.Config = nil
	}
	have := Asked(s.have, old, s.want)
	if s.have[0].Process.Mark.Config != nil {
		t.Error("the look itself was changed")
	}
	m := Remember(s.memory, s.want, have, s.now)
	if got, want := whatItDoes(Cluster(s.want, have, m, s.now)), whatItDoes(Between(old, s.want, s.now)); !slices.Equal(got, want) || len(got) != 3 {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// whatItDoes are a plan's acts and changes, in order.
func whatItDoes(p Plan) []string {
	var lines []string
	for _, w := range p.Waves {
		for _, s := range w {
			b, _ := json.Marshal([]any{s.Node, s.Action, s.Effect, s.Cause, s.Changes})
			lines = append(lines, string(b))
		}
	}
	return lines
}

func TestBetweenNothingAndASpecIsItsBirth(t *testing.T) {
	want := freshScene(3).want
	plan := Between(desired.Cluster{}, want, noon)
	text := show(plan)
	for _, words := range []string{"install", "place", string(ReasonUnapproved)} {
		if !strings.Contains(text, words) {
			t.Errorf("no %s in\n%s", words, text)
		}
	}
}

func TestBetweenTwoSpecsANodeComesAndAnotherGoes(t *testing.T) {
	s := convergedScene(3)
	fresh := s.want
	fresh.Digest = "spec-2"
	fresh.Nodes = []desired.Node{s.want.Nodes[0], s.want.Nodes[1], sceneNode(4)}
	plan := Between(s.want, fresh, noon)
	if text := show(plan); !strings.Contains(text, "node eu-3") || !strings.Contains(text, "eu-4") || strings.Contains(text, "eu-1 ") {
		t.Errorf("%s", text)
	}
}

func BenchmarkBetween(b *testing.B) {
	s := convergedScene(5)
	old := convergedScene(len(s.want.Nodes)).want
	if err := s.applyWant([]string{"version", "1.21.1"}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		Between(old, s.want, noon)
	}
}
