package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/vaultfleet/reconciler/pkg/actual"
)

// Bounds of what a Vault may say of itself. 255 is what Shamir's scheme over
// GF(2^8) can make.
const (
	maxShares = 255
	maxIndex  = 1 << 62 // far above any raft index, far below overflow
)

// Status reads what this node's Vault answers without a token. The certificate
// is the one that it serves, also when it is why nothing else could be read;
// nil when the handshake did not come so far. What contradicts itself is an
// error: nobody must act on it.
func (c *Client) Status(ctx context.Context) (actual.Vault, *actual.Certificate, error) {
	var v actual.Vault
	certificate, err := c.sealStatus(ctx, &v)
	if err != nil {
		return actual.Vault{}, certificate, err
	}
	if err := c.health(ctx, &v); err != nil {
		return actual.Vault{}, certificate, err
	}
	if !v.Sealed {
		if err := c.leader(ctx, &v); err != nil {
			return actual.Vault{}, certificate, err
		}
	}
	return v, certificate, nil
}

// sealStatus is GET sys/seal-status, which every Vault answers for itself,
// sealed or not (vault/http/sys_seal.go).
func (c *Client) sealStatus(ctx context.Context, v *actual.Vault) (*actual.Certificate, error) {
	const path = "sys/seal-status"
	a, err := c.look.get(ctx, path, "")
	if err != nil {
		return refused(err), err
	}
	var certificate *actual.Certificate
	if a.tls != nil && len(a.tls.PeerCertificates) > 0 {
		problem, _ := c.look.verifier.judge(a.tls.PeerCertificates)
		certificate = observe(a.tls.PeerCertificates[0], problem)
	}
	if a.code != http.StatusOK {
		return certificate, a.no(path)
	}
	// Pointers: a field that is missing must not read as false.
	var s struct {
		Type        string `json:"type"`
		Initialized *bool  `json:"initialized"`
		Sealed      *bool  `json:"sealed"`
		T           int    `json:"t"`
		N           int    `json:"n"`
		Progress    int    `json:"progress"`
		Version     string `json:"version"`
		ClusterID   string `json:"cluster_id"`
		StorageType string `json:"storage_type"`
		Removed     bool   `json:"removed_from_cluster"`
	}
	if err := a.decode(path, &s); err != nil {
		return certificate, err
	}
	switch {
	case s.Initialized == nil || s.Sealed == nil:
		return certificate, fmt.Errorf("read %s: it does not say whether Vault is initialized and sealed; is this Vault?", path)
	case !*s.Initialized && !*s.Sealed:
		return certificate, fmt.Errorf("read %s: not initialized and not sealed contradict each other", path)
	case s.T < 0 || s.N < s.T || s.N > maxShares || s.Progress < 0 || s.Progress > s.T:
		return certificate, fmt.Errorf("read %s: %d of %d shares with %d given make no sense", path, s.T, s.N, s.Progress)
	case s.Type == "shamir" && *s.Initialized && s.T == 0:
		return certificate, fmt.Errorf("read %s: a Shamir seal without shares makes no sense", path)
	}
	*v = actual.Vault{
		Initialized: *s.Initialized, Sealed: *s.Sealed, SealType: clean(s.Type, 64),
		Threshold: s.T, Shares: s.N, Progress: s.Progress,
		Version: clean(s.Version, 64), StorageType: clean(s.StorageType, 64),
		ClusterID: clean(s.ClusterID, 64), Removed: s.Removed,
	}
	return certificate, nil
}

// health is GET sys/health; its status is the answer, and its body is JSON
// with any of them (vault/http/sys_health.go).
func (c *Client) health(ctx context.Context, v *actual.Vault) error {
	const path = "sys/health"
	a, err := c.look.get(ctx, path, "")
	if err != nil {
		return err
	}
	switch a.code {
	case 200, 429, 472, 473, 474, 501, 503, 530:
	default:
		return a.no(path)
	}
	var h struct {
		Initialized *bool  `json:"initialized"`
		Sealed      *bool  `json:"sealed"`
		ClusterID   string `json:"cluster_id"`
	}
	if err := a.decode(path, &h); err != nil {
		return err
	}
	// Also how 429 of a standby is told from 429 of a rate limit.
	if h.Initialized == nil || h.Sealed == nil {
		return a.no(path)
	}
	serves := a.code == 200 || a.code == 429 || a.code == 472 || a.code == 473 || a.code == 474
	switch {
	case *h.Sealed != v.Sealed || *h.Initialized != v.Initialized, serves && v.Sealed, a.code == 503 && !v.Sealed, a.code == 501 && v.Initialized:
		return fmt.Errorf("%s (HTTP %d) contradicts sys/seal-status: Vault may have changed between the two, look again", path, a.code)
	case h.ClusterID != "" && v.ClusterID != "" && clean(h.ClusterID, 64) != v.ClusterID:
		return fmt.Errorf("%s names another cluster than sys/seal-status: two servers answer at this address", path)
	}
	v.Health = a.code
	return nil
}

// leader is GET sys/leader. A Vault that was sealed since says 503; one that
// knows no leader, or cannot say, names none.
func (c *Client) leader(ctx context.Context, v *actual.Vault) error {
	const path = "sys/leader"
	a, err := c.look.get(ctx, path, "")
	if err != nil {
		return err
	}
	if a.code != http.StatusOK {
		// Told by its form to be Vault's own word: then there is no leader here.
		var words struct {
			Errors *[]string `json:"errors"`
		}
		if err := a.decode(path, &words); err != nil {
			return err
		}
		if words.Errors == nil {
			return a.no(path)
		}
		return nil
	}
	var l struct {
		IsSelf    *bool  `json:"is_self"`
		Address   string `json:"leader_address"`
		Applied   uint64 `json:"raft_applied_index"`
		Committed uint64 `json:"raft_committed_index"`
	}
	if err := a.decode(path, &l); err != nil {
		return err
	}
	if l.IsSelf == nil {
		return errors.New("read " + path + ": it does not say whether this node leads; is this Vault?")
	}
	if l.Applied > maxIndex || l.Committed > maxIndex {
		return fmt.Errorf("read %s: raft indexes %d and %d make no sense", path, l.Applied, l.Committed)
	}
	v.Leader, v.LeaderAddress = *l.IsSelf, clean(l.Address, maxText)
	v.Applied, v.Committed = l.Applied, l.Committed
	return nil
}
