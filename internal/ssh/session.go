package ssh

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"
)

// Output is what a command left. Exit is its status; a command that a signal
// ended has 128 and the signal's number, as in a shell.
type Output struct {
	Stdout, Stderr []byte
	Exit           int
}

// OverflowError says that a command wrote more than it may; it was cut off.
type OverflowError struct {
	Stream string // stdout or stderr
	Cap    int64  // bytes
}

func (e *OverflowError) Error() string {
	return fmt.Sprintf("more than %d bytes on %s", e.Cap, e.Stream)
}

// ErrNoExit: the command is over, but the node did not say how it ended.
var ErrNoExit = errors.New("the node did not say how the command ended")

// errRefused: the peer would not run any command.
var errRefused = errors.New("the node refuses to run a command; is the shell of the user nologin, or is there a ForceCommand?")

// Run runs a command under the user's login shell and returns what it wrote.
// An exit status other than 0 is no error. Each of stdout and stderr may have
// cap bytes; with more the command is cut off and the error is an
// [*OverflowError]. stdin may be nil; its Read must not block for ever.
//
// Secrets go to stdin, never into the command: everybody on the node reads
// that in /proc.
//
// When the context ends, the whole connection is closed, because a peer that
// does not answer may not answer that either; the node goes on by itself.
// After any error but a *PhaseError nobody knows whether the command ran.
func (c *Conn) Run(ctx context.Context, command string, stdin io.Reader, cap int64) (Output, error) {
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.pool.settings.Command)
		defer cancel()
	}
	stdout := &gathered{cap: cap}
	out, err := c.run(ctx, command, stdin, stdout, cap)
	if err == nil {
		out.Stdout = stdout.Bytes()
	}
	return out, err
}

// maxComplaint caps what a command of [Conn.Stream] may write to stderr, in bytes.
const maxComplaint = 64 << 10

// Stream is [Conn.Run] for a command that writes more than is to be held: stdout
// goes to where it is wanted, without a cap, and the deadline is the context's
// alone. An error of that writer cuts the command off, and is the error.
func (c *Conn) Stream(ctx context.Context, command string, stdin io.Reader, stdout io.Writer) (Output, error) {
	return c.run(ctx, command, stdin, passed{stdout}, maxComplaint)
}

func (c *Conn) run(ctx context.Context, command string, stdin io.Reader, stdout sink, complaint int64) (Output, error) {
	for again := true; ; again = false {
		l, err := c.use(ctx)
		if err != nil {
			return Output{}, err
		}
		out, sent, err := l.run(ctx, command, stdin, stdout, complaint)
		if err == nil {
			return out, nil
		}
		// sshd closes idle connections and restarts; as long as nothing was
		// sent, a new connection is the same as the old one.
		if again && !sent && ctx.Err() == nil && l.dead() {
			continue
		}
		return Output{}, fmt.Errorf("run a command on %s: %w", c.target.Node, err)
	}
}

// run says besides whether the peer may have seen the command.
func (l *link) run(ctx context.Context, command string, stdin io.Reader, stdout sink, complaint int64) (out Output, sent bool, err error) {
	stop := context.AfterFunc(ctx, func() { l.kill(context.Cause(ctx)) })
	defer stop()
	channel, requests, err := l.session(ctx)
	if err != nil {
		return Output{}, false, err
	}
	defer l.sessions.closed()
	defer channel.Close()
	ok, err := channel.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{command}))
	l.wire.trips.Add(1)
	switch {
	case err != nil:
		go ssh.DiscardRequests(requests) // ends with the channel
		return Output{}, true, l.lost()
	case !ok:
		go ssh.DiscardRequests(requests)
		l.kill(errRefused) // a peer that does not even run commands need not close channels either
		return Output{}, true, errRefused
	}
	out, err = l.streams(channel, requests, stdin, stdout, complaint)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return out, true, err
}

// session opens a session, and takes fewer at a time when the peer allows
// fewer. The caller gives the slot back (closed).
func (l *link) session(ctx context.Context) (ssh.Channel, <-chan *ssh.Request, error) {
	for tries := 0; ; tries++ {
		if err := l.sessions.take(ctx); err != nil {
			return nil, nil, err
		}
		channel, requests, err := l.conn.OpenChannel("session", nil)
		l.wire.trips.Add(1)
		if err == nil {
			l.sessions.opened()
			return channel, requests, nil
		}
		var refused *ssh.OpenChannelError
		if !errors.As(err, &refused) {
			l.sessions.free <- struct{}{}
			if ctx.Err() != nil {
				return nil, nil, context.Cause(ctx)
			}
			l.kill(errLost)
			return nil, nil, l.lost()
		}
		if !l.sessions.refused(ctx, tries) {
			return nil, nil, fmt.Errorf("open a session: %w", tame(err))
		}
	}
}

