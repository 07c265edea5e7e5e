package ceremony

import (
	"context"
	"io"
	"time"

	"github.com/vaultfleet/reconciler/internal/secret"
	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// Verb runs a verb of the node script on a node, under the fence of try, and
// returns its standard output. An error that wraps [apply.ErrRefused] means
// that nothing was done; after any other nobody knows. No error holds what went
// in by stdin.
//
// What is used, with the arguments after the fence (ADDR CACERT SERVERNAME are
// the node's own API, the path of its CA on the node, and the name in its
// certificate; "-" for none):
//
//	vault-init NONCE ADDR CACERT SERVERNAME SHARES THRESHOLD   stdin: PGP public key, base64; goes on alone, once per NONCE
//	vault-init-result NONCE                                    none, running, done, failed or forgotten, then the answer or why
//	vault-init-forget NONCE                                    deletes the answer on the node
//	vault-unseal ADDR CACERT SERVERNAME                        stdin: a share a line; resets first; prints seal-status
//	vault-audit ADDR CACERT SERVERNAME PATH                    stdin: token line, JSON
//	vault-policy ADDR CACERT SERVERNAME                        stdin: token line, policy
//	vault-approle ADDR CACERT SERVERNAME                       stdin: token line, policy; prints role_id and secret_id
//	vault-revoke ADDR CACERT SERVERNAME                        stdin: token line; succeeds only when Vault does not know it any more
type Verb func(ctx context.Context, node desired.Node, try diff.Try, verb string, args []string, stdin io.Reader) ([]byte, error)

// Status is a fresh look at a node's own Vault, its identity verified.
type Status func(ctx context.Context, node desired.Node) (actual.Vault, error)

// Session is a token of the reconciler's own, and how long it lives from the
// login on.
type Session struct {
	Token secret.Bytes
	TTL   time.Duration
}

// Login logs in at a node's Vault by approle.
type Login func(ctx context.Context, node desired.Node, roleID, secretID secret.Bytes) (Session, error)

// Memory keeps what is remembered of clusters. Save compares and swaps: it
// fails when rev is not the stored revision, and is durable when it returns.
type Memory interface {
	Load(ctx context.Context, cluster string) (m diff.Memory, rev uint64, err error)
	Save(ctx context.Context, cluster string, m diff.Memory, rev uint64) (uint64, error)
}

// Store is a place where keys are kept, encrypted before they come here. There
// is no way to delete: nothing here ever takes a key away.
type Store interface {
	// Name is what people know it by.
	Name() string
	// Check writes, reads back and deletes a test object.
	Check(ctx context.Context) error
	// Put is durable when it returns, and replaces whole.
	Put(ctx context.Context, name string, data []byte) error
	// Get returns [io/fs.ErrNotExist] only when the store works and has no such
	// object; any other error means that it does not know.
	Get(ctx context.Context, name string) ([]byte, error)
	// List names all objects below a folder ("" for all), sorted, leftovers of
	// writes among them.
	List(ctx context.Context, folder string) ([]string, error)
}

// Ports are all that the ceremony needs of the world.
type Ports struct {
	Verb   Verb
	Status Status
	Login  Login
	Memory Memory
	Clock  apply.Clock
}
