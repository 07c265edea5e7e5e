package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultfleet/reconciler/pkg/actual"
)

func TestRunReturnsWhatTheCommandWrote(t *testing.T) {
	r := newRig(t)
	r.exec = accept(func(c ssh.Channel) {
		in, _ := io.ReadAll(c)
		fmt.Fprintf(c, "got %d bytes", len(in))
		fmt.Fprint(c.Stderr(), "a warning")
		leave(c, 3)
	})
	synctest.Test(t, func(t *testing.T) {
		r.connected(t, func(ctx context.Context, c *Conn) {
			secret := bytes.Repeat([]byte("s3cret"), 1_000_000) // past the window of the channel
			out, err := c.Run(ctx, "put", bytes.NewReader(secret), 1000)
			if err != nil || string(out.Stdout) != "got 6000000 bytes" || string(out.Stderr) != "a warning" || out.Exit != 3 {
				t.Errorf("%q %q %d %v", out.Stdout, out.Stderr, out.Exit, err)
			}
			if fmt.Sprint(r.ran) != "[put]" {
				t.Errorf("the node saw %v", r.ran)
			}
		})
	})
}

func TestRunAgainstHostileNodes(t *testing.T) {
	flood := func(to func(ssh.Channel) io.Writer) func(string, ssh.Channel, *ssh.Request) {
		return accept(func(c ssh.Channel) {
			for {
				if _, err := to(c).Write(make([]byte, 32<<10)); err != nil {
					return
				}
			}
		})
	}
	silent := func(_ string, c ssh.Channel, _ *ssh.Request) { hang(c) }
	for name, c := range map[string]struct {
		exec  func(string, ssh.Channel, *ssh.Request)
		stdin io.Reader
		check func(out Output, err error) bool
		takes time.Duration
	}{
		"stdout without end": {flood(func(c ssh.Channel) io.Writer { return c }), nil, func(_ Output, err error) bool {
			var over *OverflowError
			return errors.As(err, &over) && over.Stream == "stdout" && over.Cap == 100_000
		}, 0},
		"stderr without end": {flood(func(c ssh.Channel) io.Writer { return c.Stderr() }), nil, func(_ Output, err error) bool {
			var over *OverflowError
			return errors.As(err, &over) && over.Stream == "stderr"
		}, 0},
		"stderr full before stdout": {accept(func(c ssh.Channel) {
			_, _ = c.Stderr().Write(make([]byte, 100_000))
			_, _ = c.Write(make([]byte, 100_000))
			leave(c, 0)
		}), nil, func(out Output, err error) bool {
			return err == nil && len(out.Stdout) == 100_000 && len(out.Stderr) == 100_000
		}, 0},
		"no answer to the command": {silent, nil, func(_ Output, err error) bool { return errors.Is(err, context.DeadlineExceeded) }, time.Minute},
		"an answer and no output":  {accept(func(c ssh.Channel) { _, _ = io.Copy(io.Discard, c); hang(c) }), nil, func(_ Output, err error) bool { return errors.Is(err, context.DeadlineExceeded) }, time.Minute},
		"an exit and no end": {accept(func(c ssh.Channel) { leave(c, 0); hang(c) }), nil,
			func(_ Output, err error) bool { return errors.Is(err, context.DeadlineExceeded) }, time.Minute},
		"a command refused": {func(_ string, c ssh.Channel, r *ssh.Request) { _ = r.Reply(false, nil) }, nil, func(_ Output, err error) bool { return errors.Is(err, errRefused) }, 0},
		"a signal": {accept(func(c ssh.Channel) {
			fmt.Fprint(c, "half")
			_, _ = c.SendRequest("exit-signal", false, ssh.Marshal(struct {
				Signal     string
				Core       bool
				Text, Lang string
			}{"KILL", false, "\x1b[31m", ""}))
		}), nil, func(out Output, err error) bool {
			return err == nil && out.Exit == 137 && string(out.Stdout) == "half"
		}, 0},
		"no exit status": {accept(func(c ssh.Channel) { fmt.Fprint(c, "half") }), nil, func(_ Output, err error) bool { return errors.Is(err, ErrNoExit) }, 0},
		"half an exit status": {accept(func(c ssh.Channel) { _, _ = c.SendRequest("exit-status", false, []byte{0}) }), nil,
			func(_ Output, err error) bool { return errors.Is(err, ErrNoExit) }, 0},
		"an exit status of 255":       {accept(func(c ssh.Channel) { leave(c, 255) }), nil, func(out Output, err error) bool { return err == nil && out.Exit == 255 }, 0},
		"an exit status, then output": {accept(func(c ssh.Channel) { leave(c, 0); fmt.Fprint(c, "late") }), nil, func(out Output, err error) bool { return err == nil && string(out.Stdout) == "late" }, 0},
		"binary output": {accept(func(c ssh.Channel) { _, _ = c.Write([]byte("\x1b[31m\xff\x00")); leave(c, 0) }), nil,
			func(out Output, err error) bool { return err == nil && string(out.Stdout) == "\x1b[31m\xff\x00" }, 0},
		"stdin that nobody reads": {accept(func(c ssh.Channel) { hang(c) }), bytes.NewReader(make([]byte, 8<<20)),
			func(_ Output, err error) bool { return errors.Is(err, context.DeadlineExceeded) }, time.Minute},
		"an end before stdin's": {accept(func(c ssh.Channel) { leave(c, 1) }), bytes.NewReader(make([]byte, 8<<20)),
			func(out Output, err error) bool { return err == nil && out.Exit == 1 }, 0},
		"stdin that cannot be read": {accept(func(c ssh.Channel) { _, _ = io.Copy(io.Discard, c); leave(c, 0) }),
			io.MultiReader(strings.NewReader("half"), iotest.ErrReader(errors.New("disk on fire"))),
			func(_ Output, err error) bool { return err != nil && strings.Contains(err.Error(), "disk on fire") }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.exec = c.exec
			synctest.Test(t, func(t *testing.T) {
				r.connected(t, func(ctx context.Context, conn *Conn) {
					ctx, cancel := context.WithTimeout(ctx, time.Minute)
					defer cancel()
					began := time.Now()
					out, err := conn.Run(ctx, "x", c.stdin, 100_000)
					if !c.check(out, err) {
						t.Errorf("%d bytes, %d bytes, exit %d: %v", len(out.Stdout), len(out.Stderr), out.Exit, err)
					}
					if took := time.Since(began); took != c.takes {
						t.Errorf("took %v, want %v", took, c.takes)
					}
				})
			})
		})
	}
}

