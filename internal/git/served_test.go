package git_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vaultfleet/reconciler/internal/git"
)

// served is an upstream behind a network: it hands out packs as git makes them.
type served struct {
	upstream
	tip    func() string
	pack   func(pack []byte) []byte // what is made of it on the way
	strict bool                     // it gives what the branch stands at, and nothing else
	any    bool                     // it gives whatever commit is asked for
	had    []string                 // that the last pack was asked for without
	sent   int                      // bytes of it
}

func (s *served) Tip(context.Context, string) (string, error) {
	if s.tip != nil {
		return s.tip(), nil
	}
	return s.git("rev-parse", "main"), nil
}

func (s *served) Pack(_ context.Context, want string, haves []string, to io.Writer) error {
	s.had = haves
	if s.strict && want != s.git("rev-parse", "main") {
		return notOurs{}
	}
	revs := s.git("rev-parse", "main") + "\n"
	if s.any {
		revs = want + "\n"
	}
	for _, h := range haves {
		revs += "^" + h + "\n"
	}
	pack := []byte(s.gitRaw(revs, "pack-objects", "--revs", "--stdout", "-q"))
	if s.pack != nil {
		pack = s.pack(pack)
	}
	s.sent = len(pack)
	_, err := to.Write(pack)
	return err
}

type notOurs struct{}

func (notOurs) Error() string { return "the server says: not our ref" }
func (notOurs) NotOurs() bool { return true }

func clonedFrom(t *testing.T, s *served) (*git.Repo, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state/git/acme")
	return open(t, dir, git.Remote{URL: "https://git.internal/acme/fleet.git", Branch: "main", Server: s}), dir
}

func TestAServedRepositoryIsFollowed(t *testing.T) {
	s := &served{upstream: newUpstream(t)}
	one := s.commit("one", fleet())
	r, dir := clonedFrom(t, s)
	if got := fetch(t, r); got != one || len(s.had) > 0 {
		t.Errorf("fetched %s, having %v", got, s.had)
	}
	first := s.sent
	two := s.commit("two", map[string]string{"two": "2"})
	if got := fetch(t, r); got != two || len(s.had) != 1 || s.had[0] != one || s.sent >= first {
		t.Errorf("fetched %s, having %v, by %d bytes of %d", got, s.had, s.sent, first)
	}
	all := fleet()
	expect(t, at(t, r, one), all)
	all["two"] = "2"
	expect(t, at(t, r, two), all)
	s.git("--git-dir="+filepath.Join(dir, "repo"), "fsck", "--full", "--strict")
	if left, _ := filepath.Glob(filepath.Join(dir, "*.fetched")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}

	s.git("reset", "-q", "--hard", one) // a push by force
	other := s.commit("other", map[string]string{"other": "1"})
	if got := fetch(t, r); got != other {
		t.Errorf("after a push by force: %s", got)
	}
	expect(t, at(t, r, two), all) // what was fetched stays
}

