package host

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
)

// How long each part of a look may take.
const (
	connectTime = 20 * time.Second
	probeTime   = 20 * time.Second
	apiTime     = 15 * time.Second
	hashTime    = 5 * time.Minute
	// A node on which sudo or the script was missing is asked again after this
	// long: each refused sudo is a line in its log and may be a mail.
	rungTime = 10 * time.Minute
)

// Look looks at one node. It is an [actual.Host]: it never fails, what could not
// be read is in Unknown.
func (h *Host) Look(ctx context.Context, t actual.Target) actual.Node {
	n := actual.Node{Name: t.Node, ID: t.ID, At: h.Now().UTC()}
	conn, err := h.connect(ctx, t)
	if err != nil {
		unknown(&n, phaseOf(err), clean(err.Error(), 500))
		return n
	}
	answered := make(chan vaultSaid, 1)
	go func() { answered <- h.askVault(ctx, conn, t) }()
	h.survey(ctx, conn, t, &n)
	h.takeAnswers(&n, <-answered)
	n.At = h.Now().UTC()
	return n
}

func (h *Host) connect(ctx context.Context, t actual.Target) (Conn, error) {
	ctx, cancel := within(ctx, connectTime)
	defer cancel()
	return h.Connect(ctx, t)
}

// silence is the end of our own patience, in words for people.
type silence struct{ after time.Duration }

func (s silence) Error() string { return fmt.Sprintf("no answer within %v", s.after) }
func (s silence) Unwrap() error { return context.DeadlineExceeded }

// within is ctx with a deadline of ours: its cause then tells how long that was.
func within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, silence{limit})
}

// survey is the part of a look that the node script does.
func (h *Host) survey(ctx context.Context, conn Conn, t actual.Target, n *actual.Node) {
	s := h.standing(t)
	s.mu.Lock() // one look at a node at a time: the second would only repeat the first
	defer s.mu.Unlock()
	facts, phase, err := h.ask(ctx, conn, t, s, "probe", questions(t, s.bodies.have(t)), probeTime)
	if err != nil {
		unknown(n, phase, clean(err.Error(), 500))
		return
	}
	r := newReading(t, facts)
	h.digests(ctx, conn, s, r)
	s.bodies.take(t, r)
	r.fill(n, h.Now(), &s.bodies)
	s.script = ""
	if n.Machine != nil {
		s.script = n.Machine.Script
	}
	if len(r.denied) > 0 {
		unknown(n, actual.PhaseSudo, s.because()+"; not readable as "+t.User+": "+clean(strings.Join(r.denied, ", "), 300))
	}
	if r.garbled != "" {
		unknown(n, actual.PhaseParse, r.garbled)
	}
}

// because says why a look has no better rung, and the way to one.
func (s *standing) because() string {
	if s.why == "" {
		return "grant the account " + SudoersLine
	}
	return s.why + "; grant the account " + SudoersLine
}

// ask runs a reading verb by the best rung that works, and remembers which.
func (h *Host) ask(ctx context.Context, conn Conn, t actual.Target, s *standing, verb string, words []string, limit time.Duration) ([]fact, actual.Phase, error) {
	if !s.until.IsZero() && !h.Now().Before(s.until) {
		s.rung, s.until = rungInstalled, time.Time{}
	}
	start := s.rung
	for {
		facts, out, err := h.askBy(ctx, conn, t, s.rung, verb, words, limit)
		var lost *lostError
		switch {
		case err == nil:
			if s.rung != start {
				s.until = h.Now().Add(rungTime)
			}
			return facts, "", nil
		case errors.As(err, &lost):
			return nil, actual.PhaseTCP, err
		case !errors.Is(err, errNoFrame):
			return nil, actual.PhaseParse, err
		case s.rung == rungPlain:
			return nil, actual.PhaseParse, fmt.Errorf("%w: %s", err, firstLine(out.Stderr))
		}
		s.why = refusal(out)
		s.rung = h.next(s.rung, t)
	}
}

// next is the rung below: without root where the spec may not act.
func (h *Host) next(r rung, t actual.Target) rung {
	if r == rungInstalled && t.User != "root" && (h.Enforced == nil || !h.Enforced(t)) {
		return rungPlain
	}
	return r + 1
}

