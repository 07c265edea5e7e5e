package host

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// What Vault 1.21 says to SIGHUP, as journald keeps it (command/server.go, case
// <-c.SighupCh), and what counts as taken up.
func TestAReloadCountsOnceVaultWasHeard(t *testing.T) {
	t.Parallel()
	const crt = "/etc/vault.d/tls.crt"
	const stamp = "2026-11-25T10:18:21.000Z "
	// What it said before is about another reload.
	const before = "==> Vault reload triggered\n" + stamp + "[ERROR] could not reload config: error=\"older\"\n"
	m := newMachine(t).installed()
	m.stageAndActivate("g", "start", m.put("config", "/etc/vault.d/vault.hcl", "v = 1\n"), m.put("unit", "/etc/systemd/system/vault.service", "[Service]\n"), m.put("file", crt, "cert"))
	gens, taken := 0, "cert"
	for name, c := range map[string]struct {
		says    string
		world   func(m *machine)
		verdict string // refused, unseen, or "" for taken
		words   string
	}{
		"silence":                  {},
		"other parts complain":     {says: stamp + "[ERROR] core: failed to do something\n" + stamp + "[WARN]  storage.raft: heartbeat timeout reached\n"},
		"an unknown key":           {says: stamp + "[WARN]  Unknown or unsupported field x found in configuration at /etc/vault.d/vault.hcl:3:1\n"},
		"an audit file is stuck":   {says: "Error(s) were encountered during reload: 1 error occurred:\n\t* error encountered reloading file audit device at path \"file/\": open /var/log/vault/audit.log: permission denied\n"},
		"a config in pieces":       {says: stamp + "[ERROR] could not reload config: error=\"At 19:17: expected: IDENT | STRING\"\n", verdict: "refused", words: "could not reload config: error=\"At 19:17"},
		"in JSON":                  {says: `{"@level":"error","@message":"could not reload config","@timestamp":"2026-11-25T10:18:21Z","error":"no"}` + "\n", verdict: "refused", words: "could not reload config"},
		"no config":                {says: stamp + "[ERROR] no config found at reload time\n", verdict: "refused", words: "no config found"},
		"a level that is none":     {says: stamp + "[ERROR] unknown log level found on reload: level=loud\n", verdict: "refused", words: "level=loud"},
		"a mismatched pair":        {says: "Error(s) were encountered during reload: 1 error occurred:\n\t* error encountered reloading listener: tls: private key does not match public key\n\n", verdict: "refused", words: "private key does not match public key"},
		"a secret in its words":    {says: stamp + "[ERROR] could not reload config: error=\"hvs.CAESIJabc\"\n", verdict: "refused", words: "it said (journalctl -u vault has it all): what is not shown here"},
		"raft refuses a value":     {says: stamp + "[WARN]  error reloading raft config: error=\"LeaderLeaseTimeout (2.5s) cannot be larger than heartbeat timeout (1s)\"\n", verdict: "unseen", words: "cannot be larger than"},
		"the server complains":     {says: stamp + "[ERROR] Vault is sealed\n", verdict: "unseen", words: "Vault is sealed"},
		"the same in JSON":         {says: `{"@level":"error","@message":"Vault is \"sealed\"","@timestamp":"2026-11-25T10:18:21Z"}` + "\n", verdict: "unseen", words: "sealed"},
		"a part complains in JSON": {says: `{"@level":"error","@message":"no","@module":"core","@timestamp":"2026-11-25T10:18:21Z"}` + "\n"},
		"nothing of it is left":    {world: func(m *machine) { m.write("/sd/journal", "") }},
		"refused with none left":   {says: stamp + "[ERROR] could not reload config: error=x\n", world: func(m *machine) { m.write("/sd/journal", "") }, verdict: "refused", words: "could not reload config"},
		"no journal":               {world: func(m *machine) { m.remove("/sd/journal") }, verdict: "unseen", words: "the journal of vault.service cannot be read"},
		"no way to reload":         {world: func(m *machine) { m.write("/sd/no-reload", "once") }, verdict: "unseen", words: "systemd did not do it: Job type reload is not applicable"},
	} {
		m.write("/sd/says", c.says)
		m.write("/sd/journal", before)
		if c.world != nil {
			c.world(m)
		}
		gens++
		cert := fmt.Sprint("cert ", gens)
		out := m.stageAndActivate(fmt.Sprint("g", gens), "reload", m.put("file", crt, cert))
		said := string(out.Stderr)
		if (out.Exit == 0) != (c.verdict == "") || !strings.Contains(said, c.words) || strings.Contains(said, "hvs.") || strings.Contains(said, "older") {
			t.Errorf("%s: exit %d, %s", name, out.Exit, said)
			continue
		}
		mark := m.read("/run/reconciler-node/started/vault/mark")
		if !strings.Contains(mark, "\nfile "+hexOf("v = 1\n")+" /etc/vault.d/vault.hcl\n") {
			t.Errorf("%s: the mark lost the configuration:\n%s", name, mark)
		}
		if c.verdict == "" {
			taken = cert
		} else if !strings.Contains(mark, " "+c.verdict+" ") || !strings.Contains(mark, "\nuntaken "+hexOf(cert)+" "+crt+"\n") {
			t.Errorf("%s: the mark does not say that it was %s:\n%s", name, c.verdict, mark)
		}
		if !strings.Contains(mark, "\nfile "+hexOf(taken)+" "+crt+"\n") || strings.Contains(mark, "\nverdict ") != (c.verdict != "") {
			t.Errorf("%s: the process has %q, and the mark says\n%s", name, taken, mark)
		}
	}

	m.write("/sd/journal", before) // the case before may have taken it away
	m.write("/sd/says", "error encountered reloading listener: no\n")
	m.stageAndActivate("last", "reload", m.put("file", crt, "cert last"))
	target := m.target()
	target.Files[crt] = "x"
	mark := m.host().Look(t.Context(), target).Process.Mark
	if mark == nil || mark.Untaken == nil || mark.Files[crt] != "sha256:"+hexOf(taken) {
		t.Fatalf("a look says %+v", mark)
	}
	if u := mark.Untaken; !u.Refused || !strings.HasSuffix(u.Why, "error encountered reloading listener: no") || u.At.IsZero() || len(u.Files) != 1 || u.Files[crt] != "sha256:"+hexOf("cert last") {
		t.Errorf("a look says %+v", u)
	}

	m.write("/sd/dies", "")
	out := m.stageAndActivate("death", "reload", m.put("file", crt, "cert death"))
	if out.Exit == 0 || !strings.Contains(string(out.Stderr), "Vault ended meanwhile") {
		t.Errorf("Vault dies of it: exit %d, %s", out.Exit, out.Stderr)
	}
}

