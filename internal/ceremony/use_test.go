package ceremony

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/vaultfleet/reconciler/internal/secret"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

type (
	ctxt   = context.Context
	reader = io.Reader
)

// until takes turns until the birth is in a phase.
func (w *world) until(phase diff.BirthPhase) *Ceremony {
	w.t.Helper()
	c := w.start()
	for range 20 {
		if w.memory.Birth.Phase == phase && (phase != diff.BirthKeys || len(w.devices) > 0) {
			return c
		}
		if _, err := w.turn(c); err != nil {
			w.t.Fatal(err)
		}
	}
	w.t.Fatalf("the birth is at %q", w.memory.Birth.Phase)
	return c
}

func TestUnsealReadsTheFirstStoreThatAnswers(t *testing.T) {
	w := newWorld(t)
	c := w.until(diff.BirthDone)
	w.nodes["eu-2"].open = false
	w.stores[0].broken = errors.New("stale file handle")
	if err := w.do(c, diff.ActionUnseal, "eu-2"); err != nil || !w.nodes["eu-2"].open {
		t.Fatal(err)
	}
	w.nodes["eu-2"].open = false
	w.stores[1].broken = errors.New("not mounted")
	err := w.do(c, diff.ActionUnseal, "eu-2")
	if !errors.Is(err, apply.ErrRefused) || !strings.Contains(err.Error(), "stale file handle") || !strings.Contains(err.Error(), "not mounted") {
		t.Fatal(err)
	}
	w.secretsStay(c)
}

func TestAVaultThatDoesNotTakeTheSharesGetsNoneForAWhile(t *testing.T) {
	for name, spoil := range map[string]func(*node){
		"it says that they are wrong": func(x *node) {
			x.unsealFails = errors.New("exit code 2: Error writing data to sys/unseal: Error making API request.")
		},
		"it is at a share that was not last": func(x *node) { x.progressAfter = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c := w.until(diff.BirthDone)
			x := w.nodes["eu-2"]
			x.open = false
			spoil(x)
			if err := w.do(c, diff.ActionUnseal, "eu-2"); err == nil || errors.Is(err, apply.ErrRefused) {
				t.Fatal(err)
			}
			before := len(w.effects)
			if err := w.do(c, diff.ActionUnseal, "eu-2"); !errors.Is(err, apply.ErrRefused) || len(w.effects) != before {
				t.Fatalf("it was sent shares again: %v", err)
			}
			w.nodes["eu-3"].open = false
			if err := w.do(c, diff.ActionUnseal, "eu-3"); err != nil {
				t.Fatalf("another node: %v", err)
			}
			x.unsealFails, x.progressAfter = nil, 0
			w.now = w.now.Add(wrongPause)
			if err := w.do(c, diff.ActionUnseal, "eu-2"); err != nil {
				t.Fatal(err)
			}
			w.secretsStay(c)
		})
	}
}

func TestALostConnectionDoesNotCountAsWrongShares(t *testing.T) {
	w := newWorld(t)
	c := w.until(diff.BirthDone)
	w.nodes["eu-2"].open = false
	w.nodes["eu-2"].unsealFails = errors.New("ssh: connection reset")
	if err := w.do(c, diff.ActionUnseal, "eu-2"); err == nil {
		t.Fatal("it succeeded")
	}
	w.nodes["eu-2"].unsealFails = nil
	if err := w.do(c, diff.ActionUnseal, "eu-2"); err != nil {
		t.Fatal(err)
	}
}

func TestAnAnswerToUnsealThatIsNoneIsAnError(t *testing.T) {
	a := act{Ceremony: newWorld(t).start()}
	for _, out := range []string{"", "null", "[]", "{}", "<html>", `{"sealed":"no"}`} {
		if err := a.opened([]byte(out)); err == nil {
			t.Errorf("%q was taken", out)
		}
	}
	if err := a.opened([]byte(`{"sealed":true,"progress":0}`)); err != nil {
		t.Errorf("a node that is joining: %v", err)
	}
}

func TestAuditUsesTheRootTokenAndThenOurOwn(t *testing.T) {
	w := newWorld(t)
	c := w.until(diff.BirthDone)
	w.devices = nil
	if err := w.do(c, diff.ActionAudit, "eu-1"); err != nil || !slices.Equal(w.devices, []string{"file"}) {
		t.Fatalf("%v, %q", err, w.devices)
	}
	w.want.Manage = []desired.Concern{desired.ConcernSeal}
	if err := w.do(c, diff.ActionAudit, "eu-1"); !errors.Is(err, apply.ErrRefused) {
		t.Fatal(err)
	}
}