// The command must not be in the error: it is long, and it is not for logs.
func TestRunKeepsTheCommandOutOfItsErrors(t *testing.T) {
	r := newRig(t)
	r.exec = func(_ string, _ ssh.Channel, q *ssh.Request) { _ = q.Reply(false, nil) }
	synctest.Test(t, func(t *testing.T) {
		r.connected(t, func(ctx context.Context, c *Conn) {
			if _, err := c.Run(ctx, "CANARY", nil, 10); err == nil || strings.Contains(err.Error(), "CANARY") {
				t.Error(err)
			}
		})
	})
}

func TestRunHasADeadlineOfItsOwn(t *testing.T) {
	r := newRig(t)
	r.exec = accept(func(c ssh.Channel) { hang(c) })
	synctest.Test(t, func(t *testing.T) {
		r.connected(t, func(_ context.Context, c *Conn) {
			began := time.Now()
			_, err := c.Run(context.Background(), "x", nil, 10)
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 5*time.Minute {
				t.Errorf("after %v: %v", time.Since(began), err)
			}
		})
	})
}

// The wire breaks after each possible number of bytes: there is an answer or
// an error, and a command whose end is not known is never taken for done.
func TestRunSurvivesAWireThatBreaksAnywhere(t *testing.T) {
	r := newRig(t)
	runs := 0
	r.exec = accept(func(c ssh.Channel) { runs++; fmt.Fprint(c, strings.Repeat("x", 300)); leave(c, 0) })
	for cut := 1000; cut < 3600; cut += 11 {
		r.cutAfter = cut
		synctest.Test(t, func(t *testing.T) {
			pool := New(r.settings())
			defer pool.Close()
			c, err := pool.Connect(t.Context(), target())
			if err != nil {
				return
			}
			before := runs
			out, err := c.Run(t.Context(), "x", nil, 1000)
			synctest.Wait()
			if err == nil && (len(out.Stdout) != 300 || out.Exit != 0) {
				t.Errorf("cut after %d bytes: %d bytes taken for all", cut, len(out.Stdout))
			}
			if ran := runs - before; ran > 1 {
				t.Errorf("cut after %d bytes: ran %d times", cut, ran)
			}
		})
	}
	if runs < 20 {
		t.Errorf("only %d commands ran; the test does not reach them", runs)
	}
}

