package review

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/vaultfleet/reconciler/internal/forge"
	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// one is the only comment of ours.
func (f *forgery) one(t *testing.T, number int) string {
	t.Helper()
	ours := f.ours(number)
	if len(ours) != 1 {
		t.Fatalf("%d comments of ours:\n%s", len(ours), strings.Join(ours, "\n----\n"))
	}
	return ours[0]
}

func has(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("no %q in\n%s", w, text)
		}
	}
}

func hasNot(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if strings.Contains(text, w) {
			t.Errorf("%q in\n%s", w, text)
		}
	}
}

func logLevel(t *testing.T, level string) fstest.MapFS {
	return edit(t, example(t), prodEU, "  ui: true", "  ui: true\n  log_level: "+level)
}

func TestAPullRequestIsAnsweredOnceAndInPlace(t *testing.T) {
	f := newForgery(t)
	f.open(7, "one", logLevel(t, "debug"))
	r := f.reviewer()
	turn(t, r)
	has(t, f.one(t, 7), "log_level", "prod-eu", "debug", "1 other cluster not touched")
	if s := f.statuses[hash("one")+" reconciler/plan"]; !strings.HasPrefix(s, "success 3 of 3 nodes to change") {
		t.Errorf("status %q", s)
	}
	writes, merges := f.writes, f.propos
	for range 3 {
		turn(t, r)
	}
	turn(t, f.reviewer()) // after a restart
	if f.writes != writes+1 || f.propos != merges+1 {
		t.Errorf("nothing changed, and %d times something was written (one status after the restart), %d merges were read", f.writes-writes, f.propos-merges)
	}
	f.open(7, "two", edit(t, logLevel(t, "debug"), prodEU, "ui: true", "ui: false"))
	turn(t, r)
	text := f.one(t, 7)
	has(t, text, "ui", "Earlier plans (1)", hash("one")[:12])
	if s := f.statuses[hash("two")+" reconciler/plan"]; s == "" {
		t.Error("the new head has no status")
	}
}

func TestTheTwoQuestionsAreAnsweredApart(t *testing.T) {
	f := newForgery(t)
	s := f.seen["prod-eu"]
	node := &s.Have[1]
	files := map[string]actual.File{}
	for path, file := range node.Files {
		if strings.HasSuffix(path, "ca.crt") {
			file.Mode = "0666"
		}
		files[path] = file
	}
	node.Files = files
	f.seen["prod-eu"] = s
	f.open(7, "one", logLevel(t, "debug"))
	turn(t, f.reviewer())
	text := f.one(t, 7)
	asked, found, ok := strings.Cut(text, "not from this pull request")
	if !ok {
		t.Fatal(text)
	}
	has(t, found, "/etc/vault.d/tls/ca.crt", "eu-2")
	has(t, asked, "log_level")
	hasNot(t, asked, "ca.crt")
}

func TestAMovedBaseOrNodeIsPlannedAnew(t *testing.T) {
	f := newForgery(t)
	f.open(7, "one", logLevel(t, "debug"))
	r := f.reviewer()
	turn(t, r)
	before := f.one(t, 7)
	f.commit = hash("later")
	f.trees[f.commit] = logLevel(t, "debug") // somebody merged the same
	f.look()
	turn(t, r)
	after := f.one(t, 7)
	if before == after {
		t.Error("the base moved, and the comment says the same")
	}
	has(t, after, "no cluster is touched")
	f.commit = hash("base")
	f.look()
	turn(t, r)
	f.commit = hash("docs")
	f.trees[f.commit] = edit(t, example(t), "README.md", "", "more words")
	turn(t, r)
	has(t, f.one(t, 7), "merged into "+hash("docs")[:12], `"debug"`)
	s := f.seen["prod-eu"]
	s.Have = nil
	f.seen["prod-eu"] = s
	turn(t, r)
	has(t, f.one(t, 7), "nobody has looked at it yet")
}

