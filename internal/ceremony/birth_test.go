package ceremony

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// born checks what a birth that is over leaves behind.
func (w *world) born(c *Ceremony) {
	w.t.Helper()
	b := w.memory.Birth
	if b.Phase != diff.BirthDone || b.Confirmed != "alice" || !slices.Equal(b.Holders, []string{"alice"}) || b.Evidence != "" || !w.memory.Known {
		w.t.Fatalf("birth: %+v, known %v", b, w.memory.Known)
	}
	if w.inits != 1 {
		w.t.Fatalf("Vault was initialised %d times", w.inits)
	}
	if w.rootOK {
		w.t.Fatal("the root token still works")
	}
	for _, s := range w.stores {
		ans, err := c.keysIn(w.t.Context(), s, w.want, b.Nonce)
		if err != nil {
			w.t.Fatal(err)
		}
		if !slices.Equal(ans.digests(), answer{shares: w.shares}.digests()) {
			w.t.Fatalf("%s holds other shares", s.name)
		}
		names, _ := s.List(w.t.Context(), "")
		want := []string{"prod-eu/credential.age", "prod-eu/holders/alice.age", "prod-eu/init.age", "prod-eu/root-revoked.age", "prod-eu/transport.age"}
		if !slices.Equal(names, want) {
			w.t.Fatalf("%s holds %q", s.name, names)
		}
	}
	if !w.nodes["eu-1"].forgotten {
		w.t.Fatal("the answer still lies on the seed")
	}
	token, err := c.Token(w.t.Context(), w.want)
	if err != nil || !w.tokens[string(token.Reveal())] {
		w.t.Fatalf("no token of our own: %v", err)
	}
	w.secretsStay(c)
}

func TestAClusterIsBornOnceAndItsRootTokenGoes(t *testing.T) {
	w := newWorld(t)
	w.nodes["eu-1"].hang = 3
	c := w.live(20)
	w.born(c)
	order := []string{
		"put disk prod-eu/transport.age", "put escrow prod-eu/transport.age", "save intent", "vault-init eu-1",
		"put disk prod-eu/init.age", "put escrow prod-eu/init.age", "put disk prod-eu/holders/alice.age", "put escrow prod-eu/holders/alice.age",
		"save keys", "vault-init-forget eu-1", "vault-unseal eu-1", "vault-unseal eu-2", "vault-unseal eu-3", "vault-audit eu-1",
		"vault-policy eu-1", "vault-approle eu-1", "put disk prod-eu/credential.age", "put escrow prod-eu/credential.age",
		"save credential", "save confirmed", "vault-revoke eu-1", "put disk prod-eu/root-revoked.age", "put escrow prod-eu/root-revoked.age", "save done",
	}
	var got []string
	for _, e := range w.effects {
		if !strings.HasPrefix(e, "vault-init-result") && !(e == "vault-init-forget eu-1" && slices.Contains(got, e)) {
			got = append(got, e)
		}
	}
	if !slices.Equal(got, order) {
		t.Fatalf("in this order:\n%s", strings.Join(got, "\n"))
	}
}

// Every effect of a whole birth is hit once: the process ends, or the effect
// fails, before it happened or after. Whatever it was, the next turns end with
// the same cluster, initialised once.
func TestABirthSurvivesEveryCrashAndEveryLostAnswer(t *testing.T) {
	dry := newWorld(t)
	dry.live(20)
	for _, crash := range []bool{true, false} {
		for _, after := range []bool{false, true} {
			for at := 1; at <= len(dry.effects); at++ {
				t.Run(fmt.Sprintf("crash=%v/after=%v/%d %s", crash, after, at, dry.effects[at-1]), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t)
					w.at, w.after, w.crash = at, after, crash
					w.born(w.live(30))
				})
			}
		}
	}
}