// streams moves all four streams of a command and returns when all are done.
func (l *link) streams(channel ssh.Channel, requests <-chan *ssh.Request, stdin io.Reader, stdout sink, complaint int64) (Output, error) {
	exited, wrote, complained := make(chan int, 1), make(chan error, 1), make(chan error, 1)
	stderr := &gathered{cap: complaint}
	go func() { exited <- exit(requests) }()
	go func() { wrote <- l.feed(channel, stdin) }()
	go func() { complained <- l.drain(stderr, channel.Stderr(), "stderr") }()
	err := l.drain(stdout, channel, "stdout")
	// In this order: an overflow of either stream cuts the wire, and that ends
	// the others.
	err = errors.Join(err, <-complained, <-wrote)
	status := <-exited
	switch {
	case err != nil:
		return Output{}, err
	case l.dead():
		// A status may have come, but the streams end with the wire just as
		// they end with the command: nobody knows whether this is all.
		return Output{}, l.lost()
	case status == noExit:
		return Output{}, ErrNoExit
	}
	return Output{Stderr: stderr.Bytes(), Exit: status}, nil
}

// drain reads one stream to its end, or cuts the wire when it is not wanted any
// more: a peer that ignores our close would fill the window of the channel for
// ever.
func (l *link) drain(to sink, from io.Reader, stream string) error {
	err := to.fill(from)
	if over, ok := errors.AsType[*OverflowError](err); ok {
		over.Stream = stream
	}
	if err != nil {
		l.kill(err)
	}
	return err
}

// feed sends stdin. When it cannot be read to its end the wire is cut, so that
// the command is not told that this was all.
func (l *link) feed(channel ssh.Channel, stdin io.Reader) error {
	if stdin == nil {
		_ = channel.CloseWrite()
		return nil
	}
	chunk := make([]byte, 32<<10)
	for {
		n, err := stdin.Read(chunk)
		if n > 0 {
			if _, refused := channel.Write(chunk[:n]); refused != nil {
				return nil // the command ended without reading all; its status speaks
			}
		}
		if errors.Is(err, io.EOF) {
			_ = channel.CloseWrite()
			return nil
		}
		if err != nil {
			err = fmt.Errorf("read what the command is to be fed: %w", err)
			l.kill(err)
			return err
		}
	}
}

// noExit is the status of a command of which none came.
const noExit = -1

// exit reads the requests of a session until the peer closes it.
func exit(requests <-chan *ssh.Request) int {
	status := noExit
	for r := range requests {
		switch {
		case r.Type == "exit-status" && len(r.Payload) >= 4:
			status = int(binary.BigEndian.Uint32(r.Payload))
		case r.Type == "exit-signal":
			var s struct {
				Signal     string
				CoreDumped bool
				Error      string
				Lang       string
			}
			if ssh.Unmarshal(r.Payload, &s) == nil {
				status = 128 + signal(s.Signal)
			}
		default:
			_ = r.Reply(false, nil)
		}
	}
	return status
}

// signal is the number of a signal of RFC 4254 §6.10 on Linux, 0 of another.
func signal(name string) int {
	switch name {
	case "HUP":
		return 1
	case "INT":
		return 2
	case "QUIT":
		return 3
	case "ILL":
		return 4
	case "ABRT":
		return 6
	case "FPE":
		return 8
	case "KILL":
		return 9
	case "USR1":
		return 10
	case "SEGV":
		return 11
	case "USR2":
		return 12
	case "PIPE":
		return 13
	case "ALRM":
		return 14
	case "TERM":
		return 15
	}
	return 0
}

// sink is where a stream goes. A channel ends with EOF or, with its connection,
// with another error; of that the exit status, or its absence, speaks: the error
// of fill is the sink's own.
type sink interface{ fill(from io.Reader) error }

// gathered holds a stream of up to so many bytes.
type gathered struct {
	bytes.Buffer
	cap int64
}

// fill reads to the end or until there is one byte too many. It grows with
// what comes, so that a short answer costs little.
func (g *gathered) fill(from io.Reader) error {
	n, _ := g.ReadFrom(io.LimitReader(from, g.cap+1))
	if n > g.cap {
		return &OverflowError{Cap: g.cap}
	}
	return nil
}

// passed hands a stream on.
type passed struct{ to io.Writer }

func (p passed) fill(from io.Reader) error {
	chunk := make([]byte, 32<<10)
	for {
		n, ended := from.Read(chunk)
		if n > 0 {
			if _, err := p.to.Write(chunk[:n]); err != nil {
				return err
			}
		}
		if ended != nil {
			return nil
		}
	}
}
