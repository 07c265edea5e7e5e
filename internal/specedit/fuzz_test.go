package specedit_test

import (
	"bytes"
	"testing"

	"github.com/vaultfleet/reconciler/internal/specedit"
)

func TestLinesEndAsTheFileEndsThem(t *testing.T) {
	for before, want := range map[string]string{
		"config:\r\n  ui: true\r\nmode: observe\r\n": "config:\r\n  ui: true\r\n  cache_size: 1\r\nmode: observe\r\n",
		"config:\n  ui: true":                        "config:\n  ui: true\n  cache_size: 1",
	} {
		got, err := do(t, []byte(before), "set config.cache_size 1")
		if err != nil || string(got) != want {
			t.Errorf("%q: %q %v", before, got, err)
		}
		if back, err := do(t, got, "remove config.cache_size"); err != nil || !bytes.Equal(bytes.TrimSpace(back), bytes.TrimSpace([]byte(before))) {
			t.Errorf("%q: back to %q %v", before, back, err)
		}
	}
}

func TestValuesThatCannotBeWrittenAreRefused(t *testing.T) {
	for _, text := range []string{"", "{}", "[[]]", `[{"a":1}]`, "1 2", "debug", "(sensitive)", "absent", `"a`} {
		if v, err := specedit.OfJSON(text); err == nil {
			t.Errorf("%q: %v", text, v)
		}
	}
}

// FuzzSet gives the editor files of any kind: it refuses, or the value is there, to be
// set again without a change, and to be taken away.
func FuzzSet(f *testing.F) {
	for _, seed := range []string{
		"config: {log_level: info}\n", "config:\n  log_level: \"info\" # x\n", "config:\n", "nodes:\n- name: eu-1\n", "config: {a, b: }\n",
		"{config: {log_level: 'a''b'}}", "nodes: [{name: eu-1, config: {}}]", "config:\r\n  ui: true\r\n", "config:\n  x: |\n    a\n  y: >-\n    b\n", "? config\n: {a: b}\n", "\ufeffconfig: {a: 1}\n",
		"config: {a: 1, # x\n  b: [c, # d\n ]}\n",
	} {
		f.Add([]byte(seed), "config.log_level", `"debug"`)
		f.Add([]byte(seed), "nodes[name=eu-1].config.log_level", `["a",1,null,true]`)
	}
	f.Fuzz(func(t *testing.T, text []byte, path, value string) {
		v, err := specedit.OfJSON(value)
		at := pathOf(path)
		if err != nil || len(at) == 0 {
			t.Skip()
		}
		after, err := specedit.Set(text, at, v)
		if err != nil {
			return
		}
		if !specedit.Writes(after, at) {
			t.Fatalf("%q: nothing at %s of %q", text, at, after)
		}
		if again, err := specedit.Set(after, at, v); err != nil || !bytes.Equal(again, after) {
			t.Fatalf("%q became %q, and again %q %v", text, after, again, err)
		}
		if less, err := specedit.Remove(after, at); err == nil && specedit.Writes(less, at) {
			t.Fatalf("%q without %s: %q", after, at, less)
		}
	})
}
