package ceremony

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// A share leaves us only for a Vault that says of itself what we know of the
// cluster: sealed, by Shamir, with these numbers. A Vault that does not take a
// threshold of them holds other data than ours or lies; it gets no share again
// for a while, so that it cannot collect them and does not loop.

// wrongPause is how long a node whose Vault did not take our shares gets none.
const wrongPause = 10 * time.Minute

// unseal gives a threshold of shares to the step's node.
func (a act) unseal(ctx context.Context) error {
	m, err := a.load(ctx, a.want.Name)
	if err != nil {
		return fmt.Errorf("%w: %w", apply.ErrRefused, err)
	}
	if !a.stored(m.Birth.Phase) {
		return refuse("the keys of %s are not in our key stores (birth %q)", a.want.Name, m.Birth.Phase)
	}
	if err := a.patience(); err != nil {
		return err
	}
	v, err := a.Status(ctx, a.node)
	if err != nil {
		return refuse("look at it before any share is sent: %w", err)
	}
	if v.Initialized && !v.Sealed {
		return nil // somebody was faster
	}
	if err := a.expected(v); err != nil {
		return err
	}
	ans, err := a.keys(ctx, a.want, m.Birth.Nonce)
	if err != nil {
		return fmt.Errorf("%w: %w", apply.ErrRefused, err)
	}
	defer ans.clear()
	lines := append(bytes.Join(ans.shares[:a.want.Keys.Threshold], []byte("\n")), '\n')
	out, err := a.verb(ctx, "vault-unseal", a.api(a.node), lines)
	if err != nil {
		return a.notTaken(err)
	}
	return a.opened(out)
}

// stored says that the journal knows of keys that were stored and read back.
func (a act) stored(phase diff.BirthPhase) bool {
	switch phase {
	case diff.BirthKeys, diff.BirthCredential, diff.BirthConfirmed, diff.BirthDone:
		return true
	}
	return false
}

// expected refuses a Vault whose own words do not fit the cluster's.
func (a act) expected(v actual.Vault) error {
	switch {
	case !v.Initialized:
		return refuse("it is not initialised, so it has not joined the cluster yet")
	case v.Removed:
		return refuse("it was removed from its cluster")
	case v.SealType != "" && v.SealType != "shamir":
		return refuse("its seal is %s, and the shares are of a shamir seal; no share was sent", harmless([]byte(v.SealType)))
	case v.Threshold != a.want.Keys.Threshold || v.Shares != a.want.Keys.Shares:
		return refuse("its seal takes %d of %d shares, and ours are %d of %d; no share was sent", v.Threshold, v.Shares, a.want.Keys.Threshold, a.want.Keys.Shares)
	}
	return nil
}

// opened reads what Vault says after the last share. One that is just joining
// still says that it is sealed, with no progress; the goal is looked at later.
func (a act) opened(out []byte) error {
	var status struct {
		Sealed   *bool `json:"sealed"`
		Progress int   `json:"progress"`
	}
	if json.Unmarshal(out, &status) != nil || status.Sealed == nil {
		return errors.New("vault-unseal gave no seal-status")
	}
	if *status.Sealed && status.Progress != 0 {
		a.remember()
		return fmt.Errorf("it is at %d of %d shares after all were sent: somebody else unseals it at the same time, or resets it", status.Progress, a.want.Keys.Threshold)
	}
	return nil
}

// notTaken is what an unseal that failed means. The words are those of Vault's
// client for an answer that is an error, and of Vault (core.unsealFragment).
func (a act) notTaken(err error) error {
	said := strings.ToLower(err.Error())
	for _, words := range []string{"error making api request", "message authentication failed", "invalid key", "unseal failed", "failed to decrypt"} {
		if strings.Contains(said, words) {
			a.remember()
			return fmt.Errorf("its Vault does not take the shares of %s: other data lies there, or the keys were changed by others: %w", a.want.Name, err)
		}
	}
	return err
}

func (a act) remember() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.wrong[a.want.Name+"/"+a.node.Name] = a.Clock.Now()
}

func (a act) patience() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	at, ok := a.wrong[a.want.Name+"/"+a.node.Name]
	if until := at.Add(wrongPause); ok && a.Clock.Now().Before(until) {
		return refuse("its Vault did not take our shares at %s; the next attempt is not before %s. Find out whose data lies on %s",
			at.UTC().Format(time.RFC3339), until.UTC().Format(time.RFC3339), a.node.Name)
	}
	return nil
}