// TestWhatAServerSendsIsLookedAtBeforeItIsTaken: whatever is wrong, the clone is
// as it was, and the next fetch of the same commit works.
func TestWhatAServerSendsIsLookedAtBeforeItIsTaken(t *testing.T) {
	t.Parallel()
	s := &served{upstream: newUpstream(t)}
	one := s.commit("one", fleet())
	cut := func(n int) func([]byte) []byte {
		return func(p []byte) []byte { return p[:len(p)*n/100] }
	}
	forged := func(head string) func([]byte) []byte {
		return func(p []byte) []byte { return append([]byte(head), p[len(head):]...) }
	}
	r, dir := clonedFrom(t, s)
	fetch(t, r)
	two := s.commit("two", map[string]string{"two": strings.Repeat("2", 5000)})
	for name, c := range map[string]struct {
		pack func([]byte) []byte
		tip  func() string
		want string
	}{
		"nothing":               {pack: cut(0), want: "cannot be read"},
		"a few bytes":           {pack: cut(3), want: "cannot be read"},
		"half of it":            {pack: cut(50), want: "cannot be read"},
		"all but the end":       {pack: cut(98), want: "cannot be read"},
		"no pack":               {pack: forged("<html></html>"), want: "not a pack"},
		"too many objects":      {pack: forged("PACK\x00\x00\x00\x02\xff\xff\xff\xff"), want: "4294967295 objects"},
		"another count":         {pack: forged("PACK\x00\x00\x00\x02\x00\x00\x00\x01"), want: "cannot be read"},
		"a version of tomorrow": {pack: forged("PACK\x00\x00\x00\x07"), want: "cannot be read"},
		"a flipped bit": {pack: func(p []byte) []byte {
			p = bytes.Clone(p)
			p[len(p)/2] ^= 1
			return p
		}, want: ""},
		"a commit that is not in it": {tip: func() string { return strings.Repeat("a", 40) }, want: "object not found"},
		"a tip that is none":         {tip: func() string { return "../../refs/heads/main" }, want: "is not a commit"},
		"a short tip":                {tip: func() string { return two[:12] }, want: "is not a commit"},
	} {
		s.pack, s.tip = c.pack, c.tip
		got, err := r.Fetch(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, git.ErrDamaged) {
			t.Errorf("%s: %s %v", name, got, err)
		}
		if last, ok, err := r.Last(); err != nil || !ok || last != one {
			t.Errorf("%s: the last commit is %s: %v", name, last, err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*.fetched")); len(left) > 0 {
			t.Errorf("%s: left behind: %v", name, left)
		}
	}
	s.pack, s.tip = nil, nil
	if got := fetch(t, r); got != two {
		t.Errorf("afterwards: %s", got)
	}
	s.git("--git-dir="+filepath.Join(dir, "repo"), "fsck", "--full", "--strict")
}

// TestABombIsNotSetOff: what is small on the way and large in memory is refused by
// what it says to be, and so is what says less than it is.
func TestABombIsNotSetOff(t *testing.T) {
	t.Parallel()
	s := &prepared{served: &served{upstream: newUpstream(t)}}
	base := s.commit("one", fleet())
	dir := filepath.Join(t.TempDir(), "state/git/acme")
	r := open(t, dir, git.Remote{URL: "https://git.internal/acme/fleet.git", Branch: "main", Server: s})
	fetch(t, r)
	head := strings.Repeat("a", 40)
	s.tip = func() string { return head }
	before := snapshot(t, dir)
	bombs := func(object, all int) map[string]struct{ pack, want string } {
		many := make([]string, all/object+1)
		for i := range many {
			many[i] = delta(object)
		}
		return map[string]struct{ pack, want string }{
			"an object that is too large":   {packed(entry(blob, object+1<<20, "")), fmt.Sprintf("an object of it has %d MiB, more than %d", object>>20+1, object>>20)},
			"a delta that makes too much":   {packed(delta(object + 1<<20)), fmt.Sprintf("an object of it has %d MiB, more than %d", object>>20+1, object>>20)},
			"too much together":             {packed(many...), fmt.Sprintf("its objects have more than %d MiB together", all>>20)},
			"as large as may be":            {packed(many[1:]...), "cannot be read: reference delta not found"},
			"more than it says":             {packed(entry(blob, 10, strings.Repeat("\x00", 1<<20)), entry(blob, 1, "x")), "exceeds declared size"},
			"more than it says, at the end": {packed(entry(blob, 10, strings.Repeat("\x00", 1<<20))), "exceeds declared size"},
			"a size that is none":           {packed("\xb0" + strings.Repeat("\xff", 20)), "cannot be read"},
		}
	}
	try := func(what string, bombs map[string]struct{ pack, want string }, do func() error) {
		for name, c := range bombs {
			s.proposed = []byte(c.pack)
			if err := do(); err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, git.ErrDamaged) {
				t.Errorf("%s, %s: %v", what, name, err)
			}
			if after := snapshot(t, dir); after != before {
				t.Errorf("%s, %s: the clone is another one\n%s\n%s", what, name, before, after)
			}
		}
	}
	try("a fetch", bombs(64<<20, 4<<30), func() error { _, err := r.Fetch(t.Context()); return err })
	try("a proposal", bombs(16<<20, 256<<20), func() error { _, err := r.Merge(t.Context(), base, head); return err })
}

