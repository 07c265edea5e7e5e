package report

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/pkg/diff"
)

// differing is a cluster in which something drifts.
func differing(d ...diff.Drift) Cluster {
	c := seen("prod", 3)
	c.Plan.Commit = "4f2a9c81d0e4"
	c.Drift = diff.Drifted{Rows: d, Compared: 40}
	return c
}

func aDrift() diff.Drift {
	return diff.Drift{ID: "D-1f0c22ab", Kind: diff.DriftChanged, Severity: diff.SeverityMedium, Path: "config.log_level", File: "/etc/vault.d/vault.hcl",
		Nodes: []string{"eu-2"}, Want: `"info"`, Have: `"trace"`, Effect: diff.EffectReload, Place: "clusters/prod/cluster.yaml:12",
		Traces: []diff.Trace{{Node: "eu-2", Owner: "bob", At: noon}}}
}

// inAllForms is a report in all its forms.
func inAllForms(t *testing.T, d DriftDocument) map[string]string {
	t.Helper()
	forms := map[string]string{}
	for name, write := range map[string]func(*bytes.Buffer) error{
		"text":     func(b *bytes.Buffer) error { return Drift(b, Options{}, d) },
		"markdown": func(b *bytes.Buffer) error { return DriftMarkdown(b, d) },
		"html":     func(b *bytes.Buffer) error { return DriftHTML(b, d) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		forms[name] = b.String()
	}
	return forms
}

// Whoever reads a report anywhere reads who wants it otherwise, of which commit, and who
// did it.
func TestADriftReportSaysWhoWantsItAndWhoDidIt(t *testing.T) {
	for name, text := range inAllForms(t, NewDrift(Source{Fleet: "acme"}, []Cluster{differing(aDrift())}, noon, time.Time{})) {
		text = strings.NewReplacer(`\_`, "_", "&#64;", "@", "&#39;", "'").Replace(text)
		for _, want := range []string{"clusters/prod/cluster.yaml:12@4f2a9c8", "bob's, written 2026-11-23T12:00:00Z", "D-1f0c22ab"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s does not say %q:\n%s", name, want, text)
			}
		}
	}
}

// What is new is not before what is worse.
func TestTheWorstDriftIsToldFirst(t *testing.T) {
	row := func(id string, s diff.Severity, sure time.Time) diff.Drift {
		d := aDrift()
		d.ID, d.Severity, d.Sure = id, s, sure
		return d
	}
	pending := row("pending", diff.SeverityCritical, time.Time{})
	pending.Pending = true
	d := NewDrift(Source{}, []Cluster{differing(row("new-low", diff.SeverityLow, time.Time{}), pending, row("open-critical", diff.SeverityCritical, noon), row("new-high", diff.SeverityHigh, time.Time{}))}, noon, time.Time{})
	var ids []string
	for _, i := range d.Items {
		ids = append(ids, i.ID)
	}
	if want := []string{"open-critical", "new-high", "new-low", "pending"}; !slices.Equal(ids, want) {
		t.Errorf("%v, and not %v", ids, want)
	}
}

// What is not put back now is not said to be.
func TestARemedyIsWhatBecomesOfIt(t *testing.T) {
	reload := diff.Step{ID: "x", Node: "eu-2", Action: diff.ActionReload, Effect: diff.EffectReload, Puts: []diff.Put{{Path: "/etc/vault.d/vault.hcl"}}}
	for name, c := range map[string]struct {
		edit func(*Cluster)
		want string
	}{
		"nothing in the way": {func(c *Cluster) {}, "is put back, or make it what the spec wants: reconciler drift accept"},
		"a closed window": {func(c *Cluster) {
			c.Plan.Waves[0][0].Await = diff.WaitWindow
			c.Plan.Waits = []diff.Wait{{Reason: diff.WaitWindow, Detail: "rollout.window is closed", Until: noon.Add(time.Hour)}}
		}, "is put back, not before 2026-11-23T13:00:00Z: rollout.window is closed"},
		"no approval": {func(c *Cluster) {
			c.Plan.Waves[0][0].Await = diff.WaitApproval
			c.Plan.Waits = []diff.Wait{{Reason: diff.WaitApproval, Detail: "operators has not approved this plan: reconciler approve prod"}}
		}, "is put back, and waits: operators has not approved this plan"},
		"a hold": {func(c *Cluster) {
			c.Plan.Waves = nil
			c.Plan.Blocks = []diff.Block{{Reason: diff.ReasonHeld, Detail: "held by ada: moving house", Lift: "reconciler resume prod"}, {Node: "eu-3"}}
		}, "is not put back: held by ada: moving house; reconciler resume prod"},
		"another node's block": {func(c *Cluster) {
			c.Plan.Blocks = []diff.Block{{Node: "eu-3", Reason: diff.ReasonHeld, Detail: "held by ada", Lift: "x"}}
		}, "is put back, or make it"},
		"not in manage": {func(c *Cluster) {
			c.Plan.Waves = nil
			c.Plan.Notes = []diff.Note{{Node: "eu-2", Change: diff.Change{What: "/etc/vault.d/vault.hcl"}, Why: "only observed: config is not in manage"}}
		}, "only observed: config is not in manage: put it back by hand"},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := differing(aDrift())
			cluster.Plan.Waves = []diff.Wave{{reload}}
			c.edit(&cluster)
			if got := remedy(cluster, cluster.Drift.Rows[0]); !strings.HasPrefix(got, c.want) {
				t.Errorf("%q", got)
			}
		})
	}
}

// What nodes say is foreign text, and stays text.
func TestForeignTextInADriftReportStaysText(t *testing.T) {
	evil := aDrift()
	evil.Path = "files[/etc/x\n| <script>alert(1)</script> `@all` \x1b[31m\u202e]"
	evil.Have, evil.Nodes = "](https://evil) <img src=x> \x1b]0;x\x07 | a", []string{"eu-2<b>"}
	c := differing(evil)
	c.Memory.Drifts = []diff.Episode{{ID: "D-0", Path: evil.Path, Nodes: evil.Nodes, Gone: noon}}
	d := NewDrift(Source{Fleet: "<i>acme"}, []Cluster{c}, noon, noon.Add(-time.Hour))
	for name, text := range inAllForms(t, d) {
		for _, bad := range []string{"<script", "<img", "<b>eu", "\x1b", "\u202e", "<i>acme", "\n|  <", "@all`"} {
			if name == "text" && slices.Contains([]string{"<script", "<img", "<i>acme"}, bad) {
				continue
			}
			if strings.Contains(text, bad) && !(name != "markdown" && bad == "@all`") {
				t.Errorf("%s has %q:\n%s", name, bad, text)
			}
		}
	}
}
