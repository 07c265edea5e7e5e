package git_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-git/go-git/v5/plumbing/hash"

	"github.com/vaultfleet/reconciler/internal/admission"
	"github.com/vaultfleet/reconciler/internal/git"
	"github.com/vaultfleet/reconciler/internal/git/gittest"
)

// TestWhereABranchMayNotGo: states 88, 89, 115 and 117 of the catalogue of bad input,
// in a real history. What was in force stays.
func TestWhereABranchMayNotGo(t *testing.T) {
	u := newUpstream(t)
	file := func(content string) map[string]string { return map[string]string{"a": content} }
	ids := gittest.Import(t, u.dir, []gittest.Commit{
		{Files: file("root")}, {Files: file("in force"), Parents: []int{0}},
		{Files: file("forced"), Parents: []int{0}}, {Files: file("unrelated")},
		{Files: file("unsigned"), Parents: []int{0}}, {Files: file("merged"), Parents: []int{1, 4}}, {Files: file("two roots"), Parents: []int{1, 3}},
	})
	inForce, unsigned := ids[1], ids[4]
	for _, c := range []struct {
		number int
		words  string
		to     string
		held   string
	}{
		{88, "a rewind", ids[0], "is not among its ancestors: the branch was rewound or force-pushed"},
		{88, "a push by force", ids[2], "is not among its ancestors: the branch was rewound or force-pushed"},
		{89, "a history that has nothing in common", ids[3], "is not among its ancestors: the branch was rewound or force-pushed"},
		{89, "such a history, merged", ids[6], ""}, // whoever merged it saw it
		{115, "a server that shows what was before", ids[0], "is not among its ancestors: the branch was rewound or force-pushed"},
		{115, "a server that shows the same for ever", inForce, ""}, // nobody can tell
		{117, "a merge of what nobody signed", ids[5], "on the way to it: it is not signed"},
	} {
		server := &served{upstream: u, any: true, tip: func() string { return inForce }}
		r, dir := clonedFrom(t, server)
		gate := admission.Gate{File: filepath.Join(dir, "admitted"), History: r, Policy: admission.EveryCommit, Verify: func(_ context.Context, id string, _ []byte) error {
			if id == unsigned {
				return errors.New("it is not signed")
			}
			return nil
		}}
		admit := func() (string, *admission.HeldError) {
			commit, held, err := gate.Admit(t.Context(), fetch(t, r))
			must(t, err)
			return commit, held
		}
		if commit, held := admit(); commit != inForce || held != nil {
			t.Fatalf("%d %s: at first %s, %v", c.number, c.words, commit, held)
		}
		server.tip = func() string { return c.to }
		commit, held := admit()
		switch {
		case c.held == "" && (commit != c.to || held != nil):
			t.Errorf("%d %s: %s, %v", c.number, c.words, commit, held)
		case c.held != "" && (commit != inForce || held == nil || !strings.Contains(held.Error(), c.held)):
			t.Errorf("%d %s: %s, %v; want %q", c.number, c.words, commit, held, c.held)
		}
	}
}

// TestAServerWhoseHistoryIsCutIsRefused: state 90. What is missing would pass for the
// beginning of the branch.
func TestAServerWhoseHistoryIsCutIsRefused(t *testing.T) {
	u := newUpstream(t)
	tip := gittest.Import(t, u.dir, []gittest.Commit{{Files: fleet()}, {Files: fleet(), Parents: []int{0}}})[1]
	u.file("shallow", tip+"\n")
	r, _ := clonedFrom(t, &served{upstream: u})
	if got, err := r.Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "of what the server sent: object not found; run `git fsck` there, and `git fetch --unshallow`") || errors.Is(err, git.ErrDamaged) {
		t.Errorf("%s %v", got, err)
	}
	if last, ok, err := r.Last(); ok || err != nil {
		t.Errorf("last is %s: %v", last, err)
	}
}