func TestThePolicyIsTheLeast(t *testing.T) {
	w := newWorld(t)
	if p := policy(w.want); strings.Count(p, "path ") != 7 || !strings.Contains(p, "path \"sys/audit/*\" {\n  capabilities = [\"create\", \"update\", \"sudo\"]\n}\n") {
		t.Error(p)
	}
	w.want.Manage = []desired.Concern{desired.ConcernSeal}
	p := policy(w.want)
	for _, forbidden := range []string{"create", "update", "delete", "secret/", "*"} {
		if strings.Contains(p, forbidden) {
			t.Errorf("%q in a policy that manages no audit:\n%s", forbidden, p)
		}
	}
}

func TestTheCredentialIsProvenOnAnotherNode(t *testing.T) {
	w := newWorld(t)
	c := w.until(diff.BirthKeys)
	w.nodes["eu-2"].loginFails, w.nodes["eu-3"].loginFails = true, true // eu-1 would do
	if err := w.do(c, diff.ActionCredential, "eu-1"); err == nil || w.memory.Birth.Phase != diff.BirthKeys {
		t.Fatalf("%v, %q", err, w.memory.Birth.Phase)
	}
	w.nodes["eu-3"].loginFails = false
	if err := w.do(c, diff.ActionCredential, "eu-1"); err != nil || w.memory.Birth.Phase != diff.BirthCredential {
		t.Fatal(err)
	}
	w.secretsStay(c)
}

func TestAHostileApproleAnswerIsNotStored(t *testing.T) {
	for _, said := range []string{"", "{}", `{"role_id":"a b","secret_id":"x"}`, `{"role_id":"a\nb","secret_id":"x"}`, `{"role_id":"a"}`} {
		w := newWorld(t)
		c := w.until(diff.BirthKeys)
		verb := c.Verb
		c.Verb = func(ctx ctxt, n desired.Node, try diff.Try, name string, args []string, in reader) ([]byte, error) {
			if name == "vault-approle" {
				return []byte(said), nil
			}
			return verb(ctx, n, try, name, args, in)
		}
		if err := w.do(c, diff.ActionCredential, "eu-1"); err == nil {
			t.Errorf("%q was taken", said)
		}
		if _, there := w.stores[0].data["prod-eu/credential.age"]; there {
			t.Errorf("%q was stored", said)
		}
	}
}

func TestTokens(t *testing.T) {
	w := newWorld(t)
	c := w.start()
	if token, err := c.Token(t.Context(), w.want); err != nil || token.Len() != 0 {
		t.Fatalf("before the birth: %v", err)
	}
	c = w.until(diff.BirthKeys)
	if token, err := c.Token(t.Context(), w.want); err != nil || string(token.Reveal()) != w.root {
		t.Fatalf("while there is nothing else: %v", err)
	}
	c = w.until(diff.BirthDone)
	first, err := c.Token(t.Context(), w.want)
	if err != nil || !w.tokens[string(first.Reveal())] {
		t.Fatal(err)
	}
	before := len(w.tokens)
	c.Retry("prod-eu") // which is for logins that failed
	for range 3 {
		again, err := c.Token(t.Context(), w.want)
		if err != nil || !again.Equal(first) || len(w.tokens) != before {
			t.Fatalf("a session that goes on was not used: %v", err)
		}
		again.Wipe() // whoever got it may do that
	}
	w.now = w.now.Add(19*time.Minute + time.Second)
	if next, err := c.Token(t.Context(), w.want); err != nil || next.Equal(first) {
		t.Fatalf("a session that is about to end was used: %v", err)
	}
	c.Forget("prod-eu")
	if _, err := c.Token(t.Context(), w.want); err != nil || len(w.tokens) != before+2 {
		t.Fatalf("a dropped session was used: %v", err)
	}
}

func TestALoginThatFailsIsNotTriedAtEveryLook(t *testing.T) {
	w := newWorld(t)
	c := w.until(diff.BirthDone)
	c.Forget("prod-eu")
	tries := 0
	c.Login = func(context.Context, desired.Node, secret.Bytes, secret.Bytes) (Session, error) {
		tries++
		return Session{}, errors.New("sealed")
	}
	for range 5 {
		if _, err := c.Token(t.Context(), w.want); err == nil {
			t.Fatal("a token out of nothing")
		}
	}
	if tries != len(w.want.Nodes) {
		t.Fatalf("%d logins", tries)
	}
	w.now = w.now.Add(loginAgain)
	if _, err := c.Token(t.Context(), w.want); err == nil || tries != 2*len(w.want.Nodes) {
		t.Fatalf("%d logins", tries)
	}
	c.Retry("prod-eu") // a step may have mended it
	if _, err := c.Token(t.Context(), w.want); err == nil || tries != 3*len(w.want.Nodes) {
		t.Fatalf("%d logins", tries)
	}
}

