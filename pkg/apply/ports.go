package apply

import (
	"context"
	"io"
	"time"

	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Look is a fresh look at a whole cluster.
type Look struct {
	Facts []diff.Fact
	// Seen is, per node, one line for people on how far it is. It changes while
	// the node comes up (shares taken, raft indexes applied), and stands still
	// once it is up, whatever the cluster does then: as long as it changes, a
	// wait goes on.
	Seen map[string]string
}

// Eyes look at the whole cluster. They never fail as a whole: what could not be
// read is missing among the facts.
type Eyes func(ctx context.Context) Look

// Contents opens the bytes behind a digest, decrypted where the digest is of
// an encrypted file.
type Contents func(ctx context.Context, digest string) (io.ReadCloser, error)

// Hands do one step. A nil error means that the node said it was done; a
// [diff.Outcome] is never taken from it: the goal is looked at afterwards. An
// error that wraps [ErrRefused] means that nothing was done; any other error
// means that nobody knows.
type Hands func(ctx context.Context, try diff.Try, step diff.Step, contents Contents) error

// Journal makes an attempt durable before it returns. If it cannot, nothing is
// done.
type Journal func(ctx context.Context, try diff.Try) error

// Clock is the time, and waiting for it.
type Clock interface {
	Now() time.Time
	// Sleep returns early with the context's error.
	Sleep(ctx context.Context, d time.Duration) error
}

// Ports are all that a wave needs of the world.
type Ports struct {
	Eyes     Eyes
	Hands    Hands
	Contents Contents
	Journal  Journal
	Clock    Clock
	Each     Each
	// Op makes the operation ID of an attempt.
	Op func() string
	// Watch hears what happens, for progress; nil: nobody listens.
	Watch func(Event)
}
