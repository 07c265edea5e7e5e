//go:build failpoints

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	nodes "github.com/vaultfleet/reconciler/internal/host"
	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// failpoint is where this process kills itself, as power that fails would: for
// the tests of what the next one makes of it. $RECONCILER_FAILPOINT says
// WHEN:WHAT:NODE:N, the Nth time that it comes to
//
//	before-intent after-intent before-outcome after-outcome   an ACTION's line in the journal
//	before-act after-act                                      the hands that do an ACTION
//	before-verb after-verb                                    a VERB of the node script
//	during-verb                                               a VERB that was told all it reads, or half a binary
//	before-save after-save                                    a memory, of NODE: the cluster
//
// such as after-intent:restart:eu-2:1 or during-verb:activate:eu-2:1.
type failpoint struct{ times atomic.Int64 }

// at ends the process if this is the point, and the time.
func (f *failpoint) at(when, what, node string) {
	point, found := strings.CutPrefix(os.Getenv("RECONCILER_FAILPOINT"), when+":"+what+":"+node+":")
	if n, err := strconv.ParseInt(point, 10, 64); !found || err != nil || f.times.Add(1) != n {
		return
	}
	if self, err := os.FindProcess(os.Getpid()); err == nil && self.Kill() == nil {
		select {} // SIGKILL is on its way
	}
	panic("a process that cannot kill itself")
}

func (f *failpoint) ports(p loop.Ports) loop.Ports {
	hands := p.Hands
	p.Hands = func(ctx context.Context, try diff.Try, step diff.Step, contents apply.Contents) error {
		f.at("before-act", string(step.Action), step.Node)
		err := hands(ctx, try, step, contents)
		f.at("after-act", string(step.Action), step.Node)
		return err
	}
	p.Store = mortalStore{p.Store, f}
	return p
}

// mortalStore is the loop's side of a store.
type mortalStore struct {
	loop.Store
	*failpoint
}

func (s mortalStore) Save(ctx context.Context, cluster string, m diff.Memory, rev uint64) (uint64, error) {
	s.at("before-save", "memory", cluster)
	next, err := s.Store.Save(ctx, cluster, m, rev)
	s.at("after-save", "memory", cluster)
	return next, err
}

func (s mortalStore) Append(ctx context.Context, cluster string, try diff.Try) error {
	line := "outcome"
	if try.Outcome == diff.OutcomeIntent {
		line = "intent"
	}
	s.at("before-"+line, string(try.Action), try.Node)
	err := s.Store.Append(ctx, cluster, try)
	s.at("after-"+line, string(try.Action), try.Node)
	return err
}

func (f *failpoint) conn(node string, c nodes.Conn) nodes.Conn { return mortalConn{c, f, node} }

// mortalConn is a connection to a node.
type mortalConn struct {
	nodes.Conn
	*failpoint
	node string
}

func (c mortalConn) Run(ctx context.Context, command string, stdin io.Reader, limit int64) (nodes.Output, error) {
	words, called := strings.CutPrefix(strings.TrimPrefix(command, "sudo -n "), nodes.ScriptPath+" ")
	if !called {
		return c.Conn.Run(ctx, command, stdin, limit)
	}
	verb, _, _ := strings.Cut(words, " ")
	c.at("before-verb", verb, c.node)
	if stdin != nil {
		stdin = &mortalReader{stdin, 0, func() { c.at("during-verb", verb, c.node) }}
	}
	out, err := c.Conn.Run(ctx, command, stdin, limit)
	c.at("after-verb", verb, c.node)
	return out, err
}

// mortalReader is what a verb reads. Read means sent: who sends asks for more
// when what it had is on its way.
type mortalReader struct {
	io.Reader
	sent int
	die  func()
}

// half is about half of a binary, and more than any file.
const half = 64 << 20

func (r *mortalReader) Read(p []byte) (int, error) {
	if r.sent > half {
		r.die()
	}
	n, err := r.Reader.Read(p)
	r.sent += n
	if errors.Is(err, io.EOF) && n == 0 {
		r.die()
	}
	return n, err
}
