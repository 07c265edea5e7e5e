package hook

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Options are what hooks are heard with.
type Options struct {
	Branches []string // that are followed
	Secrets  Secrets  // of whoever may hint
	// Hint says that there may be something new on those branches of which it says
	// true. It must not wait.
	Hint func(of func(branch string) bool)
	// Pulls says that a pull request, what is said about one, or a queue of them may have changed. It
	// must not wait; nil: nobody answers them.
	Pulls func()
	// Heard is told what became of every request to [Path], and whose it claims to
	// be. It must not wait; nil: nobody counts.
	Heard func(Dialect, Outcome)
}

// Outcome is what became of a request. Closed set.
type Outcome string

// What became of an authentic one, and why another is turned away, as the log has it.
const (
	Hinted       Outcome = "hint"
	Replayed     Outcome = "replayed" // it came before
	Other        Outcome = "other"    // of another branch, or of something that is no push
	BadSignature Outcome = "bad_signature"
	TooMany      Outcome = "too_many"
	TooLarge     Outcome = "too_large"
	CutShort     Outcome = "cut_short"
	Unchecked    Outcome = "unchecked" // the secrets cannot be read
	Defect       Outcome = "defect"    // of ours
)

// Path is where hooks are sent to.
const Path = "/hook"

// MaxBody caps a request, in bytes. A push of so many commits that it says more is
// found by the next poll.
const MaxBody = 1 << 20

// Bounds of what may be asked of us, by all together: a forge sends a few a
// minute, and a proxy hides who sends too many.
const (
	perSecond  = 50
	atOnce     = 100
	deliveries = 1024
)

// Handler hears hooks.
type Handler struct {
	Options
	log    *slog.Logger
	limit  *rate.Limiter
	seen   *seen
	teller *teller
	mute   atomic.Bool // that secrets cannot be read was told
}

// New hears hooks, and hints.
func New(o Options, log *slog.Logger) *Handler {
	return &Handler{Options: o, log: log, limit: rate.NewLimiter(perSecond, atOnce), seen: newSeen(deliveries), teller: newTeller(log)}
}

// ServeHTTP answers a request with a status and an empty body. What costs least is
// looked at first.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			h.heard(r, Defect)
			h.log.Error("a webhook ended in a defect of reconciler, please report it", "error", fmt.Sprint(p), "stack", string(debug.Stack()))
			w.WriteHeader(http.StatusInternalServerError)
		}
	}()
	switch {
	case r.URL.EscapedPath() != Path: // as it was sent: nothing is cleaned
		w.WriteHeader(http.StatusNotFound)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		w.WriteHeader(http.StatusMethodNotAllowed)
	case !h.limit.Allow():
		w.Header().Set("Retry-After", "1")
		h.refuse(w, r, http.StatusTooManyRequests, TooMany)
	case r.ContentLength > MaxBody:
		h.refuse(w, r, http.StatusRequestEntityTooLarge, TooLarge)
	default:
		h.hear(w, r)
	}
}

func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, status int, reason Outcome) {
	h.teller.refused(reason)
	h.heard(r, reason)
	w.WriteHeader(status)
}

func (h *Handler) heard(r *http.Request, o Outcome) {
	if h.Heard != nil {
		h.Heard(dialect(r.Header), o)
	}
}

// hear takes a request whose size and rate are in order. That a proof is missing
// and that it is wrong are one answer.
func (h *Handler) hear(w http.ResponseWriter, r *http.Request) {
	carried := proofs(r.Header, time.Now())
	if len(carried) == 0 {
		h.refuse(w, r, http.StatusUnauthorized, BadSignature)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		h.refuse(w, r, http.StatusRequestEntityTooLarge, TooLarge)
		return
	case err != nil:
		h.refuse(w, r, http.StatusBadRequest, CutShort)
		return
	}
	secrets, err := h.Secrets()
	if told := h.mute.Swap(err != nil); err != nil {
		if !told {
			h.log.Error("webhooks cannot be checked, and are refused", "error", err)
		}
		h.heard(r, Unchecked)
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if !authentic(carried, body, secrets) {
		h.refuse(w, r, http.StatusUnauthorized, BadSignature)
		return
	}
	h.heard(r, h.take(r.Header, body))
	w.WriteHeader(http.StatusAccepted)
}

// take makes an authentic request a hint, unless it is known not to be one.
func (h *Handler) take(header http.Header, body []byte) Outcome {
	what, outcome := event(header), Hinted
	id := delivery(header)
	switch {
	case id != "" && h.seen.again(id):
		outcome = Replayed
	case ofPulls(what, body) && h.Pulls != nil:
		h.Pulls()
	case !slices.ContainsFunc(h.Branches, func(branch string) bool { return concerns(what, body, branch) }):
		outcome = Other
	default:
		h.Hint(func(branch string) bool { return concerns(what, body, branch) })
	}
	h.log.Debug("webhook", "dialect", dialect(header), "event", what, "outcome", outcome)
	return outcome
}