func TestInitIsRefusedBeforeAnythingIsDone(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*world)
		says string
	}{
		{"a store does not work", func(w *world) { w.stores[1].broken = errors.New("stale file handle") }, "stale file handle"},
		{"a store does not give back", func(w *world) { w.stores[1].untrue = errors.New("reads back other bytes") }, "reads back other bytes"},
		{"a store holds keys of this cluster", func(w *world) { w.stores[1].data["prod-eu/init.age"] = []byte("x") }, "key store escrow holds prod-eu/init.age"},
		{"a store holds what a broken write left of keys", func(w *world) { w.stores[0].data["prod-eu/.init.age.1.tmp"] = []byte("x") }, "key store disk holds"},
		{"a store does not take the transport key", func(w *world) { w.stores[1].deny = "transport" }, "no space left"},
		{"a store garbles the transport key", func(w *world) { w.stores[1].garbled = "transport" }, "key store escrow"},
		{"a transport key that nobody can read", func(w *world) { w.stores[0].data["prod-eu/transport.age"] = []byte("x") }, "decrypt"},
		{"one store in production", func(w *world) { w.stores = w.stores[:1] }, "add a second"},
		{"no store in a learning cluster", func(w *world) { w.stores, w.want.Rules = nil, desired.RulesLearning }, "name folders"},
		{"an unknown holder", func(w *world) { w.want.Keys.Holders = []string{"bob"} }, "reconciler.yaml has no bob"},
		{"the holder is the reconciler", func(w *world) { w.alice = w.own }, "no second way in"},
		{"a node does not answer", func(w *world) { w.nodes["eu-3"].down = true }, "eu-3 must say that it is not initialised"},
		{"a node is initialised", func(w *world) { w.nodes["eu-2"].initialized = true }, "eu-2 says that it is initialised"},
		{"nobody approved", func(w *world) { w.memory.Leaves = nil }, "reconciler approve --init prod-eu"},
		{"the approval is over", func(w *world) { w.memory.Leaves[0].Until = w.now }, "reconciler approve --init prod-eu"},
		{"a folder was not seen empty", func(w *world) { w.memory.Members[1].Empty = false }, "the data folder on eu-2"},
		{"the spec pins a cluster", func(w *world) { w.want.ClusterID = "8f2c" }, "born before"},
		{"the memory knows a cluster", func(w *world) { w.memory.ClusterID = "8f2c" }, "born before"},
		{"people hold the keys", func(w *world) { w.want.Keys.HeldBy = desired.HeldByPeople }, "held_by people"},
		{"another seal", func(w *world) { w.want.Seal.Kind = "transit" }, "seal transit"},
		{"impossible keys", func(w *world) { w.want.Keys.Threshold = 1 }, "Vault has no such keys"},
		{"no ca on the nodes", func(w *world) { w.want.CAPath = "" }, "whose source is ca"},
		{"the intent cannot be saved", func(w *world) { w.on = "save intent" }, "save intent: connection lost"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			c.do(w)
			err := w.do(w.start(), diff.ActionInit, "eu-1")
			if !errors.Is(err, apply.ErrRefused) || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Fatalf("%v", err)
			}
			if w.inits != 0 || w.memory.Birth.Phase != diff.BirthNone || slices.ContainsFunc(w.effects, func(e string) bool { return strings.HasPrefix(e, "vault-") }) {
				t.Fatalf("something was done: %q, phase %q", w.effects, w.memory.Birth.Phase)
			}
		})
	}
}

func TestInitNeedsAHolder(t *testing.T) {
	w := newWorld(t)
	c := w.start()
	c.names = nil
	if err := w.do(c, diff.ActionInit, "eu-1"); !errors.Is(err, apply.ErrRefused) || !strings.Contains(err.Error(), "there is nobody") {
		t.Fatal(err)
	}
}

func TestALearningClusterMayHaveOneStoreAndOneShare(t *testing.T) {
	w := newWorld(t)
	w.want.Rules, w.stores = desired.RulesLearning, w.stores[:1]
	w.want.Nodes, w.want.Keys.Shares, w.want.Keys.Threshold = w.want.Nodes[:1], 1, 1
	w.born(w.live(20))
}

func TestAStrangersStoreIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.stores[0].data["prod-us/init.age"] = []byte("keys of another cluster")
	if err := w.do(w.start(), diff.ActionInit, "eu-1"); err != nil {
		t.Fatal(err)
	}
	if string(w.stores[0].data["prod-us/init.age"]) != "keys of another cluster" {
		t.Fatal("another cluster's keys were touched")
	}
}

// What is lost stays lost: nothing is asked again, and nothing else is done.
func TestALostAnswerFreezesTheCluster(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*world)
		says string
	}{
		{"init failed", func(w *world) {
			w.nodes["eu-1"].inits = map[string][]byte{}
			w.nodes["eu-1"].lies = true // says that it is not initialised, and it is
			w.nodes["eu-1"].initialized = true
		}, "Vault is already initialized"},
		{"fewer shares", replies(func(r map[string]any) { r["unseal_keys_hex"] = r["unseal_keys_hex"].([]string)[:4] }), "4 shares came"},
		{"more shares", replies(func(r map[string]any) {
			r["unseal_keys_hex"] = append(r["unseal_keys_hex"].([]string), "ab")
		}), "6 shares came"},
		{"no shares", replies(func(r map[string]any) { delete(r, "unseal_keys_hex"); delete(r, "unseal_keys_b64") }), "0 shares came"},
		{"one share twice", replies(func(r map[string]any) {
			for _, key := range []string{"unseal_keys_hex", "unseal_keys_b64"} {
				r[key].([]string)[1] = r[key].([]string)[0]
			}
		}), "share 2 came twice"},
		{"two forms that differ", replies(func(r map[string]any) { r["unseal_keys_b64"].([]string)[2] = "AAAA" }), "not the same in both"},
		{"plaintext shares", replies(func(r map[string]any) {
			delete(r, "unseal_keys_b64")
			r["unseal_keys_hex"].([]string)[0] = strings.Repeat("ab", 33)
		}), "share 1 of 5: it is not encrypted to the transport key"},
		{"another threshold", replies(func(r map[string]any) { r["unseal_threshold"] = 2 }), "other numbers"},
		{"recovery keys", replies(func(r map[string]any) { r["recovery_keys_hex"] = []string{"ab"} }), "recovery keys"},
		{"a plaintext root token", replies(func(r map[string]any) { r["root_token"] = "hvs.CAESIJplaintextplaintext" }), "root token is missing or not encrypted"},
		{"a share for a root token", replies(func(r map[string]any) { r["root_token"] = "" }), "root token is missing"},
		{"no JSON", func(w *world) { w.answer = func(map[string]any) map[string]any { return nil } }, "0 shares came"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			c.do(w)
			ceremony := w.start()
			err := w.do(ceremony, diff.ActionInit, "eu-1")
			w.lost(ceremony, err, c.says)
		})
	}
}

func replies(change func(map[string]any)) func(*world) {
	return func(w *world) {
		w.answer = func(r map[string]any) map[string]any {
			change(r)
			return r
		}
	}
}

// lost checks that a birth is frozen for this reason, and stays so.
func (w *world) lost(c *Ceremony, err error, says string) {
	w.t.Helper()
	b := w.memory.Birth
	if err == nil || !strings.Contains(err.Error(), says) || b.Phase != diff.BirthLost || !strings.Contains(b.Evidence, says) {
		w.t.Fatalf("%v\nbirth: %+v", err, b)
	}
	asked := len(w.effects)
	for _, action := range []diff.Action{diff.ActionInit, diff.ActionUnseal, diff.ActionAudit, diff.ActionCredential, diff.ActionRevoke} {
		if err := w.do(c, action, "eu-1"); !errors.Is(err, apply.ErrRefused) {
			w.t.Errorf("%s of a lost cluster: %v", action, err)
		}
	}
	if len(w.effects) != asked {
		w.t.Errorf("something was done to a lost cluster: %q", w.effects[asked:])
	}
	if token, err := c.Token(w.t.Context(), w.want); err != nil || token.Len() != 0 {
		w.t.Errorf("a lost cluster has a token")
	}
	w.secretsStay(c)
}