// lostError says that the connection broke while a command ran.
type lostError struct{ err error }

func (e *lostError) Error() string { return e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

func (h *Host) askBy(ctx context.Context, conn Conn, t actual.Target, r rung, verb string, words []string, limit time.Duration) ([]fact, Output, error) {
	ctx, cancel := within(ctx, limit)
	defer cancel()
	nonce := rand.Text()
	out, err := conn.Run(ctx, r.command(t.User, append([]string{verb, nonce}, words...)), nil, frameCap)
	if err != nil {
		return nil, out, &lostError{fmt.Errorf("run the node script's %s: %w", verb, err)}
	}
	facts, err := parseFrame(out.Stdout, nonce)
	if err != nil && out.Exit == exitNotAllowed {
		return nil, out, fmt.Errorf("the node refuses: %s", firstLine(out.Stderr))
	}
	return facts, out, err
}

// digests fills in what binaries hash to, from memory or by asking the node.
func (h *Host) digests(ctx context.Context, conn Conn, s *standing, r *reading) {
	machine := r.machine()
	var words []string
	missing := map[string]fingerprint{}
	for _, word := range r.wantHashed() {
		f := r.prints[word]
		if digest, ok := h.Hashes.get(machine, f, h.Now()); ok {
			r.hashes[f] = digest
			continue
		}
		if _, asked := r.hashes[f]; !asked {
			r.hashes[f] = ""
			missing[word] = f
			words = append(words, word)
		}
	}
	if len(words) == 0 {
		return
	}
	release, err := h.alone(ctx, r.target.Cluster)
	if err != nil {
		return
	}
	defer release()
	slices.Sort(words)
	facts, _, err := h.ask(ctx, conn, r.target, s, "hash", words, hashTime)
	if err != nil {
		r.problem("hash the binaries: " + clean(err.Error(), 300))
		return
	}
	r.takeHashes(facts, missing)
	for word, f := range missing {
		if digest := r.hashes[f]; digest != "" {
			h.Hashes.put(machine, f, digest, r.clock, h.Now())
		} else {
			r.problem(word + " could not be hashed, or changed meanwhile")
		}
	}
}

// alone waits for its turn to hash a binary of a cluster: reading it evicts
// pages that a Vault may need, so this never happens on two nodes at once.
func (h *Host) alone(ctx context.Context, cluster string) (release func(), err error) {
	h.mu.Lock()
	turn, ok := h.hashing[cluster]
	if !ok {
		turn = make(chan struct{}, 1)
		h.hashing[cluster] = turn
	}
	h.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func unknown(n *actual.Node, phase actual.Phase, why string) {
	if n.Unknown == nil {
		n.Unknown = map[actual.Phase]string{}
	}
	if have := n.Unknown[phase]; have != "" {
		why = have + "; " + why
	}
	n.Unknown[phase] = why
}

func phaseOf(err error) actual.Phase {
	var c *ConnectError
	if errors.As(err, &c) && c.Phase != "" {
		return c.Phase
	}
	return actual.PhaseTCP
}

// refusal says in words of ours why the script could not be run by sudo.
func refusal(out Output) string {
	said := string(out.Stderr)
	for _, known := range []struct{ sign, means string }{
		{"password is required", "sudo asks for a password"},
		{"must have a tty", "sudo wants a terminal (requiretty)"},
		{"not in the sudoers file", "the account may not use sudo"},
		{"not allowed to execute", "sudo does not allow the node script"},
		{"may not run sudo", "the account may not use sudo"},
		{"no new privileges", "the account cannot gain privileges (no_new_privs)"},
		{"sudo: not found", "sudo is not installed"},
		{"sudo: command not found", "sudo is not installed"},
		{"command not found", "the node script is not installed"},
		{"not found", "the node script is not installed"},
		{"No such file", "the node script is not installed"},
		{"not a question of protocol", "the installed node script is older than this release"},
	} {
		if strings.Contains(said, known.sign) {
			return known.means
		}
	}
	return firstLine(out.Stderr)
}

func firstLine(b []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	if line == "" {
		return "it said nothing"
	}
	return clean(line, 300)
}
