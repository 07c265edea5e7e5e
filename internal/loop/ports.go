package loop

import (
	"context"
	"errors"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Spec is what one commit wants of one cluster, with the bytes behind its
// digests.
type Spec struct {
	Cluster  desired.Cluster
	Commit   string // empty for a folder that is no commit
	Contents apply.Contents
	// Before is the spec that the cluster was last brought to, where that is another
	// and can still be had; nil: it cannot.
	Before *desired.Cluster
	// Asked says that a person wants it done now: drift.after is not waited for.
	Asked bool
	// Waits are for what the plan of this spec knows nothing of: a newer commit that
	// has not reached the cluster.
	Waits []diff.Wait
	// Ahead: another spec is in force as yet, and this one is only looked at: nothing is
	// done, and the memory does not say that it is in force, nor how far the cluster is
	// with it.
	Ahead bool
	// Noted: the memory says already that it is in force. Where it says so of another by
	// now, that is another process's, and nothing is done by this one.
	Noted bool
}

// ErrConflict says that somebody else saved a memory in between: load it again.
var ErrConflict = errors.New("memory was saved by somebody else")

// Store keeps memories. Save compares and swaps: it returns [ErrConflict] when
// rev is not the stored one, and the new revision otherwise. Append is durable
// when it returns.
type Store interface {
	Load(ctx context.Context, cluster string) (m diff.Memory, rev uint64, err error)
	Save(ctx context.Context, cluster string, m diff.Memory, rev uint64) (uint64, error)
	Append(ctx context.Context, cluster string, try diff.Try) error
}

// Lease lets one process at a time act on a cluster. The epoch grows with every
// lease; release may be called once. An error of type [Busy] names who acts
// there.
type Lease func(ctx context.Context, cluster string) (epoch uint64, release func(), err error)

// Busy is an error that says that another one acts on the cluster: the lease's,
// or a node's that saw another holder or a higher epoch.
type Busy interface {
	error
	Busy() string // who
}

// Ports are all that a turn needs of the world.
type Ports struct {
	Host  actual.Host
	Each  actual.Each
	Store Store
	Leave func(diff.Plan) error // asked before a wave is done; nil: always given
	Lease Lease
	Hands apply.Hands
	Clock apply.Clock
	Op    func() string
	Watch func(apply.Event) // nil: nobody listens
}