func TestAnUnusableAnswerIsKeptForAPerson(t *testing.T) {
	w := newWorld(t)
	replies(func(r map[string]any) { r["unseal_threshold"] = 2 })(w)
	c := w.start()
	if err := w.do(c, diff.ActionInit, "eu-1"); err == nil {
		t.Fatal("it was taken")
	}
	for _, s := range w.stores {
		r, err := c.read(t.Context(), s, "prod-eu", "unusable-"+w.memory.Birth.Nonce)
		var body initBody
		if err != nil || json.Unmarshal(r.Body, &body) != nil || !strings.Contains(string(body.Answer), "unseal_keys_hex") {
			t.Fatalf("%s: %v", s.name, err)
		}
	}
	if w.nodes["eu-1"].forgotten {
		t.Fatal("the node was told to forget it")
	}
}

func TestAnInitialisedSeedWithoutAnAnswerIsLost(t *testing.T) {
	w := newWorld(t)
	w.on, w.crash, w.after = "save intent", true, true // the intent is saved, and the process ends
	_ = w.do(w.start(), diff.ActionInit, "eu-1")
	if w.memory.Birth.Phase != diff.BirthIntent {
		t.Fatalf("%+v", w.memory.Birth)
	}
	w.nodes["eu-1"].initialized = true // by somebody else
	c := w.start()
	w.lost(c, w.do(c, diff.ActionInit, "eu-1"), "has no answer for init")
}

func TestAnAnswerForAnotherTransportKeyIsLost(t *testing.T) {
	w := newWorld(t)
	w.on, w.crash, w.after = "vault-init eu-1", true, true
	_ = w.do(w.start(), diff.ActionInit, "eu-1")
	for _, s := range w.stores {
		s.data = map[string][]byte{}
	}
	c := w.start()
	nonce := w.memory.Birth.Nonce
	r, err := c.newTransportRecord("prod-eu")
	if err != nil {
		t.Fatal(err)
	}
	r.Nonce = nonce
	if err := c.keep(t.Context(), *r); err != nil {
		t.Fatal(err)
	}
	w.lost(c, w.do(c, diff.ActionInit, "eu-1"), "not encrypted to the transport key")
}

func TestALostTransportKeyStopsAnInitThatWasBegunWithoutFreezingIt(t *testing.T) {
	w := newWorld(t)
	w.on, w.crash, w.after = "vault-init eu-1", true, true
	_ = w.do(w.start(), diff.ActionInit, "eu-1")
	kept := []map[string][]byte{w.stores[0].data, w.stores[1].data}
	w.stores[0].data, w.stores[1].data = map[string][]byte{}, map[string][]byte{}
	c := w.start()
	err := w.do(c, diff.ActionInit, "eu-1")
	if err == nil || errors.Is(err, apply.ErrRefused) || w.memory.Birth.Phase != diff.BirthIntent || !strings.Contains(w.memory.Birth.Evidence, "transport key") {
		t.Fatalf("%v, %+v", err, w.memory.Birth)
	}
	w.stores[0].data, w.stores[1].data = kept[0], kept[1] // the disks are mounted again
	w.born(w.live(20))
}

// The answer lies on the node until every store has it: a store that fails is
// no reason to give a cluster up.
func TestAStoreThatFailsAfterInitIsWaitedFor(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*shelf)
		mend  func(*shelf)
	}{
		{"it takes no keys", func(s *shelf) { s.deny = "init.age" }, func(s *shelf) { s.deny = "" }},
		{"it takes no bundle", func(s *shelf) { s.deny = "holders" }, func(s *shelf) { s.deny = "" }},
		{"it garbles a bundle", func(s *shelf) { s.garbled = "holders" }, func(s *shelf) { s.garbled = "" }},
		{"it garbles the keys", func(s *shelf) { s.garbled = "init.age" }, func(s *shelf) { s.garbled = ""; delete(s.data, "prod-eu/init.age") }},
	} {
		for i := range 2 {
			t.Run(fmt.Sprintf("%s/%d", c.name, i), func(t *testing.T) {
				w := newWorld(t)
				c.spoil(w.stores[i])
				ceremony := w.start()
				for range 3 {
					err := w.do(ceremony, diff.ActionInit, "eu-1")
					if err == nil || w.memory.Birth.Phase != diff.BirthIntent || w.memory.Birth.Evidence == "" || w.nodes["eu-1"].forgotten {
						t.Fatalf("%v, %+v", err, w.memory.Birth)
					}
				}
				if token, err := ceremony.Token(t.Context(), w.want); err != nil || token.Len() != 0 {
					t.Fatal("keys are used before they are stored")
				}
				if err := w.do(ceremony, diff.ActionUnseal, "eu-1"); !errors.Is(err, apply.ErrRefused) {
					t.Fatalf("unseal before the keys are stored: %v", err)
				}
				c.mend(w.stores[i])
				w.born(w.live(20))
			})
		}
	}
}

