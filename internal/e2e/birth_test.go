//go:build linux

package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"filippo.io/age/armor"

	"github.com/vaultfleet/reconciler/internal/throwaway"
)

// TestAClusterIsBorn is the whole story: empty nodes, one commit and one
// approval become three voters, and looking again finds nothing to do.
func TestAClusterIsBorn(t *testing.T) {
	l := newLab(t, 3)
	for _, n := range l.Nodes {
		n.Must("if id vault >/dev/null 2>&1; then userdel vault; fi; ! id vault 2>/dev/null")
	}
	l.want(l.run(0, "validate", l.repo).Stdout, "1 good cluster with 3 nodes")
	l.want(l.run(5, "plan", "--detailed-exitcode").Stdout, "init-unapproved", "reconciler approve --init prod")

	l.want(l.run(5, "apply", "--yes").Stdout, "init-unapproved")
	for _, n := range l.Nodes {
		if out, _ := n.Exec("systemctl is-active vault"); strings.TrimSpace(out) == "active" {
			t.Errorf("Vault runs on %s, and nobody approved a birth", n.Name)
		}
	}

	l.run(0, "approve", "--init", "prod", "--reason", "a new cluster")
	l.want(l.run(8, "apply", "--yes").Stdout, "confirm-keys", "alice")
	l.run(0, "keys", "confirm", "prod", "--identity", l.alice.File)
	l.run(0, "apply", "--yes")
	l.inSync()

	l.serves()
	l.rootGone()
	l.keysOnlyEncrypted()

	before := []string{}
	for _, n := range l.Nodes {
		before = append(before, l.traces(n))
	}
	l.run(0, "apply", "--yes")
	for i, n := range l.Nodes {
		if after := l.traces(n); after != before[i] {
			t.Errorf("an apply with nothing to do changed %s:\n%s\n%s", n.Name, before[i], after)
		}
	}
}

// runs are the invocations of each node's service: another one after a restart.
func (l *lab) runs() []string {
	l.t.Helper()
	var runs []string
	for _, n := range l.Nodes {
		runs = append(runs, strings.TrimSpace(n.Must("systemctl show -P InvocationID vault")))
	}
	return runs
}

// serves checks the cluster from the nodes' own mouths, and that status has
// nothing to say.
func (l *lab) serves() {
	l.t.Helper()
	l.answers()
	var status struct {
		Clusters []struct {
			Nodes []struct{ Name, Seal, Role, Voter string }
		}
	}
	out := l.run(0, "status", "-o", "json").Stdout
	if err := json.Unmarshal([]byte(out), &status); err != nil || len(status.Clusters) != 1 || len(status.Clusters[0].Nodes) != 3 {
		l.t.Fatalf("status: %v\n%s", err, out)
	}
}

// answers expects every node to be open, and one of them to lead.
func (l *lab) answers() {
	l.t.Helper()
	leaders := 0
	for _, n := range l.Nodes {
		health := n.Must("curl -s --cacert /etc/vault.d/tls/ca.crt 'https://" + n.Address + ":8200/v1/sys/health?standbyok=true'")
		l.want(health, `"initialized":true`, `"sealed":false`, `"version":"`+l.version+`"`)
		if strings.Contains(health, `"standby":false`) {
			leaders++
		}
	}
	if leaders != 1 {
		l.t.Errorf("%d leaders", leaders)
	}
}

// rootGone checks that the cluster itself saw its root token revoked, and that
// both audit devices wrote it down.
func (l *lab) rootGone() {
	l.t.Helper()
	for _, file := range []string{"audit.log", "second.log"} {
		all := ""
		for _, n := range l.Nodes {
			out, _ := n.Exec("cat /var/log/vault/" + file)
			all += out
		}
		l.want(all, `"path":"auth/token/revoke-self"`)
	}
}

// keysOnlyEncrypted checks that every key store holds the keys, and that
// nothing in it can be read without an identity.
func (l *lab) keysOnlyEncrypted() {
	l.t.Helper()
	for _, store := range l.stores {
		entries, err := filepath.Glob(filepath.Join(store, "prod", "*.age"))
		l.must(err)
		if len(entries) < 3 {
			l.t.Errorf("key store %s holds %v", store, entries)
		}
		for _, e := range entries {
			b, err := os.ReadFile(e)
			l.must(err)
			if !bytes.HasPrefix(b, []byte("age-encryption.org/v1")) && !bytes.HasPrefix(b, []byte(armor.Header)) {
				l.t.Errorf("%s is not encrypted", e)
			}
		}
	}
}

// canaries are the secrets of the lab, as they would look in a leak: alice's
// shares in each of their spellings, TLS keys, age keys, the credential.
func (l *lab) canaries() []string {
	l.t.Helper()
	var canaries []string
	for _, n := range l.Nodes {
		lines := strings.Split(string(n.CertKey), "\n")
		canaries = append(canaries, lines[1])
	}
	for _, id := range []throwaway.Identity{l.identity, l.alice} {
		b, err := os.ReadFile(id.File)
		l.must(err)
		canaries = append(canaries, lineWith(b, "AGE-SECRET-KEY-"))
	}
	store := filepath.Join(l.stores[0], "prod")
	if bundle := filepath.Join(store, "holders", "alice.age"); exists(bundle) {
		shares := quoted(l.open(l.alice, bundle))
		if len(shares) < 3 {
			l.t.Errorf("alice's bundle holds %d words", len(shares))
		}
		for _, s := range shares {
			canaries = append(canaries, s)
			if raw, err := base64.StdEncoding.DecodeString(s); err == nil {
				canaries = append(canaries, hex.EncodeToString(raw), string(raw))
			}
		}
	}
	if credential := filepath.Join(store, "credential.age"); exists(credential) {
		secret := secretID.FindStringSubmatch(l.open(l.identity, credential))
		if secret == nil {
			l.t.Error("the credential holds no secret_id")
		} else {
			canaries = append(canaries, secret[1])
		}
	}
	return canaries
}

var secretID = regexp.MustCompile(`"secret_id":\s*"([^"]+)"`)

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// open decrypts a file with somebody's identity.
func (l *lab) open(id throwaway.Identity, path string) string {
	l.t.Helper()
	sealed, err := os.ReadFile(path)
	l.must(err)
	plain, err := id.Decrypt(sealed)
	l.must(err)
	return string(plain)
}

// quoted are the long strings of a JSON text: the shares of a bundle.
func quoted(text string) []string {
	var out []string
	for i, part := range strings.Split(text, `"`) {
		if i%2 == 1 && len(part) >= 40 && !strings.Contains(part, " ") {
			out = append(out, part)
		}
	}
	return out
}

func lineWith(b []byte, prefix string) string {
	for _, line := range strings.Split(string(b), "\n") {
		if strings.HasPrefix(line, prefix) {
			return line
		}
	}
	return ""
}