// A reload that works, or a start, is the end of one that did not.
func TestWhatWasNotTakenUpIsOverWithTheNextReloadOrStart(t *testing.T) {
	t.Parallel()
	m := newMachine(t).installed()
	m.stageAndActivate("g1", "start", m.put("config", "/etc/vault.d/vault.hcl", "v = 1\n"), m.put("unit", "/etc/systemd/system/vault.service", "[Service]\n"))
	mark := func() string { return m.read("/run/reconciler-node/started/vault/mark") }
	for i, action := range []string{"reload", "restart"} {
		m.write("/sd/says", "error encountered reloading listener: no\n")
		m.stageAndActivate(fmt.Sprint("bad", i), "reload", m.put("config", "/etc/vault.d/vault.hcl", fmt.Sprintf("v = bad%d\n", i)))
		if !strings.Contains(mark(), "\nverdict ") || !strings.Contains(mark(), "\nuntaken ") {
			t.Fatalf("the mark is\n%s", mark())
		}
		m.remove("/sd/says")
		good := fmt.Sprintf("v = good%d\n", i)
		m.stageAndActivate(fmt.Sprint("good", i), action, m.put("config", "/etc/vault.d/vault.hcl", good))
		m.expectMark(good, map[string]string{"/etc/vault.d/vault.hcl": good, "/etc/systemd/system/vault.service": "[Service]\n"})
	}
}

// stageAndActivate brings a generation into force; op and generation are one.
func (m *machine) stageAndActivate(gen, action string, puts ...string) Output {
	m.t.Helper()
	m.must(stream(puts...), "stage", "1", holder, gen, gen)
	marks := "config /etc/vault.d/vault.hcl\nunit /etc/systemd/system/vault.service\nfile /etc/vault.d/tls.crt\n"
	return m.sh(marks, "activate", "1", holder, gen, gen, "-", "-", "/usr/local/bin/vault", action, "vault")
}

func (m *machine) remove(path string) {
	m.t.Helper()
	if err := os.Remove(m.root + path); err != nil {
		m.t.Fatal(err)
	}
}
