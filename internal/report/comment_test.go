package report

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// proposed is a pull request that upgrades a cluster, found with some drift.
func proposed(name string) Proposed {
	after, commits, anyway := upgrading(name), upgrading(name), seen(name, 3)
	anyway.Plan.Waves = []diff.Wave{{step("eu-2", diff.ActionPlace, diff.EffectNone, diff.Change{What: "/etc/vault.d/motd", From: "sha256:1", To: "sha256:2"})}}
	return Proposed{Name: name, Nodes: 3, Fate: FateChanged, Commits: commits, After: &after, Anyway: &anyway, Seen: noon}
}

func TestCommentIsWhatPeopleRead(t *testing.T) {
	p := Proposal{Source: Source{Fleet: "acme", Branch: "main", Commit: strings.Repeat("b", 40)}, Head: strings.Repeat("a", 40), Untouched: 4,
		Clusters: []Proposed{proposed("prod-eu"), {Name: "old", Nodes: 1, Fate: FateRemoved}}}
	blocked := proposed("prod-us")
	blocked.After.Plan.Blocks = []diff.Block{{Node: "eu-1", Reason: diff.ReasonNoLock, Detail: "no entry", Lift: "lock it"}, {Node: "eu-2", Reason: diff.ReasonNoLock, Detail: "no entry", Lift: "lock it"}}
	blocked.Strange = []string{"eu-3"}
	p.Clusters = append(p.Clusters, blocked, Proposed{Name: "worse", Nodes: 3, Fate: FateChanged,
		Commits: Cluster{Name: "worse", Broken: []desired.Problem{{Place: desired.Place{File: "clusters/worse/cluster.yaml", Line: 3, Column: 1}, Severity: desired.SeverityError, Text: "unknown key `mod`"}}}})
	golden(t, "comment.md", Comment(p, 60_000)+Footer(p)+"\n")
}

// Whatever a pull request is made of, its comment is whole, not too long, and
// nothing of it leaves a fence or looks like ours.
func TestACommentIsWholeAndNotTooLong(t *testing.T) {
	nasty := []string{"```", "</details>", "@all", "<!-- reconciler:end -->", "| a | b |", "\n\n# big", "\x1b[31m", "https://evil.example", "a\u202eb", strings.Repeat("`", 9)}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.Custom(func(t *rapid.T) string {
			return rapid.SampledFrom(nasty).Draw(t, "nasty") + rapid.StringN(0, 20, 40).Draw(t, "text")
		})
		p := Proposal{Source: Source{Branch: "main", Commit: strings.Repeat("b", 40)}, Head: strings.Repeat("a", 40)}
		for i := range rapid.IntRange(0, 60).Draw(t, "clusters") {
			c := proposed(fmt.Sprintf("c-%d", i))
			for w := range c.After.Plan.Waves {
				for s := range c.After.Plan.Waves[w] {
					c.After.Plan.Waves[w][s].Changes = []diff.Change{{What: text.Draw(t, "what"), From: text.Draw(t, "from"), To: text.Draw(t, "to")}}
				}
			}
			c.Commits = *c.After
			if rapid.Bool().Draw(t, "blocked") {
				c.After.Plan.Blocks = []diff.Block{{Node: "eu-1", Reason: diff.ReasonNoLock, Detail: text.Draw(t, "detail"), Lift: text.Draw(t, "lift")}}
			}
			p.Clusters = append(p.Clusters, c)
		}
		most := rapid.SampledFrom([]int{20_000, 60_000}).Draw(t, "most")
		body := Comment(p, most)
		if len(body) > most {
			t.Fatalf("%d bytes of %d", len(body), most)
		}
		whole(t, body)
	})
}

// whole wants every fence and fold closed, and nothing outside of a fence that
// mentions, links or comments.
func whole(t interface{ Fatalf(string, ...any) }, body string) {
	fence, folds := "", 0
	for line := range strings.SplitSeq(body, "\n") {
		ticks := line[:len(line)-len(strings.TrimLeft(line, "`"))]
		switch {
		case fence != "" && line == fence:
			fence = ""
		case fence != "":
		case len(ticks) >= 3:
			fence = ticks
		default:
			folds += strings.Count(line, "<details>") - strings.Count(line, "</details>")
			for _, bad := range []string{"@", "://", "<!--", "\x1b", "\u202e"} {
				if strings.Contains(line, bad) {
					t.Fatalf("%q outside of a fence: %s", bad, line)
				}
			}
		}
	}
	if fence != "" || folds != 0 {
		t.Fatalf("a fence %q or %d folds are open:\n%s", fence, folds, body)
	}
}

func TestARolloutIsToldTheWorstFirst(t *testing.T) {
	all := Rollout{Commit: strings.Repeat("c", 40), Clusters: []Rolling{
		{Cluster: "a", Phase: PhaseApplied, Words: "in sync"}, {Cluster: "b", Phase: PhaseRolling, Words: "restart eu-2"}}}
	if all.Phase() != PhaseRolling || all.Words() != "rolling out in 1 of 2 clusters, applied in 1 of 2 clusters" {
		t.Errorf("%s: %s", all.Phase(), all.Words())
	}
	all.Clusters = append(all.Clusters, Rolling{Cluster: "c", Phase: PhaseStopped, Words: "eu-1 is @all", Lift: "look"})
	text := all.Markdown()
	if all.Phase() != PhaseStopped || !strings.HasPrefix(text, "### 🔴") || !strings.Contains(text, "> Lift: look") {
		t.Errorf("%s", text)
	}
	whole(t, text)
	for phase, want := range map[Phase]Phase{PhaseGone: PhaseApplied, PhaseObserved: PhaseApplied, PhaseWaiting: PhaseWaiting} {
		if got := (Rollout{Clusters: []Rolling{{Phase: phase}}}).Phase(); got != want {
			t.Errorf("%s alone is %s", phase, got)
		}
	}
}

func BenchmarkComment(b *testing.B) {
	p := Proposal{}
	for i := range 200 {
		p.Clusters = append(p.Clusters, proposed(fmt.Sprintf("c-%d", i)))
	}
	b.ReportAllocs()
	for b.Loop() {
		Comment(p, 60_000)
	}
}
