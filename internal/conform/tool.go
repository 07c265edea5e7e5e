package conform

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Exit codes of the command vault.
const (
	noAnswer = 1 // of vault status
	shut     = 2 // of vault status: sealed
	refused  = 2 // of all others
)

// Tool holds a server "b" to what the command vault does on its machine, as the
// node script calls it, and a server "c" to what Vault does with a key that
// encrypts nothing. Nobody may have initialised a server. It returns what is not
// so, a sentence each.
func Tool(ctx context.Context, machines Machines, o Options) []string {
	t := &tool{run: &run{Options: o, ctx: ctx, servers: machines}, machines: machines}
	return t.all([]part{
		{"it says its version", t.version},
		{"its status of a server that nobody initialised", t.unborn},
		{"init encrypts the shares and the root token", t.encrypts},
		{"init is refused a second time", t.again},
		{"a share is given on standard input, and a reset forgets it", t.unseal},
		{"a device is enabled with JSON on standard input", t.device},
		{"a policy is written from standard input", t.policy},
		{"AppRole is enabled, and a role gives its id and a secret", t.approle},
		{"a token revokes itself, and is not known any more", t.revoke},
		{"its status of a server that does not run", t.gone},
		{"an init whose root token cannot be encrypted has happened all the same", t.lost},
	})
}

// tool is one run of the suite about the command vault.
type tool struct {
	*run
	machines Machines
	holder   *openpgp.Entity
	token    string
	shares   []string // hex
}

// vault calls the command on b. In args $R is the folder that is the machine's
// file system.
func (t *tool) vault(stdin, args string) (string, int) {
	out, exit, err := t.machines.Shell("b", "VAULT_TOKEN="+t.token+" "+t.machines.Command("b")+" "+args, stdin)
	if err != nil {
		t.find("vault %s: %v", args, err)
	}
	return out, exit
}

// does calls and expects an exit code and a word of the output.
func (t *tool) does(stdin, args string, exit int, word string) string {
	out, got := t.vault(stdin, args)
	if got != exit || !strings.Contains(out, word) {
		t.find("vault %s exits %d, want %d and %q: %s", args, got, exit, word, out)
	}
	return out
}

// tells calls and expects an exit code and an object.
func (t *tool) tells(stdin, args string, exit int, want fields) map[string]any {
	out := t.does(stdin, args, exit, "")
	var got map[string]any
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.find("vault %s: %v: %s", args, err, out)
		return nil
	}
	t.holds("vault "+args, got, want)
	return got
}

func (t *tool) version() { t.does("", "version", 0, "Vault v"+t.Version) }

// seen are the fields of vault status.
func (t *tool) seen(initialized, sealed bool, shares, threshold, progress int) fields {
	f := t.status(initialized, sealed, threshold, shares, progress, fields{"ha_enabled": true})
	if progress > 0 {
		f["nonce"] = nonEmpty
	}
	if !sealed {
		for name, v := range t.leading(true, "") {
			f[name] = v
		}
		for _, name := range []string{"performance_standby", "is_self"} {
			delete(f, name)
		}
	}
	return f
}

func (t *tool) unborn() {
	t.tells("", "status -format=json", shut, t.seen(false, true, 0, 0, 0))
}

func (t *tool) encrypts() {
	var err error
	if t.holder, err = openpgp.NewEntity("holder", "", "", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Curve: packet.Curve25519}); err != nil {
		t.find("%v", err)
		return
	}
	var public bytes.Buffer
	if err := t.holder.Serialize(&public); err != nil {
		t.find("%v", err)
	}
	if err := t.machines.Write("b", "/tmp/holder.pub", base64.StdEncoding.EncodeToString(public.Bytes())); err != nil {
		t.find("%v", err)
	}
	got := t.tells("", "operator init -format=json -key-shares=3 -key-threshold=2 -pgp-keys=$R/tmp/holder.pub,$R/tmp/holder.pub,$R/tmp/holder.pub -root-token-pgp-key=$R/tmp/holder.pub", 0,
		fields{"unseal_keys_b64": list, "unseal_keys_hex": list, "unseal_shares": 3, "unseal_threshold": 2, "recovery_keys_b64": []any{}, "recovery_keys_hex": []any{},
			"recovery_keys_shares": 0, "recovery_keys_threshold": 0, "root_token": nonEmpty})
	sent, _ := got["unseal_keys_b64"].([]any)
	hexes, _ := got["unseal_keys_hex"].([]any)
	if len(sent) != 3 || len(hexes) != 3 {
		t.find("%d and %d shares", len(sent), len(hexes))
		return
	}
	for i := range sent {
		share := t.decrypt(sent[i])
		if b, err := hex.DecodeString(share); err != nil || len(b) != 33 {
			t.find("share %d is %d bytes of hex: %v", i, len(b), err)
		}
		if raw, err := base64.StdEncoding.DecodeString(fmt.Sprint(sent[i])); err != nil || hexes[i] != hex.EncodeToString(raw) {
			t.find("share %d is another one in hex: %v", i, err)
		}
		t.shares = append(t.shares, share)
	}
	if root := t.decrypt(got["root_token"]); strings.HasPrefix(root, "hvs.") {
		t.token = root
	} else {
		t.find("the root token begins with %.4s", root)
	}
}

