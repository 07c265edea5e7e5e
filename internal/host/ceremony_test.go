package host

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// vaulted is a machine with the tests' vault at its place.
func vaulted(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	b, err := os.ReadFile("testdata/vault")
	if err != nil {
		t.Fatal(err)
	}
	m.writeMode("/usr/local/bin/vault", string(b), 0o755)
	return m
}

func (m *machine) vaultCalls() []string {
	p := m.root + "/vault.calls"
	b, _ := os.ReadFile(p) // none yet
	_ = os.Remove(p)
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

// api are the arguments that every verb of Vault begins with.
func api(verb string, args ...string) []string {
	return append([]string{verb, "1", holder, "op1", "/usr/local/bin/vault"}, args...)
}

const addr = "https://127.0.0.1:8200"

func TestInitRunsOnceAndOutlivesItsCaller(t *testing.T) {
	m := vaulted(t)
	m.write("/vault/slow", "")
	result := func(nonce string) string { return m.must("", api("vault-init-result", nonce)...) }
	if got := result("n1"); got != "none\n" {
		t.Errorf("before: %q", got)
	}
	ask := api("vault-init", "n1", addr, "/etc/vault.d/ca.crt", "vault.internal", "3", "2")
	if got := m.must("PUBLICKEY", ask...); got != "running\n" {
		t.Errorf("first: %q", got)
	}
	if got := m.must("ANOTHERKEY", ask...); got != "running\n" {
		t.Errorf("asked again while it runs: %q", got)
	}
	if got := result("n1"); got != "running\n" {
		t.Errorf("while it runs: %q", got)
	}
	if out := m.sh("", api("vault-init-forget", "n1")...); out.Exit != exitContent {
		t.Errorf("forgotten while it runs: exit %d", out.Exit)
	}
	if err := os.Remove(m.root + "/vault/slow"); err != nil {
		t.Fatal(err)
	}
	want := "done\n" + `{"unseal_keys_b64":["wcBMA"],"root_token":"wcBMB"}` + "\n"
	wait(t, func() bool { return result("n1") != "running\n" })
	if got := result("n1"); got != want {
		t.Errorf("after: %q", got)
	}
	if got := m.must("PUBLICKEY", ask...); got != want {
		t.Errorf("asked again after: %q", got)
	}
	key := m.root + "/var/lib/reconciler-node/init/n1.pub"
	calls := m.vaultCalls()
	if len(calls) != 1 || !strings.HasPrefix(calls[0], "vault operator init -format=json -key-shares=3 -key-threshold=2 -pgp-keys="+key+","+key+","+key+" -root-token-pgp-key="+key+" | addr="+addr+" ca="+m.root+"/etc/vault.d/ca.crt name=vault.internal retries=0 token= proxy=") {
		t.Errorf("calls %q", calls)
	}
	if i, err := os.Stat(m.root + "/var/lib/reconciler-node/init/n1.json"); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", i, err)
	}
	m.must("", api("vault-init-forget", "n1")...)
	m.must("", api("vault-init-forget", "n1")...)
	if got := m.must("PUBLICKEY", ask...); got != "forgotten\n" {
		t.Errorf("asked again after it was forgotten: %q", got)
	}
	if b, err := os.ReadFile(m.root + "/var/lib/reconciler-node/init/n1.json"); err == nil {
		t.Errorf("forgotten, and still there: %s", b)
	}
}

func TestInitThatFailsSaysWhy(t *testing.T) {
	t.Parallel()
	m := vaulted(t)
	m.write("/vault/initialized", "")
	m.must("KEY", api("vault-init", "n2", addr, "-", "-", "1", "1")...)
	wait(t, func() bool { return m.must("", api("vault-init-result", "n2")...) != "running\n" })
	if got := m.must("", api("vault-init-result", "n2")...); got != "failed\nexit code 2\nVault is already initialized\n" {
		t.Errorf("%q", got)
	}
	if out := m.sh("", api("vault-init", "n3", addr, "-", "-", "1", "1")...); out.Exit != exitContent {
		t.Errorf("without a public key: exit %d", out.Exit)
	}
	// Its process was killed before it could write anything down.
	m.write("/var/lib/reconciler-node/init/n4.started", "")
	m.write("/var/lib/reconciler-node/init/n4.lock", "")
	if got := m.must("KEY", api("vault-init", "n4", addr, "-", "-", "1", "1")...); got != "failed\nits process ended without an answer\n" {
		t.Errorf("%q", got)
	}
}