func TestAnUpgradeSaysInWhatOrderAndThatItIsOneWay(t *testing.T) {
	f := newForgery(t)
	f.open(7, "one", edit(t, example(t), prodEU, "version: 1.21.0", "version: 1.21.4"))
	turn(t, f.reviewer())
	has(t, f.one(t, 7), "🟠 reconciler plan · 3 of 3 nodes to change; 3 restart", "1.21.0 → 1.21.4", "eu-2 → eu-3 → eu-1 (leader, last)", "Reverting does not undo this")
}

func TestAClusterComesAndAnotherGoes(t *testing.T) {
	f := newForgery(t)
	tree := edit(t, example(t), "clusters/new/cluster.yaml", "", strings.Replace(strings.Replace(string(example(t)["clusters/lab/cluster.yaml"].Data), "cluster: lab", "cluster: new", 1), "10.", "10.9", -1))
	delete(tree, "clusters/lab/cluster.yaml")
	f.open(7, "one", tree)
	turn(t, f.reviewer())
	has(t, f.one(t, 7), "1 cluster new; 1 cluster removed", "**lab** | 1 | gone from the repo: nothing is done to it any more", "**new** | 1 | a new cluster")
}

func TestWhatTouchesNothingGetsAStatusAndNoComment(t *testing.T) {
	f := newForgery(t)
	f.open(7, "docs", edit(t, example(t), "README.md", "", "more words"))
	turn(t, f.reviewer())
	if len(f.ours(7)) != 0 || f.statuses[hash("docs")+" reconciler/plan"] != "success no cluster is touched" {
		t.Errorf("%q, %q", f.ours(7), f.statuses)
	}
}

func TestDraftsAndForksGetAStatusAlone(t *testing.T) {
	f := newForgery(t)
	f.open(7, "one", logLevel(t, "debug")).Draft = true
	f.open(8, "two", logLevel(t, "trace")).Fork = true
	r := f.reviewer()
	turn(t, r)
	if len(f.ours(7))+len(f.ours(8)) != 0 {
		t.Errorf("%q %q", f.ours(7), f.ours(8))
	}
	has(t, f.statuses[hash("one")+" reconciler/plan"], "3 of 3 nodes")
	has(t, f.statuses[hash("two")+" reconciler/plan"], "success not planned: it comes from a fork")
	if f.propos != 1 {
		t.Errorf("%d merges were read, one of them a stranger's", f.propos)
	}
	f.pulls[7].Draft = false
	turn(t, r)
	f.one(t, 7)
}

func TestWhereANodeIsReachedIsNotBelieved(t *testing.T) {
	f := newForgery(t)
	f.open(7, "one", edit(t, example(t), prodEU, "address: 10.1.0.11", "address: 10.1.0.99"))
	turn(t, f.reviewer())
	has(t, f.one(t, 7), "Not looked at: eu-1", "nothing connects there before the merge", "1 of 3 nodes not fully seen")
}

func TestWhatIsWrongIsToldWithItsPlace(t *testing.T) {
	f := newForgery(t)
	f.open(7, "one", edit(t, example(t), prodEU, "ui: true", "ui: true\nlisten: 8200"))
	turn(t, f.reviewer())
	has(t, f.one(t, 7), "🔴", "clusters/prod-eu/cluster.yaml", "listen", "the spec that is in force stays")
	if s := f.statuses[hash("one")+" reconciler/plan"]; !strings.HasPrefix(s, "failure 1 error") {
		t.Errorf("status %q", s)
	}
}

func TestWhatAForgeFindsTooLongIsSaidInFewerWords(t *testing.T) {
	f := newForgery(t)
	f.open(7, "one", edit(t, example(t), prodEU, "version: 1.21.0", "version: 1.21.4"))
	turn(t, f.reviewer())
	f.most = len(f.one(t, 7)) - 1
	delete(f.comments, 7)
	turn(t, f.reviewer())
	has(t, f.one(t, 7), "3 of 3 nodes to change")
}