// decrypt is what a message in base64 says to the holder.
func (t *tool) decrypt(message any) string {
	raw, err := base64.StdEncoding.DecodeString(fmt.Sprint(message))
	if err != nil {
		t.find("%v", err)
		return ""
	}
	read, err := openpgp.ReadMessage(bytes.NewReader(raw), openpgp.EntityList{t.holder}, nil, nil)
	if err != nil {
		t.find("%v", err)
		return ""
	}
	plain, err := io.ReadAll(read.UnverifiedBody)
	if err != nil {
		t.find("%v", err)
	}
	return string(plain)
}

func (t *tool) again() {
	t.does("", "operator init -format=json -key-shares=1 -key-threshold=1", refused, "Vault is already initialized")
	t.tells("", "status -format=json", shut, t.seen(true, true, 3, 2, 0))
}

func (t *tool) unseal() {
	const give = "write -format=json sys/unseal key=-"
	if len(t.shares) < 3 {
		return // nobody gave them
	}
	t.does("no share", give, refused, "Code: 400")
	t.does(t.shares[0], give, 0, "")
	t.tells("", "status -format=json", shut, t.seen(true, true, 3, 2, 1))
	t.does("", "operator unseal -reset", 0, "")
	t.tells("", "status -format=json", shut, t.seen(true, true, 3, 2, 0))
	t.does(t.shares[2], give, 0, "")
	t.does(t.shares[1], give, 0, "")
	t.eventually("a leader", func() bool {
		t.tells("", "status -format=json", 0, t.seen(true, false, 3, 2, 0))
		return true
	})
}

func (t *tool) device() {
	const options = `{"type": "file", "options": {"file_path": "/tmp/tool.log"}}`
	t.does(options, "write sys/audit/tool -", 0, "")
	t.does(options, "write sys/audit/tool -", refused, "path already in use")
	t.does("{", "write sys/audit/other -", 1, "")
}

func (t *tool) policy() {
	t.does(`path "sys/audit" { capabilities = ["read"] }`, "policy write reconciler -", 0, "")
	t.does(`path "`, "policy write reconciler -", refused, "Code: 400")
}

func (t *tool) approle() {
	const role = "auth/approle/role/reconciler"
	if out := t.does("", "auth list -format=json", 0, `"token/"`); strings.Contains(out, `"approle/"`) {
		t.find("it is there: %s", out)
	}
	t.does("", "read -field=role_id "+role+"/role-id", refused, "No value found")
	t.does("", "auth enable approle", 0, "")
	t.does("", "auth enable approle", refused, "path is already in use")
	t.does("", "auth list -format=json", 0, `"approle/"`)
	t.does("", "delete "+role, 0, "")
	t.does("", "read -field=role_id "+role+"/role-id", refused, "No value found")
	t.does("", "write "+role+" token_policies=reconciler token_ttl=20m token_max_ttl=1h secret_id_ttl=0 secret_id_num_uses=0", 0, "")
	id, secret := t.does("", "read -field=role_id "+role+"/role-id", 0, "-"), t.does("", "write -f -field=secret_id "+role+"/secret-id", 0, "-")
	if len(id) != 36 || len(secret) != 36 {
		t.find("the id has %d characters and the secret %d", len(id), len(secret))
	}
}

func (t *tool) revoke() {
	t.does("", "token lookup", 0, "")
	t.does("", "token revoke -self", 0, "")
	t.does("", "token lookup", refused, "Code: 403")
}

func (t *tool) gone() {
	if !t.did(t.servers.Stop("b")) {
		return
	}
	t.does("", "status -format=json", noAnswer, "")
}

func (t *tool) lost() {
	t.refuses("c", "", put, "sys/init", map[string]any{"secret_shares": 1, "secret_threshold": 1, "root_token_pgp_key": "!"}, 400, "error decoding given PGP key")
	t.expect("c", "", get, "sys/seal-status", nil, 200, t.status(true, true, 1, 1, 0, nil))
}
