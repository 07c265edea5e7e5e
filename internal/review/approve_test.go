package review

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/vaultfleet/reconciler/internal/forge"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// approved is the example fleet, in which prod-eu asks for an approval.
func approved(t *testing.T, by string) *forgery {
	f := newForgery(t)
	f.trees[f.commit] = asksFor(t, example(t), by)
	f.look()
	return f
}

func asksFor(t *testing.T, tree fstest.MapFS, by string) fstest.MapFS {
	return edit(t, tree, prodEU, "rollout: {approval: none", "rollout: {approval: "+by)
}

func TestAnOperatorApprovesTheHeadThatTheyRead(t *testing.T) {
	f := approved(t, "operators")
	f.open(7, "one", asksFor(t, logLevel(t, "debug"), "operators"))
	r := f.reviewer()
	turn(t, r)
	head := hash("one")
	has(t, f.one(t, 7), "approval: operators has not approved this plan", "<code>/reconciler approve "+head[:12])
	for _, c := range []struct {
		who, says string
		want      forge.Reaction
		did       string
	}{
		{"mallory", "/reconciler approve " + head[:12], forge.Down, ""},
		{"alice", "/reconciler approve", forge.Down, ""},
		{"alice", "/reconciler approve prod-eu", forge.Down, ""},
		{"alice", "/reconciler approve " + hash("two")[:12], forge.Down, ""},
		{"alice", "/reconciler approve " + head[:6], forge.Down, ""},
		{"alice", "/reconciler approve " + head[:12] + " lab", forge.Down, ""},
		{"alice", "/reconciler approve " + head[:12], forge.Rocket, "approve prod-eu by alice on pull request 7"},
	} {
		f.held = nil
		id := f.says(7, c.who, c.says)
		turn(t, r)
		turn(t, f.reviewer())
		if f.react[id] != c.want || strings.Join(f.held, "; ") != c.did {
			t.Errorf("%s: %s: %q, %q", c.who, c.says, f.react[id], f.held)
		}
	}
	turn(t, r)
	has(t, f.one(t, 7), "approved by alice on pull request 7", "approved for prod-eu at "+head[:12])
	hasNot(t, f.one(t, 7), "/reconciler approve "+head[:12]+"</code>")
	if f.asked > 0 {
		t.Error("reviews were read that nobody counts")
	}
}

func TestWhoOperatesOneOfTwoClustersApprovesThatOne(t *testing.T) {
	f := newForgery(t)
	both := func(tree fstest.MapFS) fstest.MapFS {
		return edit(t, asksFor(t, tree, "operators"), "clusters/lab/cluster.yaml", "nodes:", "rollout: {approval: operators}\nnodes:")
	}
	f.trees[f.commit] = both(example(t))
	f.look()
	f.open(7, "one", edit(t, both(logLevel(t, "debug")), "clusters/lab/cluster.yaml", "{disable_mlock: true}", "{disable_mlock: true, log_level: debug}"))
	r := f.reviewer()
	r.Operators = func(cluster string) []string {
		if cluster == "lab" {
			return nil
		}
		return []string{"acme/vault-ops"}
	}
	turn(t, r)
	id := f.says(7, "alice", "/reconciler approve "+hash("one")[:12])
	turn(t, r)
	turn(t, r)
	if want := []string{"approve prod-eu by alice on pull request 7"}; !slices.Equal(f.held, want) || f.react[id] != forge.Rocket {
		t.Errorf("%q, %q", f.held, f.react[id])
	}
	has(t, f.one(t, 7), "approved for prod-eu at "+hash("one")[:12]+"; reconciler.yaml names nobody who may do that to lab")
}

func TestAPlanThatOutgrowsItsApprovalIsSaidInACommentOfItsOwn(t *testing.T) {
	f := approved(t, "operators")
	f.open(7, "one", asksFor(t, logLevel(t, "debug"), "operators"))
	r := f.reviewer()
	turn(t, r)
	f.says(7, "alice", "/reconciler approve "+hash("one")[:12])
	turn(t, r)
	if n := len(f.ours(7)); n != 1 {
		t.Fatalf("%d comments", n)
	}
	s := f.seen["prod-eu"] // a process that was started with something else has to be restarted
	for i := range s.Have {
		process := *s.Have[i].Process
		process.Binary = "sha256:other"
		s.Have[i].Process = &process
	}
	f.seen["prod-eu"] = s
	for range 3 {
		turn(t, r)
	}
	turn(t, f.reviewer())
	ours := f.ours(7)
	if len(ours) != 2 {
		t.Fatalf("%d comments:\n%s", len(ours), strings.Join(ours, "\n---\n"))
	}
	has(t, ours[1], "does more by now than was approved", "restart of eu-1, which alice on pull request 7 did not approve", "/reconciler approve "+hash("one")[:12])
}

func TestAReviewOfTheVeryHeadApproves(t *testing.T) {
	f := approved(t, "review")
	f.open(7, "one", asksFor(t, logLevel(t, "debug"), "review"))
	f.pulls[7].Author = "carol"
	f.team = append(f.team, "carol")
	r := f.reviewer()
	again := func() {
		f.pulls[7].Updated = f.pulls[7].Updated.Add(time.Second)
		turn(t, r)
	}
	for name, review := range map[string]forge.Review{
		"of another head":     {Author: "alice", Commit: hash("old"), Approved: true},
		"of no head":          {Author: "alice", Approved: true},
		"that asks for more":  {Author: "alice", Commit: hash("one")},
		"of a passer-by":      {Author: "mallory", Commit: hash("one"), Approved: true},
		"of the author's own": {Author: "carol", Commit: hash("one"), Approved: true},
	} {
		f.reviewed = []forge.Review{review}
		if again(); len(f.held) > 0 {
			t.Errorf("a review %s: %q", name, f.held)
		}
	}
	f.reviewed = []forge.Review{{Author: "alice", Commit: hash("one"), Approved: true}}
	again()
	again()
	if want := []string{"approve prod-eu by alice's review of pull request 7"}; !slices.Equal(f.held, want) {
		t.Errorf("%q", f.held)
	}
	f.reviewed = nil // dismissed
	again()
	if len(f.held) != 2 || f.held[1] != "withdraw prod-eu of alice's review of pull request 7" {
		t.Errorf("%q", f.held)
	}
	if slices.ContainsFunc(f.seen["prod-eu"].Memory.Leaves, func(l diff.Leave) bool { return l.Kind == diff.LeaveApproval }) {
		t.Error("it still counts")
	}
}

// Forges tell the second of an update: what is said in the second in which we looked is
// heard at the next turn.
func TestACommentInTheSecondOfTheLookIsHeard(t *testing.T) {
	f := newForgery(t)
	f.open(7, "one", logLevel(t, "debug"))
	r := f.reviewer()
	turn(t, r)
	updated := f.pulls[7].Updated
	id := f.says(7, "alice", "/reconciler plan")
	f.pulls[7].Updated = updated
	turn(t, r)
	if f.react[id] != forge.Rocket {
		t.Error("it was not heard")
	}
	turn(t, r)
	reads := f.reads
	turn(t, r)
	if f.reads != reads+1 {
		t.Errorf("%d reads of a pull request that nobody touches", f.reads-reads)
	}
}
