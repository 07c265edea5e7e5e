package secret_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vaultfleet/reconciler/internal/secret"
	"gopkg.in/yaml.v3"
)

const canary = "hvs.canary-7f1e9b"

// shown says whether a text shows the canary in any of the spellings that
// printing bytes has.
func shown(text string) bool {
	text = strings.ToLower(text)
	for _, spelling := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("% x", canary), fmt.Sprint([]byte(canary)), "104 118 115", "0x68, 0x76", "0x68,0x76", "ahzzlmnhb", "68 76 73"} {
		if strings.Contains(text, strings.ToLower(spelling)) {
			return true
		}
	}
	return false
}

// holder has a secret where fmt cannot call methods: in a field that is not
// exported.
type holder struct {
	Shown  secret.Bytes
	hidden secret.Bytes
	deep   map[string][]*secret.Bytes
}

func TestASecretIsRedactedThroughEveryDoor(t *testing.T) {
	b := secret.Of([]byte(canary))
	h := holder{b, b, map[string][]*secret.Bytes{"x": {&b}}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%o", "%c", "%U", "%p", "%10.3s", "%!", "%T"} {
		for _, value := range []any{b, &b, h, &h, []secret.Bytes{b}, map[string]secret.Bytes{"k": b}, [1]secret.Bytes{b}, errors.New(fmt.Sprint(b))} {
			if out := fmt.Sprintf(verb, value); shown(out) {
				t.Errorf("%s of %T shows it: %s", verb, value, out)
			}
		}
	}
	if got := fmt.Sprintln(b, &b, b.String(), b.GoString()); got != "[redacted] [redacted] [redacted] [redacted]\n" {
		t.Errorf("printed as %s", got)
	}
	if out := cmp.Diff(b, secret.Of([]byte("other"))); out == "" || shown(out) {
		t.Errorf("cmp: %s", out)
	}

	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	logger.Info("m", "secret", b, "in", map[string]any{"k": b}, slog.Group("g", "s", &b))
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "secret", b, "holder", h)
	if shown(log.String()) || strings.Count(log.String(), "[redacted]") < 4 {
		t.Errorf("log: %s", log.String())
	}
}

func TestASecretIsRedactedByEveryEncoder(t *testing.T) {
	b := secret.Of([]byte(canary))
	value := map[string]secret.Bytes{"k": b}
	var coded bytes.Buffer
	if err := gob.NewEncoder(&coded).Encode(value); err != nil {
		t.Fatal(err)
	}
	asJSON, err1 := json.Marshal(value)
	asKey, err2 := json.Marshal([]any{&b, struct{ S secret.Bytes }{b}})
	asYAML, err3 := yaml.Marshal(value)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	for name, out := range map[string]string{"gob": coded.String(), "json": string(asJSON), "json in others": string(asKey), "yaml": string(asYAML)} {
		if shown(out) || !strings.Contains(out, "[redacted]") {
			t.Errorf("%s: %q", name, out)
		}
	}
}

func TestASecretComesOutOnPurpose(t *testing.T) {
	b := secret.Of([]byte(canary))
	var read bytes.Buffer
	if _, err := read.ReadFrom(b.Open()); err != nil || read.String() != canary || string(b.Reveal()) != canary || b.Len() != len(canary) {
		t.Fatalf("read %q, %v", read.String(), err)
	}
	if !b.Equal(secret.Of([]byte(canary))) || b.Equal(secret.Of([]byte("hvs"))) || b.Equal(secret.Bytes{}) {
		t.Error("Equal is wrong")
	}
	if got := b.Digest(); got != fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(canary))) {
		t.Errorf("digest %s", got)
	}
	b.Wipe()
	if bytes.Contains(b.Reveal(), []byte("hvs")) || b.Len() != len(canary) {
		t.Error("not wiped")
	}
	if zero := (secret.Bytes{}); zero.Len() != 0 || zero.Reveal() != nil {
		t.Error("the zero value holds something")
	}
}