func TestAnInitThatTakesLongIsWaitedForAndTakenUpAgain(t *testing.T) {
	w := newWorld(t)
	c := w.start()
	w.nodes["eu-1"].hang = 1 << 30
	begun := w.now
	err := w.do(c, diff.ActionInit, "eu-1")
	if err == nil || w.memory.Birth.Phase != diff.BirthIntent || w.now.Sub(begun) < initPatience {
		t.Fatalf("%v after %s", err, w.now.Sub(begun))
	}
	w.nodes["eu-1"].hang = 2
	w.born(w.live(20))
}

func TestAnInitIsNotAskedOfAnotherNode(t *testing.T) {
	w := newWorld(t)
	w.on, w.crash, w.after = "save intent", true, true
	_ = w.do(w.start(), diff.ActionInit, "eu-1")
	if err := w.do(w.start(), diff.ActionInit, "eu-2"); !errors.Is(err, apply.ErrRefused) {
		t.Fatal(err)
	}
}

func TestAMemoryOlderThanTheStoresGoesOnWithTheirKeys(t *testing.T) {
	w := newWorld(t)
	c := w.start()
	if err := w.do(c, diff.ActionInit, "eu-1"); err != nil {
		t.Fatal(err)
	}
	w.memory.Birth.Phase, w.memory.Birth.Holders, w.memory.Known = diff.BirthIntent, nil, false // restored from a snapshot of the host
	w.born(w.live(20))
	if w.inits != 1 {
		t.Fatal("init was asked again")
	}
}

func TestForgottenOnTheNodeAndInNoStoreIsLost(t *testing.T) {
	w := newWorld(t)
	c := w.start()
	if err := w.do(c, diff.ActionInit, "eu-1"); err != nil {
		t.Fatal(err)
	}
	w.memory.Birth.Phase = diff.BirthIntent
	for _, s := range w.stores {
		delete(s.data, "prod-eu/init.age")
	}
	w.lost(c, w.do(c, diff.ActionInit, "eu-1"), "told to forget")
}

func TestANodeThatRefusesInitLeavesTheIntent(t *testing.T) {
	w := newWorld(t)
	c := w.start()
	verb := c.Verb
	c.Verb = func(ctx ctxt, n desired.Node, try diff.Try, name string, args []string, in reader) ([]byte, error) {
		if name == "vault-init" {
			return nil, fmt.Errorf("held by a person: %w", apply.ErrRefused)
		}
		return verb(ctx, n, try, name, args, in)
	}
	if err := w.do(c, diff.ActionInit, "eu-1"); !errors.Is(err, apply.ErrRefused) || w.memory.Birth.Phase != diff.BirthIntent {
		t.Fatalf("%v, %+v", err, w.memory.Birth)
	}
	w.born(w.live(20))
}

func TestEvidenceHoldsNothingLikeAKey(t *testing.T) {
	said := harmless([]byte("exit code 2\nError: token hvs.CAESIGabcdefghijklmnopqrstuvwxyz0123 and\x1b[31m 6f1a2b3c4d5e6f708192a3b4c5d6e7f8 at /etc/vault.d/tls/ca.crt of eu-1.internal.example.org:8200\n" + strings.Repeat("long ", 200)))
	for _, leak := range []string{"hvs.", "6f1a2b", "\x1b", "\n"} {
		if strings.Contains(said, leak) {
			t.Errorf("%q in %q", leak, said)
		}
	}
	for _, kept := range []string{"exit code 2", "/etc/vault.d/tls/ca.crt", "eu-1.internal.example.org:8200"} {
		if !strings.Contains(said, kept) {
			t.Errorf("no %q in %q", kept, said)
		}
	}
	if len(said) > longest+len("…") {
		t.Errorf("%d bytes", len(said))
	}
}

