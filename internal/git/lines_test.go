package git

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/vaultfleet/reconciler/internal/git/gittest"
)

// sides are a text, and what two people made of it.
type sides struct{ fork, base, head string }

// judged is what git makes of each: the folder that holds the merged text as f, or ""
// for a conflict.
func judged(t *testing.T, all []sides) []string {
	t.Helper()
	dir := t.TempDir()
	gittest.Run(t, dir, "", "init", "-q", "--bare")
	var commits []gittest.Commit
	for _, s := range all {
		fork := len(commits)
		for i, text := range []string{s.fork, s.base, s.head} {
			commits = append(commits, gittest.Commit{Parents: []int{fork}[:min(i, 1)], Files: map[string]string{"f": text}})
		}
	}
	ids := gittest.Import(t, dir, commits)
	pairs := make([][2]string, len(all))
	for i := range pairs {
		pairs[i] = [2]string{ids[3*i+1], ids[3*i+2]}
	}
	return gittest.Merges(t, dir, pairs)
}

// folderWith is the folder that holds a text as f; "" for a conflict.
func folderWith(text string, merged bool) string {
	if !merged {
		return ""
	}
	blob := plumbing.ComputeHash(plumbing.BlobObject, []byte(text))
	return plumbing.ComputeHash(plumbing.TreeObject, append([]byte("100644 f\x00"), blob[:]...)).String()
}

// TestWhatTouchesIsAConflict, and git says so too. A word is a line; behind the last
// one there is a line's end unless a dot says that there is none. "!" is a conflict.
func TestWhatTouchesIsAConflict(t *testing.T) {
	cases := []struct{ name, fork, base, head, want string }{
		{"a line between", "a b c", "A b c", "a b C", "A b C"},
		{"no line between", "a b c d", "a B c d", "a b C d", "!"},
		{"the same change", "a b c", "a B c", "a B c", "a B c"},
		{"the same change, and another that touches it", "a b c d", "a B c d", "a B C d", "!"},
		{"lines that come at one place", "a b", "a x b", "a y b", "!"},
		{"the same line comes twice", "a b", "a x b", "a x b", "a x b"},
		{"one comes before the line that the other changes", "a b c", "a x b c", "a B c", "!"},
		{"one comes behind it", "a b c", "a b x c", "a B c", "!"},
		{"one goes beside one that changes", "a b c d", "a c d", "a b C d", "!"},
		{"both go, one further", "a b c d e", "a d e", "a e", "!"},
		{"both empty it", "a b", "", "", ""},
		{"an equal line comes: the lower one is new", "a b c", "a b b c", "A b c", "A b b c"},
		{"and touches what is below", "a b c", "a b b c", "a b C", "!"},
		{"of equal lines the last goes", "a b b b c", "a b b c", "A b b b c", "A b b c"},
		{"a block comes that begins as the next one does", "- a z - c z", "- a z - b z - c z", "- a z - C z", "!"},
		{"the last line has no end", "a b c.", "A b c.", "a b C.", "A b C."},
		{"one gives it an end", "a b c.", "A b c.", "a b c", "A b c"},
		{"one gives it an end, the other changes it", "a b c.", "a b C.", "a b c", "!"},
	}
	text := func(words string) string {
		words, open := strings.CutSuffix(words, ".")
		if words == "" || open {
			return strings.ReplaceAll(words, " ", "\n")
		}
		return strings.ReplaceAll(words, " ", "\n") + "\n"
	}
	var all []sides
	for _, c := range cases {
		all = append(all, sides{text(c.fork), text(c.base), text(c.head)})
	}
	for i, git := range judged(t, all) {
		want := folderWith(text(cases[i].want), cases[i].want != "!")
		got, merged := mergeLines(all[i].fork, all[i].base, all[i].head)
		if folderWith(got, merged) != want || git != want {
			t.Errorf("%s: merged %v to %q; that git says the same: %v", cases[i].name, merged, got, git == want)
		}
	}
}

// TestWhatCannotBeKnownIsAConflict: git's histogram diff gives up where nothing is in
// common but what is very frequent, and ours where a stranger wrote what has no end.
func TestWhatCannotBeKnownIsAConflict(t *testing.T) {
	t.Parallel()
	zones := strings.Repeat("zone: a\n", mostEqual+1)
	s := sides{"one\n" + zones, "two\n" + zones, "one\n" + zones + "three\n"}
	if judged(t, []sides{s})[0] == "" {
		t.Error("git does not merge what it leaves to another algorithm: this test is of no use")
	}
	if got, merged := mergeLines(s.fork, s.base, s.head); merged {
		t.Errorf("merged to %q", got)
	}
	var fork, base strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&fork, "%d\nold %d\n", i, i)
		fmt.Fprintf(&base, "%d\nnew %d\n", i, i)
	}
	if _, merged := mergeLines(fork.String(), base.String(), "begin\n"+fork.String()); merged {
		t.Error("what takes the square of its length was merged")
	}
}