func TestRevokeWaitsForAHumanWayIn(t *testing.T) {
	for _, phase := range []diff.BirthPhase{diff.BirthKeys, diff.BirthCredential} {
		w := newWorld(t)
		c := w.until(phase)
		if err := w.do(c, diff.ActionRevoke, "eu-1"); !errors.Is(err, apply.ErrRefused) || !w.rootOK {
			t.Errorf("%s: %v", phase, err)
		}
	}
}

func TestRevokeWaitsForOurOwnWayIn(t *testing.T) {
	w := newWorld(t)
	c := w.until(diff.BirthConfirmed)
	for _, n := range w.nodes {
		n.loginFails = true
	}
	if err := w.do(c, diff.ActionRevoke, "eu-1"); !errors.Is(err, apply.ErrRefused) || !w.rootOK {
		t.Fatal(err)
	}
}

func TestOnlyAHolderConfirms(t *testing.T) {
	w := newWorld(t)
	c := w.until(diff.BirthCredential)
	stranger, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for name, id := range map[string]*age.X25519Identity{"a stranger": stranger, "the reconciler": w.own} {
		if who, err := w.confirm(c, id); err == nil || w.memory.Birth.Phase != diff.BirthCredential {
			t.Errorf("%s confirmed as %q", name, who)
		}
	}
	if _, err := c.Confirm(t.Context(), w.want, t.TempDir()+"/nothing"); err == nil {
		t.Error("a missing file confirmed")
	}
	who, err := w.confirm(c, w.alice)
	if err != nil || who != "alice" || w.memory.Birth.Confirmed != "alice" || w.memory.Birth.Phase != diff.BirthConfirmed {
		t.Fatalf("%q, %v", who, err)
	}
	if _, err := w.confirm(c, w.alice); err == nil || !strings.Contains(err.Error(), "before, by alice") {
		t.Fatal(err)
	}
}

func TestConfirmIsNotForAnotherPhase(t *testing.T) {
	for _, phase := range []diff.BirthPhase{diff.BirthNone, diff.BirthKeys} {
		w := newWorld(t)
		c := w.start()
		if phase != diff.BirthNone {
			c = w.until(phase)
		}
		if _, err := w.confirm(c, w.alice); err == nil || w.memory.Birth.Phase != phase {
			t.Errorf("%q: %v", phase, err)
		}
	}
}

// A bundle that is missing, moved, thinned out or of other shares is found out,
// in whichever store it lies.
func TestConfirmFindsABadBundle(t *testing.T) {
	const at = "prod-eu/holders/alice.age"
	for _, c := range []struct {
		name  string
		spoil func(*world, *shelf)
		says  string
	}{
		{"missing", func(_ *world, s *shelf) { delete(s.data, at) }, "it is missing"},
		{"garbled", func(_ *world, s *shelf) { s.data[at] = []byte("x") }, "decrypt with age"},
		{"of another cluster", func(w *world, s *shelf) { s.data[at] = w.bundleFor("prod-us", w.memory.Birth.Nonce, w.shares[:3]) }, "of cluster prod-us"},
		{"of another birth", func(w *world, s *shelf) { s.data[at] = w.bundleFor("prod-eu", "OTHER", w.shares[:3]) }, "of another birth"},
		{"too few", func(w *world, s *shelf) { s.data[at] = w.bundleFor("prod-eu", w.memory.Birth.Nonce, w.shares[:2]) }, "2 of the 3 shares"},
		{"one share thrice", func(w *world, s *shelf) {
			s.data[at] = w.bundleFor("prod-eu", w.memory.Birth.Nonce, [][]byte{w.shares[0], w.shares[0], w.shares[0]})
		}, "1 of the 3 shares"},
		{"a foreign share", func(w *world, s *shelf) {
			s.data[at] = w.bundleFor("prod-eu", w.memory.Birth.Nonce, [][]byte{w.shares[0], w.shares[1], []byte("aa")})
		}, "not of this cluster"},
		{"the store is away", func(_ *world, s *shelf) { s.broken = errors.New("not mounted") }, "not mounted"},
	} {
		for i := range 2 {
			t.Run(fmt.Sprintf("%s/%d", c.name, i), func(t *testing.T) {
				w := newWorld(t)
				ceremony := w.until(diff.BirthCredential)
				c.spoil(w, w.stores[i])
				if who, err := w.confirm(ceremony, w.alice); err == nil || !strings.Contains(err.Error(), c.says) || w.memory.Birth.Phase != diff.BirthCredential {
					t.Fatalf("%q, %v", who, err)
				}
			})
		}
	}
}

