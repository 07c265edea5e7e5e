package report

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/vaultfleet/reconciler/pkg/diff"
)

func save(t *testing.T, clusters ...Cluster) string {
	t.Helper()
	var b bytes.Buffer
	if err := JSON(&b, NewDocument(SchemaPlan, told, clusters, 0)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func read(t *testing.T, text string) Document {
	t.Helper()
	d, err := Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSavedPlanComesBackTheSame(t *testing.T) {
	text := save(t, fleet()...)
	var again bytes.Buffer
	if err := JSON(&again, read(t, text)); err != nil {
		t.Fatal(err)
	}
	if again.String() != text {
		t.Error("a saved plan does not round-trip")
	}
}

func TestSavedPlanCovers(t *testing.T) {
	saved := read(t, save(t, upgrading("prod-eu"), seen("quiet", 3)))
	now := func(change func(*diff.Plan)) diff.Plan {
		p := upgrading("prod-eu").Plan
		p.Waves = slices.Clone(p.Waves)
		change(&p)
		return p
	}
	for _, x := range []struct {
		name string
		now  diff.Plan
		want string // part of the refusal; empty: covered
	}{
		{"the same", now(func(*diff.Plan) {}), ""},
		{"steps are done already", now(func(p *diff.Plan) { p.Waves = p.Waves[2:] }), ""},
		{"the leader moved", now(func(p *diff.Plan) { slices.Reverse(p.Waves) }), ""},
		{"a new step", now(func(p *diff.Plan) { p.Waves[0] = diff.Wave{step("eu-9", diff.ActionReload, diff.EffectReload)} }), "reload on eu-9 is new"},
		{"a node went down", now(func(p *diff.Plan) { p.Waves[0] = diff.Wave{step("eu-9", diff.ActionStart, diff.EffectNone)} }), ""},
		{"another spec", now(func(p *diff.Plan) { p.Digest = "sha256:other" }), "the spec is another one"},
		{"a cluster that was not in it", diff.Plan{Cluster: "new", Waves: []diff.Wave{{step("a", diff.ActionStart, diff.EffectNone)}}}, "not in it"},
		{"a cluster that was not in it and needs nothing", diff.Plan{Cluster: "new"}, ""},
	} {
		err := saved.Covers(x.now)
		switch {
		case x.want == "" && err != nil:
			t.Errorf("%s: refused: %v", x.name, err)
		case x.want != "" && (!IsStale(err) || !strings.Contains(err.Error(), x.want)):
			t.Errorf("%s: %v", x.name, err)
		}
	}
}

func TestSavedPlanIsRefused(t *testing.T) {
	good := save(t, upgrading("prod-eu"))
	for name, text := range map[string]string{
		"no JSON":           "plan",
		"another schema":    strings.Replace(good, "reconciler/plan", "reconciler/status", 1),
		"a later format":    strings.Replace(good, `"formatVersion": "1.0"`, `"formatVersion": "2.0"`, 1),
		"a step was edited": strings.Replace(good, `"id": "eu-2-restart"`, `"id": "eu-2-xestart"`, 1),
	} {
		if text == good {
			t.Fatalf("%s: the test changes nothing", name)
		}
		if _, err := Read(strings.NewReader(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