func TestRunKeepsOneConnectionAndDialsAgainWhenItIsClosed(t *testing.T) {
	r := newRig(t)
	var conns []*ssh.ServerConn
	var mu sync.Mutex
	r.global = func(c *ssh.ServerConn) { mu.Lock(); conns = append(conns, c); mu.Unlock() }
	synctest.Test(t, func(t *testing.T) {
		r.connected(t, func(ctx context.Context, c *Conn) {
			for range 3 {
				if _, err := c.Run(ctx, "x", nil, 10); err != nil {
					t.Fatal(err)
				}
			}
			if r.dials != 1 {
				t.Errorf("%d dials for three commands", r.dials)
			}
			mu.Lock()
			conns[0].Close()
			mu.Unlock()
			// At once: the end may not have been noticed yet.
			if out, err := c.Run(ctx, "y", nil, 10); err != nil || string(out.Stdout) != "y" {
				t.Fatal(err)
			}
			if r.dials != 2 || fmt.Sprint(r.ran) != "[x x x y]" {
				t.Errorf("%d dials, ran %v", r.dials, r.ran)
			}
			if s := c.Stats(); s.Dials != 2 || s.BytesIn == 0 || s.BytesOut == 0 {
				t.Errorf("stats %+v", s)
			}
		})
	})
}

func TestRunSharesTheSessionsThatTheNodeAllows(t *testing.T) {
	for _, allowed := range []int{1, 2, 10} {
		r := newRig(t)
		r.sessions = allowed
		r.exec = accept(func(c ssh.Channel) { time.Sleep(time.Second); leave(c, 0) })
		synctest.Test(t, func(t *testing.T) {
			r.connected(t, func(ctx context.Context, c *Conn) {
				var all sync.WaitGroup
				began := time.Now()
				for range 8 {
					all.Go(func() {
						if _, err := c.Run(ctx, "x", nil, 10); err != nil {
							t.Errorf("%d sessions allowed: %v", allowed, err)
						}
					})
				}
				all.Wait()
				if want := time.Duration(8/min(allowed, 4)) * time.Second; time.Since(began) != want {
					t.Errorf("%d sessions allowed: took %v, want %v", allowed, time.Since(began), want)
				}
			})
		})
	}
}

