package ceremony

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

const kindCredential = "credential"

// credentialBody is the reconciler's own way in.
type credentialBody struct {
	RoleID   string    `json:"role_id"`
	SecretID string    `json:"secret_id"`
	At       time.Time `json:"at"`
}

// policy is the least that looking at a cluster and keeping its audit devices
// takes. It is named reconciler in Vault. That our own token may look itself up
// and end itself is Vault's policy default.
func policy(want desired.Cluster) string {
	var b strings.Builder
	allow := func(path string, capabilities ...string) {
		fmt.Fprintf(&b, "path %q {\n  capabilities = [\"%s\"]\n}\n", path, strings.Join(capabilities, `", "`))
	}
	allow("sys/storage/raft/configuration", "read")
	allow("sys/storage/raft/autopilot/state", "read")
	allow("sys/storage/raft/autopilot/configuration", "read")
	allow("sys/ha-status", "read")
	allow("sys/version-history", "list")
	allow("sys/audit", "read", "sudo")
	if want.Manages(desired.ConcernAudit) {
		allow("sys/audit/*", "create", "update", "sudo")
	}
	return b.String()
}

// credential makes the reconciler's own way in, stores it, and proves that it
// works through another node than the one that made it.
func (a act) credential(ctx context.Context) error {
	m, err := a.load(ctx, a.want.Name)
	if err != nil {
		return fmt.Errorf("%w: %w", apply.ErrRefused, err)
	}
	switch m.Birth.Phase {
	case diff.BirthKeys:
	case diff.BirthCredential, diff.BirthConfirmed, diff.BirthDone:
		return nil
	default:
		return refuse("there is no root token to make it with (birth %q)", m.Birth.Phase)
	}
	cred, err := a.credentialOf(ctx, a.want.Name)
	if err != nil || a.prove(ctx, cred) != nil { // an attempt that ended after it was stored needs no second one
		if cred, err = a.makeCredential(ctx, m.Birth); err != nil {
			return err
		}
	}
	if err := a.storeCredential(ctx, m.Birth, cred); err != nil {
		return err
	}
	if err := a.prove(ctx, cred); err != nil {
		return fmt.Errorf("the new credential does not work: %w", err)
	}
	return a.mark(ctx, a.want.Name, diff.BirthKeys, func(m *diff.Memory) { m.Birth.Phase = diff.BirthCredential })
}

// makeCredential writes the policy and makes the approle. A credential that an
// earlier attempt left is void then.
func (a act) makeCredential(ctx context.Context, birth diff.Birth) (credentialBody, error) {
	root, err := a.rootToken(ctx, a.want, birth)
	if err != nil {
		return credentialBody{}, fmt.Errorf("%w: %w", apply.ErrRefused, err)
	}
	defer root.Wipe()
	text := []byte(policy(a.want))
	if _, err := a.verb(ctx, "vault-policy", a.api(a.node), withToken(root.Reveal(), text)); err != nil {
		return credentialBody{}, err
	}
	out, err := a.verb(ctx, "vault-approle", a.api(a.node), withToken(root.Reveal(), text))
	if err != nil {
		return credentialBody{}, err
	}
	cred := credentialBody{At: a.Clock.Now()}
	if json.Unmarshal(out, &cred) != nil || !isToken([]byte(cred.RoleID)) || !isToken([]byte(cred.SecretID)) {
		return cred, errors.New("vault-approle gave no role_id and secret_id")
	}
	return cred, nil
}

// storeCredential has every store hold what opens the approle.
func (a act) storeCredential(ctx context.Context, birth diff.Birth, cred credentialBody) error {
	body, err := json.Marshal(cred)
	if err != nil {
		return fmt.Errorf("encode the credential: %w", err)
	}
	defer clear(body)
	err = a.replace(ctx, record{Kind: kindCredential, Cluster: a.want.Name, Nonce: birth.Nonce, Body: body})
	if err != nil {
		return fmt.Errorf("store the credential: %w", err)
	}
	return nil
}

// prove logs in through another node than the step's, or through that one when
// there is no other.
func (a act) prove(ctx context.Context, cred credentialBody) error {
	var others []desired.Node
	for _, n := range a.want.Nodes {
		if n.Name != a.node.Name && !n.Absent {
			others = append(others, n)
		}
	}
	if len(others) == 0 {
		others = []desired.Node{a.node}
	}
	var failed []error
	for _, n := range others {
		_, err := a.login(ctx, a.want.Name, n, cred)
		if err == nil {
			return nil
		}
		failed = append(failed, err)
	}
	return fmt.Errorf("log in: %w", errors.Join(failed...))
}
