package desired_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

func artefact(digits string) desired.Artefact {
	return desired.Artefact{Archive: "sha256:" + strings.Repeat(digits[:1], 64), Binary: "sha256:" + strings.Repeat(digits[1:], 64)}
}

// locked shortens digests so that a row can be read.
func locked(text string) string {
	for _, d := range "abcdef0123456789" {
		text = strings.ReplaceAll(text, strings.Repeat(string(d), 64), string(d))
	}
	return text
}

func full(text string) string {
	for _, d := range "abcdef0123456789" {
		text = strings.ReplaceAll(text, "sha256:"+string(d), "sha256:"+strings.Repeat(string(d), 64))
	}
	return text
}

func TestAddToLockKeepsWhatIsThere(t *testing.T) {
	for name, c := range map[string]struct {
		before string
		more   desired.Lock
		after  string
	}{
		"a new file": {"",
			desired.Lock{"1.21.0": {"linux_arm64": artefact("cd"), "linux_amd64": artefact("ab")}, "1.9.10": {"linux_amd64": artefact("12")}},
			"format: 1\nvault:\n  1.9.10:\n    linux_amd64: {archive: \"sha256:1\", binary: \"sha256:2\"}\n" +
				"  1.21.0:\n    linux_amd64: {archive: \"sha256:a\", binary: \"sha256:b\"}\n    linux_arm64: {archive: \"sha256:c\", binary: \"sha256:d\"}\n"},
		"nothing more": {"format: 1\n", nil, "format: 1\nvault: {}\n"},
		"an empty map": {"format: 1\nvault: {}\n", desired.Lock{"1.21.0": {"linux_amd64": artefact("ab")}},
			"format: 1\nvault:\n  1.21.0:\n    linux_amd64: {archive: \"sha256:a\", binary: \"sha256:b\"}\n"},
		"comments and another style": {
			"# of Vault\nformat: 1\nvault:\n  # the next one\n  1.21.1:\n    linux_amd64:\n      archive: sha256:a # checked by ada\n      binary: sha256:b\n  1.20.0: {linux_amd64: {archive: sha256:c, binary: sha256:d}} # old\n# end\n",
			desired.Lock{"1.21.0": {"linux_amd64": artefact("12")}, "1.21.1": {"linux_amd64": artefact("ab"), "darwin_arm64": artefact("34")}},
			"# of Vault\nformat: 1\nvault:\n  1.20.0: {linux_amd64: {archive: 'sha256:c', binary: 'sha256:d'}} # old\n" +
				"  1.21.0:\n    linux_amd64: {archive: \"sha256:1\", binary: \"sha256:2\"}\n" +
				"  # the next one\n  1.21.1:\n    darwin_arm64: {archive: \"sha256:3\", binary: \"sha256:4\"}\n    linux_amd64:\n      archive: sha256:a # checked by ada\n      binary: sha256:b\n# end\n"},
		"editions and candidates": {"format: 1\n",
			desired.Lock{"1.21.0+ent": {"linux_amd64": artefact("ab")}, "1.21.0": {"linux_amd64": artefact("ab")}, "1.21.0-rc1": {"linux_amd64": artefact("ab")}},
			"format: 1\nvault:\n  1.21.0-rc1:\n    linux_amd64: {archive: \"sha256:a\", binary: \"sha256:b\"}\n  1.21.0:\n    linux_amd64: {archive: \"sha256:a\", binary: \"sha256:b\"}\n  1.21.0+ent:\n    linux_amd64: {archive: \"sha256:a\", binary: \"sha256:b\"}\n"},
	} {
		got, err := desired.AddToLock([]byte(full(c.before)), c.more)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(c.after, locked(string(got))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		again, err := desired.AddToLock(got, c.more)
		if err != nil || string(again) != string(got) {
			t.Errorf("%s: adding the same again: %v\n%s", name, err, again)
		}
	}
}

func TestAddToLockRefuses(t *testing.T) {
	const there = "format: 1\nvault: {1.21.0: {linux_amd64: {archive: sha256:a, binary: sha256:b}}}\n"
	for name, c := range map[string]struct {
		before string
		more   desired.Lock
		want   string
	}{
		"another archive":  {there, desired.Lock{"1.21.0": {"linux_amd64": artefact("cb")}}, "says that the archive of 1.21.0 for linux_amd64 is sha256:a, and the signed release has sha256:c"},
		"another binary":   {there, desired.Lock{"1.21.0": {"linux_amd64": artefact("ac")}}, "says that the binary of 1.21.0 for linux_amd64 is sha256:b, and the signed release has sha256:c"},
		"a broken lock":    {"format: 2\n", nil, "format: 1"},
		"no YAML":          {"{", nil, "vault.lock:"},
		"an anchor":        {"format: 1\nvault: &a {}\n", nil, "vault.lock:2"},
		"no version":       {"", desired.Lock{"latest": {"linux_amd64": artefact("ab")}}, "would not read back"},
		"no digest":        {"", desired.Lock{"1.21.0": {"linux_amd64": {Archive: "x", Binary: "y"}}}, "would not read back"},
		"a smuggled entry": {"", desired.Lock{"1.21.0": {"linux_amd64: {}\n    x": artefact("ab")}}, "would not read back"},
	} {
		_, err := desired.AddToLock([]byte(full(c.before)), c.more)
		if err == nil || !strings.Contains(locked(err.Error()), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
	_, err := desired.AddToLock([]byte(full(there)), desired.Lock{"1.21.0": {"linux_amd64": artefact("cb")}})
	if e, ok := errors.AsType[*desired.LockError](err); !ok || e.Locked != artefact("ab") || e.Found != artefact("cb") {
		t.Errorf("%v", err)
	}
}
