package host

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
)

// Output is what a remote command said. A non-zero Exit is not an error.
type Output struct {
	Stdout, Stderr []byte
	Exit           int
}

// Conn is a connection to one node that stays open.
type Conn interface {
	// Run runs a command line in the login shell of the node and returns at
	// most limit bytes of each stream. An error means that nobody knows how it
	// ended.
	Run(ctx context.Context, command string, stdin io.Reader, limit int64) (Output, error)
	Dial(ctx context.Context, network, address string) (net.Conn, error)
}

// ConnectError is an error of Settings.Connect that knows in which phase it
// happened; one that is not a ConnectError counts as [actual.PhaseTCP].
type ConnectError struct {
	Phase actual.Phase
	Err   error
}

func (e *ConnectError) Error() string { return fmt.Sprintf("%s: %v", e.Phase, e.Err) }
func (e *ConnectError) Unwrap() error { return e.Err }

// Dial opens a connection to a node's Vault.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Answers is what a node's Vault said. A nil part is Unknown.
type Answers struct {
	Vault   *actual.Vault
	Served  *actual.Certificate
	Raft    *actual.Raft             // only for a Target with Credential
	Devices map[string]actual.Device // only for a Target with Credential
}

// API reads a node's own Vault through dial. What it could read it returns also
// beside an error.
type API func(ctx context.Context, dial Dial, target actual.Target) (Answers, error)

// Settings is what a Host needs of the world.
type Settings struct {
	// Connect returns a connection, kept or new, to a node whose identity it has
	// verified.
	Connect func(ctx context.Context, target actual.Target) (Conn, error)
	// API reads Vault; nil: it is not looked at.
	API API
	// Direct dials without SSH, for a Target whose API is "direct".
	Direct Dial
	// Enforced says that the script may be installed on this node, and that a
	// look may use root's eyes before it is; nil: nowhere.
	Enforced func(target actual.Target) bool
	// Hashes remembers digests of binaries; nil: an empty memory of its own.
	Hashes *Hashes
	Now    func() time.Time
}

// Host looks at nodes and acts on them. It is safe for concurrent use.
type Host struct {
	Settings
	mu      sync.Mutex
	nodes   map[string]*standing
	hashing map[string]chan struct{} // by cluster: one node at a time
}

// New makes a Host.
func New(s Settings) *Host {
	if s.Hashes == nil {
		s.Hashes = NewHashes()
	}
	return &Host{Settings: s, nodes: map[string]*standing{}, hashing: map[string]chan struct{}{}}
}

// standing is what is remembered of one node between looks. All of it can be
// lost.
type standing struct {
	mu     sync.Mutex
	rung   rung
	until  time.Time // when a better rung than this is tried again
	why    string    // why it is not a better one
	script string    // digest of the script as last seen; "" none or unknown
	bodies bodies
}

func (h *Host) standing(t actual.Target) *standing {
	key := fmt.Sprintf("%s/%s/%s@%s:%d", t.Cluster, t.Node, t.User, t.Address, t.Port)
	h.mu.Lock()
	defer h.mu.Unlock()
	s, ok := h.nodes[key]
	if !ok {
		s = &standing{}
		h.nodes[key] = s
	}
	return s
}