// bundleFor is a bundle for alice with any content.
func (w *world) bundleFor(cluster, nonce string, shares [][]byte) []byte {
	body := bundleBody{Holder: "alice", Threshold: 3}
	for _, s := range shares {
		body.Shares = append(body.Shares, string(s))
	}
	raw, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	text, err := record{Kind: "holders/alice", Cluster: cluster, Nonce: nonce, Body: raw}.encode()
	if err != nil {
		w.t.Fatal(err)
	}
	sealed, err := secret.Encrypt([]string{w.alice.Recipient().String()}, secret.Of(text))
	if err != nil {
		w.t.Fatal(err)
	}
	return sealed
}

// Ciphertexts do not move between clusters, births or places.
func TestAMovedRecordIsFoundOut(t *testing.T) {
	w := newWorld(t)
	c := w.until(diff.BirthDone)
	s := w.stores[0]
	s.data["prod-us/transport.age"] = s.data["prod-eu/transport.age"]
	if _, err := c.read(t.Context(), s, "prod-us", kindTransport); err == nil || !strings.Contains(err.Error(), "moved") {
		t.Error(err)
	}
	s.data["prod-eu/init.age"] = s.data["prod-eu/credential.age"]
	if _, err := c.keysIn(t.Context(), s, w.want, w.memory.Birth.Nonce); err == nil || !strings.Contains(err.Error(), "moved") {
		t.Error(err)
	}
	if _, err := c.keysIn(t.Context(), w.stores[1], w.want, "OTHER"); err == nil || !strings.Contains(err.Error(), "another birth") {
		t.Error(err)
	}
}

func TestShowNamesWhatLiesWhere(t *testing.T) {
	w := newWorld(t)
	c := w.until(diff.BirthConfirmed)
	w.stores[1].broken = errors.New("not mounted")
	shown := c.Show(t.Context())
	if len(shown) != 2 || shown[0].Cluster != "prod-eu" || len(shown[0].Names) != 4 || shown[1].Error != "not mounted" {
		t.Fatalf("%+v", shown)
	}
}

func TestNewRefusesKeysThatCannotWork(t *testing.T) {
	for name, keys := range map[string]Keys{
		"no recipient":    {Holders: map[string]string{"bob": "age1nonsense"}},
		"a secret key":    {Holders: map[string]string{"bob": newWorld(t).alice.String()}},
		"a path":          {Holders: map[string]string{"../bob": newWorld(t).alice.Recipient().String()}},
		"a plugin's kind": {Identities: []age.Identity{strange{}}},
	} {
		if _, err := New(Ports{}, keys); err == nil {
			t.Error(name)
		} else if strings.Contains(err.Error(), "AGE-SECRET-KEY") {
			t.Errorf("%s: the error quotes a key", name)
		}
	}
}

type strange struct{}

func (strange) Unwrap([]*age.Stanza) ([]byte, error) { return nil, age.ErrIncorrectIdentity }

func TestPostQuantumIdentitiesWork(t *testing.T) {
	w := newWorld(t)
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	c := w.start()
	c.identities = []age.Identity{hybrid, w.own}
	if c.own, err = recipientsOf(c.identities); err != nil || len(c.own) != 1 {
		t.Fatal(err)
	}
	if err := w.do(c, diff.ActionInit, "eu-1"); err != nil {
		t.Fatal(err)
	}
	if err := w.do(c, diff.ActionUnseal, "eu-1"); err != nil {
		t.Fatal(err)
	}
}

func TestAnActionOfAnotherRoomIsRefused(t *testing.T) {
	w := newWorld(t)
	for _, action := range []diff.Action{diff.ActionRestart, "", "sing"} {
		if err := w.do(w.start(), action, "eu-1"); !errors.Is(err, apply.ErrRefused) {
			t.Errorf("%q: %v", action, err)
		}
	}
	if err := w.do(w.start(), diff.ActionInit, "us-1"); !errors.Is(err, apply.ErrRefused) {
		t.Error(err)
	}
}