func TestANodeThatLiesAboutItsSealGetsNoShare(t *testing.T) {
	good := actual.Vault{Initialized: true, Sealed: true, SealType: "shamir", Threshold: 3, Shares: 5}
	for name, change := range map[string]func(*actual.Vault){
		"another threshold": func(v *actual.Vault) { v.Threshold = 1 },
		"other shares":      func(v *actual.Vault) { v.Shares = 3 },
		"another seal":      func(v *actual.Vault) { v.SealType = "transit" },
		"removed":           func(v *actual.Vault) { v.Removed = true },
		"not initialised":   func(v *actual.Vault) { v.Initialized = false },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c := w.start()
			if err := w.do(c, diff.ActionInit, "eu-1"); err != nil {
				t.Fatal(err)
			}
			x := w.nodes["eu-2"]
			x.lies, x.v = true, good
			change(&x.v)
			before := len(w.effects)
			if err := w.do(c, diff.ActionUnseal, "eu-2"); !errors.Is(err, apply.ErrRefused) || len(w.effects) != before {
				t.Fatalf("%v, %q", err, w.effects[before:])
			}
		})
	}
}

// Each store alone must open the cluster: one that lost the transport key since
// the intent holds nothing that anybody can read.
func TestKeysThatOneStoreCannotOpenAreNotUsed(t *testing.T) {
	for i := range 2 {
		w := newWorld(t)
		w.on, w.crash, w.after = "vault-init eu-1", true, true
		_ = w.do(w.start(), diff.ActionInit, "eu-1")
		s := w.stores[i]
		kept := s.data["prod-eu/transport.age"]
		delete(s.data, "prod-eu/transport.age")
		if err := w.do(w.start(), diff.ActionInit, "eu-1"); err == nil || w.memory.Birth.Phase != diff.BirthIntent {
			t.Fatalf("%s: %v, %+v", s.name, err, w.memory.Birth)
		}
		s.data["prod-eu/transport.age"] = kept
		w.born(w.live(20))
	}
}

func TestInitIsAskedOnceInAnAttempt(t *testing.T) {
	w := newWorld(t)
	c := w.start()
	verb, asked := c.Verb, 0
	c.Verb = func(ctx ctxt, n desired.Node, try diff.Try, name string, args []string, in reader) ([]byte, error) {
		if name == "vault-init" {
			asked++
			return []byte("running\n"), nil // and nothing comes of it
		}
		return verb(ctx, n, try, name, args, in)
	}
	if err := w.do(c, diff.ActionInit, "eu-1"); err == nil || asked != 1 || w.memory.Birth.Phase != diff.BirthIntent {
		t.Fatalf("asked %d times: %v", asked, err)
	}
	w.born(w.live(20))
}

// What cannot be read is not absent: it may be the only copy of somebody's keys.
func TestWhatCannotBeReadIsNotWrittenOver(t *testing.T) {
	w := newWorld(t)
	w.on, w.crash, w.after = "vault-init eu-1", true, true
	_ = w.do(w.start(), diff.ActionInit, "eu-1")
	w.stores[1].data["prod-eu/init.age"] = []byte("keys that we cannot read")
	for range 2 {
		if err := w.do(w.start(), diff.ActionInit, "eu-1"); err == nil || !strings.Contains(err.Error(), "key store escrow") || w.memory.Birth.Phase != diff.BirthIntent {
			t.Fatalf("%v, %+v", err, w.memory.Birth)
		}
	}
	if string(w.stores[1].data["prod-eu/init.age"]) != "keys that we cannot read" {
		t.Fatal("they are gone")
	}
}