// sshd confirms the end of a session before it counts one fewer: that must not
// be taken for a lower limit.
func TestRunWaitsForASessionThatIsNotYetCounted(t *testing.T) {
	r := newRig(t)
	r.sessions, r.lag = 2, 30*time.Millisecond
	r.exec = accept(func(c ssh.Channel) { time.Sleep(time.Second); leave(c, 0) })
	synctest.Test(t, func(t *testing.T) {
		r.connected(t, func(ctx context.Context, c *Conn) {
			var all sync.WaitGroup
			began := time.Now()
			for range 6 {
				all.Go(func() {
					if _, err := c.Run(ctx, "x", nil, 10); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if took := time.Since(began); took > 3500*time.Millisecond {
				t.Errorf("six seconds of commands two at a time took %v", took)
			}
			time.Sleep(time.Second) // until the server counted the last
		})
	})
}

func TestRunSaysWhenTheNodeRefusesSessions(t *testing.T) {
	r := newRig(t)
	r.sessions, r.open = 1, 1
	synctest.Test(t, func(t *testing.T) {
		r.connected(t, func(ctx context.Context, c *Conn) {
			if _, err := c.Run(ctx, "x", nil, 10); err == nil || !strings.Contains(err.Error(), "open a session") {
				t.Error(err)
			}
		})
	})
}

func TestKeepaliveEndsASilentConnection(t *testing.T) {
	r := newRig(t)
	r.deaf = true
	synctest.Test(t, func(t *testing.T) {
		r.connected(t, func(ctx context.Context, c *Conn) {
			l := c.current()
			began := time.Now()
			<-l.done
			if took := time.Since(began); took != 60*time.Second {
				t.Errorf("noticed after %v", took)
			}
			if err := l.lost(); !strings.Contains(err.Error(), "no answer to keepalives for 45s") {
				t.Error(err)
			}
		})
	})
}

func TestKeepaliveKeepsAQuietConnection(t *testing.T) {
	r := newRig(t)
	synctest.Test(t, func(t *testing.T) {
		r.connected(t, func(ctx context.Context, c *Conn) {
			before := c.Stats()
			time.Sleep(time.Hour)
			after := c.Stats()
			if c.current() == nil || after.Dials != 1 {
				t.Error("the connection is gone")
			}
			if asked := after.RoundTrips - before.RoundTrips; asked < 100 || asked > 240 {
				t.Errorf("%d keepalives in an hour", asked)
			}
		})
	})
}

func TestConnRefusesWhatAServerMayAsk(t *testing.T) {
	r := newRig(t)
	answers := make(chan error, 1)
	r.global = func(c *ssh.ServerConn) {
		for range 1000 {
			if ok, _, err := c.SendRequest("tcpip-forward", true, nil); ok || err != nil {
				answers <- fmt.Errorf("request: %v %v", ok, err)
				return
			}
		}
		_, _, err := c.OpenChannel("forwarded-tcpip", nil)
		answers <- err
	}
	synctest.Test(t, func(t *testing.T) {
		r.connected(t, func(ctx context.Context, c *Conn) {
			var refused *ssh.OpenChannelError
			if err := <-answers; !errors.As(err, &refused) || refused.Reason != ssh.Prohibited {
				t.Error(err)
			}
			if _, err := c.Run(ctx, "x", nil, 10); err != nil {
				t.Error(err)
			}
		})
	})
}

// Counted in exact round trips: 7 to connect, 2 to open a session and start a
// command, whatever it writes.
func TestRoundTripsAreWhatStatsSay(t *testing.T) {
	const trip = 200 * time.Millisecond
	r := newRig(t)
	r.latency = trip / 2
	r.exec = accept(func(c ssh.Channel) { _, _ = c.Write(make([]byte, 100_000)); leave(c, 0) })
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		r.connected(t, func(ctx context.Context, c *Conn) {
			if took, s := time.Since(began), c.Stats(); took != 7*trip || s.RoundTrips != 7 {
				t.Errorf("connecting took %v and counts %d", took, s.RoundTrips)
			}
			for range 3 {
				began, before := time.Now(), c.Stats()
				if _, err := c.Run(ctx, "x", nil, 1<<20); err != nil {
					t.Fatal(err)
				}
				if took, s := time.Since(began), c.Stats(); took != 2*trip || s.RoundTrips-before.RoundTrips != 2 {
					t.Errorf("a command took %v and counts %d", took, s.RoundTrips-before.RoundTrips)
				}
			}
		})
	})
}

func TestPoolFollowsANodeThatMoved(t *testing.T) {
	r := newRig(t)
	synctest.Test(t, func(t *testing.T) {
		pool := New(r.settings())
		defer pool.Close()
		first, err := pool.Connect(t.Context(), target())
		if err != nil {
			t.Fatal(err)
		}
		moved := target()
		moved.User = "other"
		second, err := pool.Connect(t.Context(), moved)
		if err != nil || first == second || r.dials != 2 {
			t.Fatal(err, first == second, r.dials)
		}
		synctest.Wait()
		if first.current() != nil {
			t.Error("the old connection is open")
		}
	})
}

func TestPoolEndsWhatIsNotAmongTheTargets(t *testing.T) {
	r := newRig(t)
	synctest.Test(t, func(t *testing.T) {
		pool := New(r.settings())
		defer pool.Close()
		conn, err := pool.Connect(t.Context(), target())
		if err != nil {
			t.Fatal(err)
		}
		pool.Only("another cluster", nil)
		pool.Only(target().Cluster, []actual.Target{target()})
		synctest.Wait()
		if conn.current() == nil {
			t.Error("the connection to a target was ended")
		}
		pool.Only(target().Cluster, nil)
		synctest.Wait()
		if conn.current() != nil {
			t.Error("the connection is open")
		}
		if again, err := pool.Connect(t.Context(), target()); err != nil || again == conn {
			t.Errorf("one that is a target again is dialled again: %v", err)
		}
	})
}

func TestPoolDialsOnceForManyWhoAsk(t *testing.T) {
	r := newRig(t)
	r.latency = time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		pool := New(r.settings())
		defer pool.Close()
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if _, err := pool.Connect(t.Context(), target()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if r.dials != 1 {
			t.Errorf("%d dials", r.dials)
		}
	})
}

func TestPoolCloseEndsADialInFlight(t *testing.T) {
	r := newRig(t)
	r.latency = time.Second
	synctest.Test(t, func(t *testing.T) {
		pool := New(r.settings())
		answer := make(chan error)
		go func() { _, err := pool.Connect(t.Context(), target()); answer <- err }()
		time.Sleep(3 * time.Second)
		pool.Close()
		var failed *PhaseError
		if err := <-answer; !errors.As(err, &failed) || failed.Phase != actual.PhaseTCP {
			t.Error(err)
		}
	})
}