// TestACommitOfAnyDateIsRead: state 106. What a date is worth, signatures say.
func TestACommitOfAnyDateIsRead(t *testing.T) {
	u := newUpstream(t)
	tree := u.put(item{"100644", "a", "a"})
	r, _ := cloned(t, u)
	for date, want := range map[string]int64{"0 +0000": 0, "4294967296 +0000": 1 << 32, "253402300800 +1400": 253402300800, "1 -1200": 1, "86400 -0330": 86400} {
		u.point(u.object("commit", "tree "+tree+"\nauthor A <a@example.com> "+date+"\ncommitter A <a@example.com> "+date+"\n\nx\n"))
		commit := fetch(t, r)
		info, err := r.Info(commit)
		must(t, err)
		if info.Time.Unix() != want {
			t.Errorf("%s: %v", date, info.Time)
		}
		expect(t, at(t, r, commit), map[string]string{"a": "a"})
	}
}

// TestTwoContentsOfOneHashAreTold: state 110. The first 320 bytes of the two files of
// shattered.io have one SHA-1. What objects are named by here gives each another.
func TestTwoContentsOfOneHashAreTold(t *testing.T) {
	const head = "%PDF-1.3\n%\xe2\xe3\xcf\xd3\n\n\n1 0 obj\n<</Width 2 0 R/Height 3 0 R/Type 4 0 R/Subtype 5 0 R/Filter 6 0 R/ColorSpace 7 0 R/Length 8 0 R/BitsPerComponent 8>>\n" +
		"stream\n\xff\xd8\xff\xfe\x00$SHA-1 is dead!!!!!\x85/\xec\t#9u\x9c9\xb1\xa1\xc6<L\x97\xe1\xff\xfe\x01"
	var plain, ours [][]byte
	for _, tail := range []string{
		"7346dc9166b67e118f029ab621b2560ff9ca67cca8c7f85ba84c79030c2b3de218f86db3a90901d5df45c14f26fedfb3dc38e96ac22fe7bd728f0e45bce046d23c570feb141398bb552ef5a0a82be331fea48037b8b5d71f0e332edf93ac3500eb4ddc0decc1a864790c782c76215660dd309791d06bd0af3f98cda4bc4629b1",
		"7f46dc93a6b67e013b029aaa1db2560b45ca67d688c7f84b8c4c791fe02b3df614f86db1690901c56b45c1530afedfb76038e972722fe7ad728f0e4904e046c230570fe9d41398abe12ef5bc942be33542a4802d98b5d70f2a332ec37fac3514e74ddc0f2cc1a874cd0c78305a21566461309789606bd0bf3f98cda8044629a1",
	} {
		blocks, err := hex.DecodeString(tail)
		must(t, err)
		content := append([]byte(head), blocks...)
		sum := sha1.Sum(content)
		plain = append(plain, sum[:])
		h := hash.New(crypto.SHA1) // that of plumbing.ComputeHash, and of what reads packs
		_, err = h.Write(content)
		must(t, err)
		ours = append(ours, h.Sum(nil))
	}
	if !bytes.Equal(plain[0], plain[1]) || bytes.Equal(ours[0], ours[1]) {
		t.Errorf("SHA-1 is %x, and ours %x", plain, ours)
	}
}

// dripping sends a byte each second, of a pack that is one so far.
type dripping struct{ sent int }

func (d *dripping) Tip(context.Context, string) (string, error) { return strings.Repeat("a", 40), nil }

func (d *dripping) Pack(ctx context.Context, _ string, _ []string, to io.Writer) error {
	_, err := io.WriteString(to, "PACK\x00\x00\x00\x02\x00\x01\x00\x00")
	for ; err == nil; d.sent++ {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Second):
			_, err = to.Write([]byte{0})
		}
	}
	return err
}

// TestAServerThatIsNeverSilentEndsToo: state 112.
func TestAServerThatIsNeverSilentEndsToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &dripping{}
		r := open(t, filepath.Join(t.TempDir(), "acme"), git.Remote{URL: "https://git.internal/acme/fleet.git", Branch: "main", Server: d})
		if _, err := r.Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "it took longer than 10m0s") {
			t.Errorf("%v", err)
		}
		if d.sent < 590 {
			t.Errorf("it ended after %d bytes", d.sent)
		}
	})
}

