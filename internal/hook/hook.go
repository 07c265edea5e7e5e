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
}

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

// Why a request is turned away, as the log has it.
const (
	badSignature = "bad_signature"
	tooMany      = "too_many"
	tooLarge     = "too_large"
	cutShort     = "cut_short"
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
		h.refuse(w, http.StatusTooManyRequests, tooMany)
	case r.ContentLength > MaxBody:
		h.refuse(w, http.StatusRequestEntityTooLarge, tooLarge)
	default:
		h.hear(w, r)
	}
}

func (h *Handler) refuse(w http.ResponseWriter, status int, reason string) {
	h.teller.refused(reason)
	w.WriteHeader(status)
}

// hear takes a request whose size and rate are in order. That a proof is missing
// and that it is wrong are one answer.
func (h *Handler) hear(w http.ResponseWriter, r *http.Request) {
	carried := proofs(r.Header, time.Now())
	if len(carried) == 0 {
		h.refuse(w, http.StatusUnauthorized, badSignature)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		h.refuse(w, http.StatusRequestEntityTooLarge, tooLarge)
		return
	case err != nil:
		h.refuse(w, http.StatusBadRequest, cutShort)
		return
	}
	secrets, err := h.Secrets()
	if told := h.mute.Swap(err != nil); err != nil {
		if !told {
			h.log.Error("webhooks cannot be checked, and are refused", "error", err)
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if !authentic(carried, body, secrets) {
		h.refuse(w, http.StatusUnauthorized, badSignature)
		return
	}
	h.take(r.Header, body)
	w.WriteHeader(http.StatusAccepted)
}

// take makes an authentic request a hint, unless it is known not to be one.
func (h *Handler) take(header http.Header, body []byte) {
	what, outcome := event(header), "hint"
	id := delivery(header)
	switch {
	case id != "" && h.seen.again(id):
		outcome = "replayed"
	case ofPulls(what, body) && h.Pulls != nil:
		h.Pulls()
	case !slices.ContainsFunc(h.Branches, func(branch string) bool { return concerns(what, body, branch) }):
		outcome = "of something else"
	default:
		h.Hint(func(branch string) bool { return concerns(what, body, branch) })
	}
	h.log.Debug("webhook", "dialect", dialect(header), "event", what, "outcome", outcome)
}
