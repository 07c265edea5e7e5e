package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"sync"
	"time"

	nodes "github.com/vaultfleet/reconciler/internal/host"
	"github.com/vaultfleet/reconciler/internal/lease"
	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/internal/ssh"
	"github.com/vaultfleet/reconciler/internal/store"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// sshConn is a connection of internal/ssh in the words of internal/host.
type sshConn struct{ conn *ssh.Conn }

func (c sshConn) Run(ctx context.Context, command string, stdin io.Reader, limit int64) (nodes.Output, error) {
	out, err := c.conn.Run(ctx, command, stdin, limit)
	return nodes.Output(out), err
}

func (c sshConn) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return c.conn.Dial(ctx, network, address)
}

// memories is the store in the words of the loop.
type memories struct{ *store.Store }

func (s memories) Save(ctx context.Context, cluster string, m diff.Memory, rev uint64) (uint64, error) {
	next, err := s.Store.Save(ctx, cluster, m, rev)
	if errors.Is(err, store.ErrConflict) {
		return next, errors.Join(loop.ErrConflict, err)
	}
	return next, err
}

// busyElsewhere says that another process has the lease.
type busyElsewhere struct{ *lease.BusyError }

func (b busyElsewhere) Busy() string { return b.Error() }

func (b busyElsewhere) Unwrap() error { return b.BusyError }

// clock is this machine's clock.
type clock struct{}

func (clock) Now() time.Time { return time.Now() }

func (clock) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// atOnce runs do for 0..n-1, at most so many at a time, and returns when all
// have returned. A panic in one is the caller's, once the others are through: who
// called may live on, where a goroutine of its own would end the process.
func atOnce(most, n int, do func(i int)) {
	var wait sync.WaitGroup
	places := make(chan struct{}, most)
	defects := make(chan string, n)
	for i := range n {
		places <- struct{}{}
		wait.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					defects <- fmt.Sprintf("%v\n%s", p, debug.Stack())
				}
				<-places
			}()
			do(i)
		})
	}
	wait.Wait()
	select {
	case defect := <-defects:
		panic(defect)
	default:
	}
}

func nodesAtOnce(n int, do func(i int)) { atOnce(nodesAtOnceMost, n, do) }

func clustersAtOnce(n int, do func(i int)) { atOnce(clustersAtOnceMost, n, do) }