// TestLinesAreMergedAsGitMergesThem, in random texts: never where git sees a conflict,
// never to another text. Where nothing is very frequent we are not stricter either.
func TestLinesAreMergedAsGitMergesThem(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		write    func(*rand.Rand) sides
		stricter int // at most
	}{
		"lists of nodes":      {nodes, 0},
		"few different lines": {few, 0},
		"very frequent lines": {frequent, 20},
	} {
		var all []sides
		for seed := range uint64(700) {
			all = append(all, c.write(rand.New(rand.NewPCG(seed, 1))))
		}
		clean, conflicts, stricter := 0, 0, 0
		for seed, want := range judged(t, all) {
			s := all[seed]
			got, merged := mergeLines(s.fork, s.base, s.head)
			switch {
			case !merged && want == "":
				conflicts++
			case !merged:
				stricter++
			case want == "":
				t.Errorf("%s, seed %d: we merge what is a conflict to git:\n%s\nto %s\nand %s", name, seed, s.fork, s.base, s.head)
			case folderWith(got, merged) != want:
				t.Errorf("%s, seed %d: git merges to another text than %s", name, seed, got)
			default:
				clean++
			}
		}
		t.Logf("%s: %d clean, %d conflicts, %d where we are stricter", name, clean, conflicts, stricter)
		if clean < 200 || conflicts < 200 || stricter > c.stricter {
			t.Errorf("%s: %d clean, %d conflicts, %d where we are stricter", name, clean, conflicts, stricter)
		}
	}
}

// nodes is a list as a cluster.yaml has it, a line for each node or several.
func nodes(random *rand.Rand) sides {
	node := func(i int) string { return fmt.Sprintf("  - {name: eu-%d, address: 10.0.0.%d}\n", i, i) }
	fork := []string{"cluster: prod-eu\n", "nodes:\n"}
	long := random.IntN(3) == 0
	for i := range 1 + random.IntN(9) {
		if !long {
			fork = append(fork, node(i))
			continue
		}
		fork = append(fork, fmt.Sprintf("  - name: eu-%d\n", i), fmt.Sprintf("    address: 10.0.0.%d\n", i), fmt.Sprintf("    zone: %c\n", 'a'+i%3))
		if random.IntN(4) == 0 {
			fork = append(fork, "\n")
		}
	}
	fork = append(fork, "tls:\n", "  san: [vault.internal]\n")
	edit := func(lines []string) []string { // what people do to lists: lines come, go, change, move, double
		at := random.IntN(len(lines) + 1)
		to := min(len(lines), at+1+random.IntN(3))
		part := slices.Clone(lines[at:to])
		switch random.IntN(6) {
		case 0:
			return slices.Insert(lines, at, node(10+random.IntN(3)))
		case 1:
			return slices.Delete(lines, at, min(len(lines), at+1))
		case 2:
			return slices.Delete(lines, at, to)
		case 3:
			lines = slices.Delete(lines, at, to)
		case 4:
			if len(part) > 0 {
				lines[at] = strings.TrimRight(lines[at], "}\n") + fmt.Sprintf(" # %d\n", random.IntN(2))
			}
			return lines
		}
		return slices.Insert(lines, random.IntN(len(lines)+1), part...)
	}
	return edited(random, fork, edit)
}

// few is a text in which it is hard to tell which line is new.
func few(random *rand.Rand) sides {
	letters := 2 + random.IntN(6)
	s := letterly(random, 30, 3, func() string { return fmt.Sprintf("%c\n", 'a'+random.IntN(letters)) })
	if random.IntN(5) == 0 {
		s.head = strings.TrimSuffix(s.head, "\n")
	}
	return s
}

// frequent is a long text of which some lines are in it more often than git counts.
func frequent(random *rand.Rand) sides {
	letters := 1 + random.IntN(3)
	return letterly(random, 400, 20, func() string {
		if random.IntN(20) == 0 {
			return fmt.Sprintln(random.IntN(40))
		}
		return fmt.Sprintf("%c\n", 'a'+random.IntN(letters))
	})
}

// letterly is a text of up to so many lines, in which parts are replaced.
func letterly(random *rand.Rand, most, part int, line func() string) sides {
	text := func(n int) (lines []string) {
		for range n {
			lines = append(lines, line())
		}
		return lines
	}
	return edited(random, text(random.IntN(most)), func(lines []string) []string {
		at := random.IntN(len(lines) + 1)
		return slices.Replace(lines, at, min(len(lines), at+random.IntN(part)), text(random.IntN(part))...)
	})
}

// edited is what two people make of lines by a few edits each.
func edited(random *rand.Rand, fork []string, edit func([]string) []string) sides {
	side := func() string {
		lines := slices.Clone(fork)
		for range 1 + random.IntN(3) {
			lines = edit(lines)
		}
		return strings.Join(lines, "")
	}
	return sides{strings.Join(fork, ""), side(), side()}
}
