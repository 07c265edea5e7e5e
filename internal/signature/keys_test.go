package signature_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/vaultfleet/reconciler/internal/signature"
)

// TestAForgesKeyIsReadAsItIsHandedOut, of either kind, and judged as any other.
func TestAForgesKeyIsReadAsItIsHandedOut(t *testing.T) {
	r := newRepo(t)
	forge, other := newKey(t, "forge", "-t", "ed25519"), newKey(t, "other", "-t", "ed25519")
	commit := r.commit(forge)
	for name, text := range map[string]string{"alone": forge.public, "with a comment, and more": "# the forge's\n\n" + other.public + "\n" + forge.public + " noreply@forge\n"} {
		keys, err := signature.ParseKeys([]byte(text))
		must(t, err)
		if _, err := keys.Verify(commit, now()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	keys, err := signature.ParseKeys([]byte(other.public))
	must(t, err)
	if _, err := keys.Verify(commit, now()); fault(err) != signature.FaultUnknown {
		t.Errorf("another key: %v", err)
	}
	for text, want := range map[string]string{
		"": "it holds no key", "# none\n": "it holds no key", "noreply@forge " + forge.public: "line 1: it is neither armored",
		forge.public + "\nssh-ed25519 AAAA": "line 2", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n": "read key block 1",
		strings.Repeat("#", 2<<20): "more than the",
	} {
		if _, err := signature.ParseKeys([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
}

func TestParentsAreReadInTheirOrder(t *testing.T) {
	r := newRepo(t)
	r.unsigned()
	one := r.git("rev-parse", "HEAD")
	r.git("checkout", "-q", "-b", "side")
	r.unsigned()
	two := r.git("rev-parse", "HEAD")
	tree := r.git("rev-parse", "HEAD^{tree}")
	for _, want := range [][]string{nil, {one}, {one, two}, {two, one}} {
		args := []string{"commit-tree", "-m", "parent 0123\n\nparent " + one}
		for _, p := range want {
			args = append(args, "-p", p)
		}
		got, err := signature.Parents(r.raw(r.git(append(args, tree)...)))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q %v", want, got, err)
		}
	}
	commit := string(r.raw(two))
	for _, odd := range []string{"", "tree x\n\n", strings.Replace(commit, "parent ", "gpgsig x\nparent ", 1), strings.Replace(commit, "parent "+one, "parent main", 1)} {
		if got, err := signature.Parents([]byte(odd)); err == nil {
			t.Errorf("%q has %q", odd, got)
		}
	}
}