// TestTagsOfTagsAreNotFollowed: state 116. However many there are, each is looked at
// once.
func TestTagsOfTagsAreNotFollowed(t *testing.T) {
	u := newUpstream(t)
	tip := gittest.Import(t, u.dir, []gittest.Commit{{Files: fleet()}})[0]
	s := &prepared{served: &served{upstream: u}}
	r := open(t, filepath.Join(t.TempDir(), "state/git/acme"), git.Remote{URL: "https://git.internal/acme/fleet.git", Branch: "main", Server: s})
	fetch(t, r)
	const tag = 4
	of, kind := tip, "commit"
	tags := make([]string, 1_000)
	for i := range tags {
		body := "object " + of + "\ntype " + kind + "\ntag v1\ntagger A <a@example.com> 1 +0000\n\nx\n"
		tags[i] = entry(tag, len(body), body)
		of, kind = fmt.Sprintf("%x", sha1.Sum(fmt.Appendf(nil, "tag %d\x00%s", len(body), body))), "tag"
	}
	s.proposed = []byte(packed(tags...))
	s.tip = func() string { return of }
	if got, err := r.Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "read commit "+of) || errors.Is(err, git.ErrDamaged) {
		t.Errorf("%s %v", got, err)
	}
	expect(t, at(t, r, tip), fleet())

	body := "object " + tip + "\ntype commit\ntag v1\ntagger A <a@example.com> 1 +0000\n\nx\n"
	one := u.object("tag", body)
	u.file("refs/tags/one", one)
	u.file("refs/tags/two", u.object("tag", strings.Replace(body, tip+"\ntype commit", one+"\ntype tag", 1)))
	if _, commit, err := git.Checkout(u.dir, "one"); err != nil || commit != tip {
		t.Errorf("a tag: %s %v", commit, err)
	}
	if _, commit, err := git.Checkout(u.dir, "two"); err == nil {
		t.Errorf("a tag of a tag: %s", commit)
	}
}

// TestWhatLiesAboutInACloneStopsNobody: state 119. Locks of git's own programs are not
// ours; where nothing can be written, what was fetched can be read.
func TestWhatLiesAboutInACloneStopsNobody(t *testing.T) {
	u := newUpstream(t)
	ids := gittest.Import(t, u.dir, []gittest.Commit{{Files: fleet()}, {Files: map[string]string{"a": "a"}, Parents: []int{0}}})
	u.point(ids[0])
	r, dir := cloned(t, u)
	fetch(t, r)
	for _, name := range []string{"index.lock", "shallow.lock", "HEAD.lock", "config.lock", "packed-refs.lock", "refs/reconciler/tracked.lock", "objects/pack/tmp_pack_1", "objects/tmp_obj_1", "gc.pid"} {
		must(t, os.WriteFile(filepath.Join(dir, "repo", name), nil, 0o600))
	}
	u.point(ids[1])
	if got := fetch(t, r); got != ids[1] {
		t.Errorf("fetched %s", got)
	}
	expect(t, at(t, r, ids[1]), map[string]string{"a": "a"})

	must(t, os.Remove(filepath.Join(dir, "lock")))
	must(t, os.Mkdir(filepath.Join(dir, "lock"), 0o700)) // in whose place no file can be written, whoever we are
	u.point(ids[0])
	again := open(t, dir, git.Remote{URL: "file://" + u.dir, Branch: "main"})
	if got, err := again.Fetch(t.Context()); err == nil || errors.Is(err, git.ErrDamaged) {
		t.Errorf("fetched %s: %v", got, err)
	}
	if last, ok, err := again.Last(); last != ids[1] || !ok || err != nil {
		t.Errorf("last is %s: %v", last, err)
	}
	expect(t, at(t, again, ids[0]), fleet())
}