// What an object of a pack is (gitformat-pack(5)).
const (
	blob     = 3
	refDelta = 7
)

// packed is a pack of entries.
func packed(entries ...string) string {
	pack := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(len(entries)))
	pack = append(pack, strings.Join(entries, "")...)
	sum := sha1.Sum(pack)
	return string(pack) + string(sum[:])
}

// entry is an object of a pack that says to have so many bytes.
func entry(kind byte, says int, content string) string {
	var b bytes.Buffer
	head := kind<<4 | byte(says&15)
	for says >>= 4; says > 0; says >>= 7 {
		b.WriteByte(head | 0x80)
		head = byte(says & 0x7f)
	}
	b.WriteByte(head)
	if kind == refDelta {
		b.WriteString(strings.Repeat("\x01", 20)) // to what nobody has
	}
	z := zlib.NewWriter(&b)
	_, _ = z.Write([]byte(content)) // a buffer takes all
	_ = z.Close()
	return b.String()
}

// delta is one of a few bytes that says to make many.
func delta(makes int) string {
	text := binary.AppendUvarint([]byte{1}, uint64(makes))
	return entry(refDelta, len(text), string(text))
}

// TestHalfOfACommitIsNotTaken: an object that stands for a file and is a commit
// would bring nothing of what that commit needs.
func TestHalfOfACommitIsNotTaken(t *testing.T) {
	u := newUpstream(t)
	first := u.commit("first", fleet())
	r, _ := cloned(t, u)
	fetch(t, r)
	hidden := u.git("commit-tree", "-p", first, "-m", "hidden", u.gitInput("100644 blob "+u.blob("hidden")+"\tf\n", "mktree"))
	raw, err := hex.DecodeString(hidden)
	must(t, err)
	tree := u.gitInput("100644 clusters\x00"+string(raw), "hash-object", "-t", "tree", "-w", "--literally", "--stdin")
	u.git("update-ref", "refs/heads/main", u.gitInput("tree "+tree+"\nauthor A <a@example.com> 1 +0000\ncommitter A <a@example.com> 1 +0000\n\nforged\n", "hash-object", "-t", "commit", "-w", "--stdin"))
	if got, err := r.Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "is a commit and stands where a blob belongs") {
		t.Errorf("%s %v", got, err)
	}
	u.git("update-ref", "refs/heads/main", hidden)
	if got := fetch(t, r); got != hidden {
		t.Errorf("fetched %s", got)
	}
	expect(t, at(t, r, hidden), map[string]string{"f": "hidden"})
}

func TestABranchThatMovesMeanwhileIsAskedForAgain(t *testing.T) {
	s := &served{upstream: newUpstream(t)}
	s.commit("one", fleet())
	r, _ := clonedFrom(t, s)
	fetch(t, r)
	asked, gone := 0, s.commit("two", map[string]string{"two": "2"})
	s.git("reset", "-q", "--hard", "HEAD~1")
	other := s.commit("other", map[string]string{"other": "1"})
	s.strict = true
	s.tip = func() string {
		if asked++; asked == 1 {
			return gone
		}
		return other
	}
	if got := fetch(t, r); got != other {
		t.Errorf("fetched %s", got)
	}
}

func TestADamagedCloneIsFetchedAnewFromAServer(t *testing.T) {
	s := &served{upstream: newUpstream(t)}
	one := s.commit("one", fleet())
	r, dir := clonedFrom(t, s)
	fetch(t, r)
	for _, pack := range packs(t, dir) {
		must(t, os.Truncate(pack, 40))
	}
	if _, err := r.At(one); !errors.Is(err, git.ErrDamaged) {
		t.Fatalf("%v", err)
	}
	if got := fetch(t, r); got != one || len(s.had) > 0 {
		t.Errorf("fetched %s, having %v", got, s.had)
	}
	expect(t, at(t, r, one), fleet())
}