func TestAMistakeIsNewWhereItWasNotBefore(t *testing.T) {
	f := newForgery(t)
	const mistake = "listen: 8200\n"
	base := edit(t, example(t), "clusters/lab/cluster.yaml", "seal: shamir\n", mistake+"seal: shamir\n")
	f.trees[f.commit] = base
	f.look()
	f.open(7, "one", edit(t, base, prodEU, "seal: shamir\n", mistake+"seal: shamir\n"))
	f.open(8, "two", edit(t, base, "README.md", "", "more words"))
	turn(t, f.reviewer())
	has(t, f.one(t, 7), "🔴", prodEU)
	hasNot(t, f.one(t, 7), "clusters/lab/cluster.yaml")
	if s := f.statuses[hash("two")+" reconciler/plan"]; s != "success no cluster is touched" {
		t.Errorf("what was wrong before is told of who did not do it: %q", s)
	}
}

func TestAForkSaysNothingOfACommitThatIsNotItsOwn(t *testing.T) {
	f := newForgery(t)
	f.open(7, "one", edit(t, example(t), prodEU, "ui: true", "ui: true\nlisten: 8200"))
	f.open(8, "one", f.trees[hash("one")]).Fork = true
	r := f.reviewer()
	turn(t, r)
	turn(t, r)
	if s := f.statuses[hash("one")+" reconciler/plan"]; !strings.HasPrefix(s, "failure") {
		t.Errorf("status %q", s)
	}
}

func TestAPlaintextSecretIsNotRepeated(t *testing.T) {
	f := newForgery(t)
	const secret = "hvs.CAESIJ6rcanaryCanaryCanary0123456789canary"
	f.open(7, "one", edit(t, example(t), prodEU, "NO_PROXY:", "VAULT_TOKEN: "+secret+", NO_PROXY:"))
	turn(t, f.reviewer())
	text := f.one(t, 7)
	has(t, text, "🔴")
	hasNot(t, text+f.statuses[hash("one")+" reconciler/plan"], secret, secret[4:20])
}

func TestForeignTextStaysText(t *testing.T) {
	f := newForgery(t)
	f.open(7, "one", edit(t, example(t), prodEU, "  ui: true", "  ui: true\n  cluster_name: \"```\\n</details>@everyone <!-- reconciler:end --> #1\""))
	turn(t, f.reviewer())
	text := f.one(t, 7)
	body, _, _ := strings.Cut(text, "Earlier plans")
	if n := strings.Count(body, "\n````"); n < 1 {
		t.Errorf("the fence can be closed:\n%s", text)
	}
	for line := range strings.SplitSeq(outsideFences(text), "\n") {
		if strings.Contains(line, "@everyone") || strings.Contains(line, "</details>@") {
			t.Errorf("outside of a fence: %s", line)
		}
	}
	if _, plan := read(text); !strings.Contains(plan, "cluster_name") || strings.Count(text, planClose) != 1 {
		t.Errorf("the end of the plan was forged:\n%s", text)
	}
}