func TestUnseal(t *testing.T) {
	m := vaulted(t)
	if got := m.must("c2hhcmUx\nc2hhcmUy\n", api("vault-unseal", addr, "-", "-")...); got != `{"sealed": false}`+"\n" {
		t.Errorf("%q", got)
	}
	calls := m.vaultCalls()
	verbs := make([]string, len(calls))
	for i, c := range calls {
		verbs[i], _, _ = strings.Cut(c, " |")
		if strings.Contains(c, "c2hhcmU") {
			t.Errorf("a share is an argument: %q", c)
		}
	}
	if want := []string{"vault status -format=json", "vault operator unseal -reset", "vault write -format=json sys/unseal key=-", "share of 8 bytes", "vault write -format=json sys/unseal key=-", "share of 8 bytes", "vault status -format=json"}; !slices.Equal(verbs, want) {
		t.Errorf("calls %q", verbs)
	}
	if m.must("c2hhcmUx\n", api("vault-unseal", addr, "-", "-")...); slices.Contains(m.vaultCalls(), "share of 8 bytes") {
		t.Error("an open Vault was sent a share")
	}
}

func TestUnsealStopsAtTheFirstShareThatDoesNotFit(t *testing.T) {
	m := vaulted(t)
	out := m.sh("WRONG\nc2hhcmUy\n", api("vault-unseal", addr, "-", "-")...)
	if out.Exit == 0 || strings.Contains(string(out.Stderr), "WRONG") {
		t.Errorf("exit %d: %s", out.Exit, out.Stderr)
	}
	calls := m.vaultCalls()
	if last := calls[len(calls)-1]; !strings.HasPrefix(last, "vault operator unseal -reset") || slices.Contains(calls, "share of 8 bytes") {
		t.Errorf("calls %q", calls)
	}
}

func TestAuditPolicyAppRoleRevoke(t *testing.T) {
	m := vaulted(t)
	const token = "hvs.CAESI-root_token"
	m.must(token+"\n"+`{"type":"file","options":{"file_path":"/var/log/vault/audit.log"}}`, api("vault-audit", addr, "-", "-", "file")...)
	got := m.must(token+"\npath \"sys/health\" {}\n", api("vault-approle", addr, "-", "-")...)
	if got != `{"role_id":"role-1","secret_id":"secret-1"}`+"\n" {
		t.Errorf("approle: %q", got)
	}
	if got := m.must(token+"\n", api("vault-revoke", addr, "-", "-")...); got != "revoked\n" {
		t.Errorf("revoke: %q", got)
	}
	if got := m.must(token+"\n", api("vault-revoke", addr, "-", "-")...); got != "revoked\n" {
		t.Errorf("revoke again: %q", got)
	}
	calls := m.vaultCalls()
	for _, want := range []string{`body {"type":"file","options":{"file_path":"/var/log/vault/audit.log"}}`, `policy path "sys/health" {}`} {
		if !slices.Contains(calls, want) {
			t.Errorf("no %q in %q", want, calls)
		}
	}
	for _, c := range calls {
		if strings.Contains(c, token) {
			t.Errorf("the token is an argument: %q", c)
		}
		if strings.HasPrefix(c, "vault ") && !strings.Contains(c, "token=yes") {
			t.Errorf("without the token: %q", c)
		}
	}
}

func TestRevokeIsProvenOrFails(t *testing.T) {
	for _, world := range []string{"stubborn", "stubborn silent"} {
		m := vaulted(t)
		for _, f := range strings.Fields(world) {
			m.write("/vault/"+f, "")
		}
		if out := m.sh("hvs.x\n", api("vault-revoke", addr, "-", "-")...); out.Exit != 1 || len(out.Stdout) > 0 {
			t.Errorf("%s: exit %d %s", world, out.Exit, out.Stdout)
		}
	}
	m := vaulted(t)
	for _, token := range []string{"", "\n", "hvs.x y\n", "$(id)\n"} {
		if out := m.sh(token, api("vault-revoke", addr, "-", "-")...); out.Exit != exitContent {
			t.Errorf("token %q: exit %d", token, out.Exit)
		}
	}
}

// wait waits for a condition with a deadline.
func wait(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen within 20 s")
		}
	}
}
