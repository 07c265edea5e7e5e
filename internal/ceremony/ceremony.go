package ceremony

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"filippo.io/age"

	"github.com/vaultfleet/reconciler/internal/secret"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Keys say where keys are kept and who can read them.
type Keys struct {
	Stores     []Store
	Identities []age.Identity    // the reconciler's own
	Holders    map[string]string // name → age recipient of a person
}

// Ceremony acts on any number of clusters. It is safe for concurrent use; that
// only one process acts on a cluster is the lease's and the nodes' fence's to
// see to.
type Ceremony struct {
	Ports
	stores     []Store
	identities []age.Identity
	own        []string // recipients of identities
	holders    map[string]string
	names      []string // of holders, sorted

	mu       sync.Mutex
	sessions map[string]session   // by cluster
	wrong    map[string]time.Time // by cluster/node: when its Vault did not take our shares
}

// New checks the keys and makes a Ceremony. No store is touched.
func New(ports Ports, keys Keys) (*Ceremony, error) {
	c := &Ceremony{
		Ports: ports, stores: keys.Stores, identities: keys.Identities,
		holders: keys.Holders, names: slices.Sorted(maps.Keys(keys.Holders)),
		sessions: map[string]session{}, wrong: map[string]time.Time{},
	}
	var err error
	if c.own, err = recipientsOf(keys.Identities); err != nil {
		return nil, err
	}
	for _, name := range c.names {
		if strings.ContainsAny(name, `/\`) || strings.HasPrefix(name, ".") || name == "" {
			return nil, fmt.Errorf("holder %q: a holder's name is a file's name in the key stores", name)
		}
		if err := secret.CheckRecipient(keys.Holders[name]); err != nil {
			return nil, fmt.Errorf("holder %s: %w", name, err)
		}
	}
	return c, nil
}

// Hands are the hands for one cluster's steps of this room. An action of
// another room is refused.
func (c *Ceremony) Hands(want desired.Cluster) apply.Hands {
	return func(ctx context.Context, try diff.Try, step diff.Step, _ apply.Contents) error {
		node, ok := want.Node(step.Node)
		if !ok {
			return refuse("%s: %s is not a node of %s", step.Action, step.Node, want.Name)
		}
		a := act{Ceremony: c, want: want, node: node, try: try}
		var err error
		switch step.Action {
		case diff.ActionInit:
			err = a.bear(ctx)
		case diff.ActionUnseal:
			err = a.unseal(ctx)
		case diff.ActionAudit:
			err = a.audit(ctx, step.Device)
		case diff.ActionCredential:
			err = a.credential(ctx)
		case diff.ActionRevoke:
			err = a.revoke(ctx)
		default:
			return refuse("%s is not of the ceremony", step.Action)
		}
		if err != nil {
			return fmt.Errorf("%s %s on %s: %w", step.Action, want.Name, node.Name, err)
		}
		return nil
	}
}

// act is one step under way.
type act struct {
	*Ceremony
	want desired.Cluster
	node desired.Node
	try  diff.Try
}

// refuse is an error that says that nothing was done. Its text says what would
// make it not refuse.
func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %w", apply.ErrRefused, fmt.Errorf(format, args...))
}

// api is where a node's own Vault is, for verbs.
func (a act) api(n desired.Node) []string {
	return []string{apiURL(n), orDash(a.want.CAPath), orDash(n.TLSServerName)}
}

// apiURL is the address of a node's API, by default at the port that Vault
// listens on if nothing else is said.
func apiURL(n desired.Node) string {
	if n.APIAddr != "" {
		return n.APIAddr
	}
	if ip, err := netip.ParseAddr(n.Address); err == nil {
		return "https://" + netip.AddrPortFrom(ip, 8200).String()
	}
	return "https://" + n.Address + ":" + strconv.Itoa(8200)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// load is what is remembered of a cluster.
func (c *Ceremony) load(ctx context.Context, cluster string) (diff.Memory, error) {
	m, _, err := c.Memory.Load(ctx, cluster)
	if err != nil {
		return m, fmt.Errorf("load the memory of %s: %w", cluster, err)
	}
	return m, nil
}

// errPhase says that the birth is not where a change of it begins.
var errPhase = errors.New("the birth is in another phase")

// mark changes what is remembered of the birth, durably, if it is in phase from. A
// look may save the same memory meanwhile: then it is done again on top.
func (c *Ceremony) mark(ctx context.Context, cluster string, from diff.BirthPhase, change func(*diff.Memory)) error {
	for {
		m, rev, err := c.Memory.Load(ctx, cluster)
		if err != nil {
			return fmt.Errorf("load the memory of %s: %w", cluster, err)
		}
		if m.Birth.Phase != from {
			return fmt.Errorf("%w: %q, not %q", errPhase, m.Birth.Phase, from)
		}
		m.Birth.Holders = slices.Clone(m.Birth.Holders)
		change(&m)
		_, err = c.Memory.Save(ctx, cluster, m, rev)
		if err == nil {
			return nil
		}
		if _, now, again := c.Memory.Load(ctx, cluster); again != nil || now == rev {
			return fmt.Errorf("save the birth of %s: %w", cluster, err)
		}
	}
}