// outsideFences is markdown without what stands in fences.
func outsideFences(text string) string {
	var out []string
	fence := ""
	for line := range strings.SplitSeq(text, "\n") {
		ticks := line[:len(line)-len(strings.TrimLeft(line, "`"))]
		switch {
		case fence == "" && len(ticks) >= 3:
			fence = ticks
		case fence != "" && line == fence:
			fence = ""
		case fence == "":
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

func TestACommentOfSomebodyElseIsNeverTouched(t *testing.T) {
	f := newForgery(t)
	f.open(7, "one", logLevel(t, "debug"))
	r := f.reviewer()
	f.says(7, "mallory", marker(r.Identity)+"\nnothing to see here")
	turn(t, r)
	f.one(t, 7)
	if f.comments[7][0].Body != marker(r.Identity)+"\nnothing to see here" {
		t.Error("a comment of mallory's was edited")
	}
}

func TestAHeadThatMovedMeanwhileIsNotWrittenOf(t *testing.T) {
	f := newForgery(t)
	f.open(7, "one", logLevel(t, "debug"))
	f.onPull = func() { f.open(7, "two", logLevel(t, "trace")) }
	r := f.reviewer()
	turn(t, r)
	if len(f.ours(7)) != 0 {
		t.Error("a slow turn wrote over a newer one")
	}
	f.onPull = nil
	turn(t, r)
	has(t, f.one(t, 7), "trace")
}

func TestADeletedCommentIsMadeAnew(t *testing.T) {
	f := newForgery(t)
	f.open(7, "one", logLevel(t, "debug"))
	r := f.reviewer()
	turn(t, r)
	f.comments[7] = nil
	f.open(7, "two", logLevel(t, "trace"))
	turn(t, r)
	has(t, f.one(t, 7), "trace")
}

func TestOneTroubleKeepsNobodyElseFromAnAnswer(t *testing.T) {
	f := newForgery(t)
	f.open(7, "one", logLevel(t, "debug"))
	f.open(8, "two", logLevel(t, "trace"))
	r := f.reviewer()
	propose := r.Propose
	r.Propose = func(ctx context.Context, base, head string) (Change, error) {
		if head == hash("one") {
			return Change{}, errors.New("the server is silent")
		}
		return propose(ctx, base, head)
	}
	if err := r.Turn(t.Context()); err == nil || !strings.Contains(err.Error(), "pull request 7") {
		t.Errorf("%v", err)
	}
	f.one(t, 8)
	reads := f.propos
	turn(t, r) // and is not tried at once
	if f.propos != reads || len(f.ours(7)) != 0 {
		t.Error("what failed was tried again at once")
	}
	r.Propose = propose
	f.now = f.now.Add(61 * time.Second)
	turn(t, r)
	f.one(t, 7)
}

func TestWhatBecameOfEachReadingIsHeard(t *testing.T) {
	f := newForgery(t)
	f.open(7, "one", logLevel(t, "debug"))
	r := f.reviewer()
	heard := ""
	r.Compared = func(o Outcome) { heard += string(o) + " " }
	turn(t, r)
	turn(t, r) // nothing is read again
	for _, err := range []error{ErrMoved, errors.New("the server is silent"), &RefusedError{Why: "both sides changed"}} {
		r.Propose = func(context.Context, string, string) (Change, error) { return Change{}, err }
		f.open(7, "two", logLevel(t, "trace"))
		_ = r.Turn(t.Context())
		f.now = f.now.Add(time.Hour)
	}
	if heard != "planned failed refused " {
		t.Errorf("heard %s", heard)
	}
}

func TestAMergeThatCannotBeMadeIsToldSo(t *testing.T) {
	f := newForgery(t)
	f.open(7, "one", logLevel(t, "debug"))
	r := f.reviewer()
	r.Propose = func(context.Context, string, string) (Change, error) {
		return Change{}, &RefusedError{Why: "both sides changed clusters/prod-eu/cluster.yaml", Hint: "merge main into it"}
	}
	turn(t, r)
	has(t, f.one(t, 7), "both sides changed", "merge main into it")
	has(t, f.statuses[hash("one")+" reconciler/plan"], "failure")
}

func TestWhatIsTooLargeIsToldOnceAndNotReadAllTheTime(t *testing.T) {
	f := newForgery(t)
	f.open(7, "one", logLevel(t, "debug"))
	r := f.reviewer()
	reads := 0
	r.Propose = func(context.Context, string, string) (Change, error) {
		reads++
		return Change{}, &RefusedError{Why: "it is too large: the pack that the server sends is larger than 64 MiB", Large: true}
	}
	turn(t, r)
	if s := f.statuses[hash("one")+" reconciler/plan"]; s != "failure not planned: it is too large: the pack that the server sends is larger than 64 MiB" {
		t.Errorf("status %q", s)
	}
	writes := f.writes
	f.push("docs", edit(t, example(t), "README.md", "", "more words"))
	for range 3 {
		turn(t, r)
	}
	if reads != 1 || f.writes != writes {
		t.Errorf("it was read %d times, and %d times something was written", reads, f.writes-writes)
	}
	f.now = f.now.Add(time.Hour)
	turn(t, r) // the branch may have what was large by now
	if reads != 2 {
		t.Errorf("after an hour it was read %d times", reads)
	}
	f.open(7, "two", logLevel(t, "trace"))
	turn(t, r)
	if s := f.statuses[hash("two")+" reconciler/plan"]; reads != 3 || !strings.HasPrefix(s, "failure") {
		t.Errorf("another head was read %d times: %q", reads, s)
	}
}

func TestWhatIsQueuedGetsAStatusAndNoComment(t *testing.T) {
	f := newForgery(t)
	good, bad := hash("group one"), hash("group two")
	f.trees[good] = logLevel(t, "debug")
	f.trees[bad] = edit(t, logLevel(t, "debug"), prodEU, "  ui: true", "  ui: true\nlisten: 8200")
	f.queue = []string{good, bad, hash("gone by now")}
	r := f.reviewer()
	turn(t, r)
	has(t, f.statuses[good+" reconciler/plan"], "success 3 of 3 nodes to change")
	has(t, f.statuses[bad+" reconciler/plan"], "failure")
	writes, reads := f.writes, f.propos
	turn(t, r)
	if f.writes != writes || f.propos != reads || f.last > 0 {
		t.Errorf("%d writes, %d reads, %d comments", f.writes-writes, f.propos-reads, f.last)
	}
	f.queue = []string{bad}
	f.push("another", edit(t, example(t), "README.md", "", "more words"))
	turn(t, r)
	if f.writes != writes || f.propos != reads+1 || len(r.queue) != 1 {
		t.Errorf("%d writes, %d reads, %d are queued", f.writes-writes, f.propos-reads, len(r.queue))
	}
}

func TestAQueueThatMayNotBeSeenIsToldOnce(t *testing.T) {
	f := newForgery(t)
	f.open(7, "one", logLevel(t, "debug"))
	r := f.reviewer()
	turn(t, r)
	turn(t, r)
	f.one(t, 7)
	if n := strings.Count(f.log.String(), "a merge queue would not be seen"); n != 1 {
		t.Errorf("it was told %d times", n)
	}
}

func TestAPersonMayHoldAndOnlyAnOperatorResume(t *testing.T) {
	f := newForgery(t)
	f.open(7, "one", logLevel(t, "debug"))
	r := f.reviewer()
	turn(t, r)
	for _, c := range []struct {
		who, says string
		want      forge.Reaction
		did       string
	}{
		{"alice", "/reconciler hold prod-eu the network is down", forge.Rocket, "hold prod-eu by alice on pull request 7: the network is down"},
		{"alice", "/reconciler hold prod-eu", forge.Down, ""},
		{"mallory", "/reconciler resume prod-eu", forge.Down, ""},
		{"nobody", "/reconciler hold prod-eu x", forge.Down, ""},
		{"alice", "/reconciler hold prod-us x", forge.Down, ""},
		{"alice", "/reconciler apply", forge.Down, ""},
		{"alice", "please\n/reconciler hold prod-eu x", "", ""},
		{us, "/reconciler hold prod-eu x", "", ""},
		{"alice", "/reconciler plan", forge.Rocket, ""},
		{"alice", "/reconciler resume prod-eu it is back", forge.Rocket, "resume prod-eu by alice on pull request 7: it is back"},
	} {
		f.held = nil
		id := f.says(7, c.who, c.says)
		turn(t, r)
		turn(t, r)
		turn(t, f.reviewer())
		if f.react[id] != c.want || strings.Join(f.held, "; ") != c.did {
			t.Errorf("%s: %s: %q, %q", c.who, c.says, f.react[id], f.held)
		}
	}
	has(t, f.ours(7)[0], "alice: plan", "alice: resume prod-eu — resumed")
	f.held = nil
	id := f.says(7, "alice", "/reconciler hold prod-eu late")
	f.comments[7][len(f.comments[7])-1].Created = f.now.Add(-2 * time.Hour)
	edited := f.says(7, "alice", "/reconciler hold prod-eu edited")
	f.comments[7][len(f.comments[7])-1].Edited = true
	turn(t, r)
	if len(f.held) > 0 || f.react[id] != "" || f.react[edited] != "" {
		t.Errorf("old and edited comments were heard: %q", f.held)
	}
}

func TestTheCommentFollowsTheRollout(t *testing.T) {
	f := newForgery(t)
	tree := logLevel(t, "debug")
	f.open(7, "one", tree)
	r := f.reviewer()
	turn(t, r)
	p := f.pulls[7]
	merged := hash("merged")
	p.Open, p.Merged, p.MergedCommit = false, true, merged
	f.trees[merged], f.commit = tree, merged
	turn(t, r)
	has(t, f.one(t, 7), "⏳", "waiting in 1 of 1 cluster", "The plan as it was merged", "log_level")
	has(t, f.statuses[merged+" reconciler/rollout"], "pending")
	has(t, f.leads[merged+" reconciler/rollout"], "https://vaults.example.com/")

	want, _ := f.fleet(merged).Cluster("prod-eu")
	s := f.seen["prod-eu"]
	ring := s
	ring.Plan.Waits = []diff.Wait{{Reason: diff.WaitRing, Detail: "lab soaks"}}
	f.seen["prod-eu"] = ring
	turn(t, r)
	has(t, f.one(t, 7), "waiting", "lab soaks")
	old, _ := f.fleet(hash("base")).Cluster("prod-eu")
	s.Have = diff.Asked(s.Have, old, want)
	s.Plan = diff.Cluster(want, s.Have, s.Memory, f.now)
	f.seen["prod-eu"] = s
	r = f.reviewer() // a restart in the middle
	turn(t, r)
	has(t, f.one(t, 7), "rolling out in 1 of 1 cluster", "nodes")

	s.Plan.Blocks = []diff.Block{{Reason: diff.ReasonQuorum, Detail: "eu-2 did not come back", Lift: "bring it back"}}
	f.seen["prod-eu"] = s
	turn(t, r)
	f.now = f.now.Add(time.Minute)
	s.Plan.Blocks[0].Detail = "eu-2 did not come back, for a while now"
	turn(t, r)
	if ours := f.ours(7); len(ours) != 2 || !strings.Contains(ours[1], "eu-2 did not come back") {
		t.Errorf("a stop is a comment of its own, once:\n%s", strings.Join(ours, "\n----\n"))
	}
	has(t, f.statuses[merged+" reconciler/rollout"], "failure")

	f.now = f.now.Add(17 * time.Minute)
	f.look()
	turn(t, r)
	has(t, f.ours(7)[0], "✅", "applied in 1 of 1 cluster", "from 12:00 to 12:18 UTC")
	has(t, f.statuses[merged+" reconciler/rollout"], "success")
	writes := f.writes
	turn(t, r)
	turn(t, f.reviewer())
	if f.writes != writes {
		t.Errorf("it is over, and %d times something was written", f.writes-writes)
	}
}

// What a commit will do is planned on the look at the spec in force: what both note is
// not said again, and a node that is reached otherwise then was not seen.
func TestWhatIsComingIsPlannedOnTheLastLook(t *testing.T) {
	f := newForgery(t)
	f.trees[hash("next")] = edit(t, logLevel(t, "debug"), prodEU, "address: 10.1.0.12", "address: 10.1.0.99")
	old, _ := f.fleet(f.commit).Cluster("prod-eu")
	fresh, _ := f.fleet(hash("next")).Cluster("prod-eu")
	s := f.seen["prod-eu"]
	now := Plan(old, s.Have, s.Memory, f.now)
	if len(now.Plan.Notes) == 0 {
		t.Fatal("nothing is noted, and nothing can be left out")
	}
	next := Coming(now, old, fresh, hash("next"), f.now)
	var changed []string
	for _, wave := range next.Plan.Waves {
		for _, step := range wave {
			changed = append(changed, step.Node)
		}
	}
	slices.Sort(changed)
	if !slices.Equal(slices.Compact(changed), []string{"eu-1", "eu-3"}) || next.Plan.Commit != hash("next") || now.Plan.Commit != "" {
		t.Errorf("of commit %s it changes %v: %+v", next.Plan.Commit, changed, next.Plan)
	}
	if u := next.Plan.Unseen; len(u) != 1 || u[0].Node != "eu-2" || len(now.Plan.Unseen) != 0 {
		t.Errorf("not seen: %+v", u)
	}
	if slices.ContainsFunc(next.Plan.Notes, func(n diff.Note) bool { return slices.Contains(now.Plan.Notes, n) }) {
		t.Errorf("noted twice: %+v", next.Plan.Notes)
	}
}

func TestARolloutThatIsOvertakenEnds(t *testing.T) {
	f := newForgery(t)
	f.open(7, "one", logLevel(t, "debug"))
	r := f.reviewer()
	turn(t, r)
	merged := hash("merged")
	f.pulls[7].Open, f.pulls[7].Merged, f.pulls[7].MergedCommit = false, true, merged
	f.trees[merged], f.commit = logLevel(t, "debug"), merged
	turn(t, r)
	f.commit = hash("next")
	f.trees[f.commit] = logLevel(t, "trace")
	turn(t, r)
	has(t, f.one(t, 7), "overtaken by "+f.commit[:12], "commit "+f.commit[:12]+" wants something else of it")
	has(t, f.statuses[merged+" reconciler/rollout"], "success overtaken by "+f.commit[:12])
	has(t, f.statuses[f.commit+" reconciler/rollout"], "pending")
}

func TestWhatACommentRemembersSurvivesAndForgeriesDoNot(t *testing.T) {
	n := note{Head: "abc", Print: "p", Words: "w -- <!-- -->", Clusters: map[string]string{"prod-eu": "sha256:1"}}
	body := compose(marker("x"), n, "above", "the plan\n", "below")
	got, plan := read(body)
	if got.Words != n.Words || got.Clusters["prod-eu"] != "sha256:1" || plan != "the plan\n" {
		t.Errorf("%+v %q", got, plan)
	}
	if got, _ = read(strings.ReplaceAll(body, "\n", "\r\n")); got.Head != "abc" {
		t.Error("a forge that ends lines otherwise")
	}
	for _, bad := range []string{"", "x", marker("x"), marker("x") + "\n" + dataOpen + "!!" + markClose, marker("x") + "\n" + dataOpen + strings.Repeat("A", 1<<20) + markClose} {
		if got, _ := read(bad); got.Head != "" {
			t.Errorf("%.40q: %+v", bad, got)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(compose(marker("x"), note{Head: "abc"}, "", "plan\n", ""))
	f.Fuzz(func(t *testing.T, body string) { read(body) })
}

func FuzzParse(f *testing.F) {
	f.Add("/reconciler hold prod-eu why")
	f.Fuzz(func(t *testing.T, body string) {
		if c, ok := parse(body); ok && len([]rune(c.reason)) > maxReason+1 {
			t.Errorf("%q", c.reason)
		}
	})
}
