package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/outbound"
	"github.com/vaultfleet/reconciler/internal/secret"
)

// key is a secret of Standard Webhooks, and what it stands for.
func key(text string) (line string, raw []byte) {
	raw = []byte((text + strings.Repeat("x", 32))[:32])
	return keyPrefix + base64.StdEncoding.EncodeToString(raw), raw
}

// receiver takes what is signed by its key, once.
type receiver struct {
	*httptest.Server
	key []byte

	mu   sync.Mutex
	seen map[string]bool
	got  []map[string]any
	twice,
	bad int
}

func newReceiver(t testing.TB, key []byte) *receiver {
	r := &receiver{key: key, seen: map[string]bool{}}
	r.Server = httptest.NewTLSServer(http.HandlerFunc(r.take))
	t.Cleanup(r.Close)
	return r
}

// take is what the scheme asks of a receiver: the time is now, one of the signatures is
// right, and the ID was not seen before.
func (r *receiver) take(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	id, at := q.Header.Get("Webhook-Id"), q.Header.Get("Webhook-Timestamp")
	mac := hmac.New(sha256.New, r.key)
	mac.Write([]byte(id + "." + at + "." + string(body)))
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	seconds, err := strconv.ParseInt(at, 10, 64)
	right := false
	for _, s := range strings.Fields(q.Header.Get("Webhook-Signature")) {
		right = right || hmac.Equal([]byte(s), []byte(want))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err != nil || !right || time.Since(time.Unix(seconds, 0)).Abs() > 5*time.Minute || q.Header.Get("Content-Type") != "application/json":
		r.bad++
		w.WriteHeader(http.StatusUnauthorized)
	case r.seen[id]:
		r.twice++
	default:
		r.seen[id] = true
		var one map[string]any
		_ = json.Unmarshal(body, &one)
		r.got = append(r.got, one)
	}
}

func (r *receiver) hook(lines string) *Webhook {
	w := NewWebhook(func() (string, error) { return r.URL + "/hook/" + canary + "?token=" + canary, nil }, held(lines), nil)
	w.client.Transport.(*http.Transport).TLSClientConfig = r.Client().Transport.(*http.Transport).TLSClientConfig
	return w
}

func TestAWebhookIsSignedAndToldOnceByItsID(t *testing.T) {
	line, raw := key(canary)
	old, _ := key("old")
	r := newReceiver(t, raw)
	must(t, r.hook(line+"\n").Send(t.Context(), news("k")))
	must(t, r.hook(line).Send(t.Context(), news("k")))
	must(t, r.hook(old+"\n"+line+"\n").Send(t.Context(), news("l"))) // while a key is being replaced
	if len(r.got) != 2 || r.twice != 1 || r.bad != 0 {
		t.Fatalf("%d taken, %d twice, %d bad", len(r.got), r.twice, r.bad)
	}
	one := r.got[0]
	for field, want := range map[string]any{
		"schema": "reconciler/notification", "formatVersion": "1.0", "id": news("k").ID(), "at": "2026-11-18T10:00:00Z", "kind": "new", "severity": "critical",
		"fleet": "acme", "title": "acme: 1 new drift", "link": "https://reconciler.internal/D-121", "clear": false,
	} {
		if one[field] != want {
			t.Errorf("%s is %v, want %v", field, one[field], want)
		}
	}
	if report, _ := one["report"].(map[string]any); report["schema"] != "reconciler/drift-report" {
		t.Errorf("the report is %v", one["report"])
	}
	other, _ := key("another")
	says(t, r.hook(other).Send(t.Context(), news("m")), "401 Unauthorized", "is its address, or its secret, still the right one?")
}

func TestWhatAWebhookAnswersIsWhatBecomesOfTheMessage(t *testing.T) {
	line, _ := key(canary)
	for name, c := range map[string]struct {
		answer  http.HandlerFunc
		says    string
		refused bool
		busy    time.Duration
	}{
		"500": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, canary, 500) }, "500 Internal Server Error", false, -1},
		"404": {http.NotFound, "404 Not Found", false, -1},
		"422": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(422) }, "422 Unprocessable Entity", true, -1},
		"413": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(413) }, "413", true, -1},
		"429": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "17"); w.WriteHeader(429) }, "429", false, 17 * time.Second},
		"503 for ever": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "99999999")
			w.WriteHeader(503)
		}, "503", false, time.Hour},
		"429 without":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }, "429", false, 0},
		"304":              {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) }, "304, which is no yes", false, -1},
		"cut off":          {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "post to 127.0.0.1", false, -1},
		"headers for ever": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }, "post to 127.0.0.1", false, -1},
	} {
		s := httptest.NewServer(c.answer)
		w := NewWebhook(func() (string, error) { return s.URL + "/" + canary, nil }, held(line), nil)
		err := w.Send(t.Context(), news("k"))
		says(t, err, c.says)
		busy, is := errors.AsType[*outbound.BusyError](err)
		if isRefused(err) != c.refused || is != (c.busy >= 0) || is && busy.After != c.busy {
			t.Errorf("%s: %v", name, err)
		}
		s.Close()
	}
}

func TestNoRedirectOfAWebhookIsFollowed(t *testing.T) {
	line, _ := key(canary)
	reached := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+"/"+canary, status)
		}))
		w := NewWebhook(func() (string, error) { return s.URL, nil }, held(line), nil)
		says(t, w.Send(t.Context(), news("k")), "it redirects to "+other.URL, "give that address, if it is meant")
		s.Close()
	}
	if reached {
		t.Error("the other was posted to")
	}
}

func TestAWebhookThatHangsOrDripsIsLeft(t *testing.T) {
	line, _ := key(canary)
	for _, drips := range []bool{false, true} {
		came := make(chan struct{})
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(came)
			if drips {
				c, _, _ := http.NewResponseController(w).Hijack()
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX: ")
				for {
					if _, err := io.WriteString(c, "x"); err != nil {
						return
					}
					select {
					case <-t.Context().Done():
						return
					default:
					}
				}
			}
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}))
		ctx, cancel := context.WithCancelCause(t.Context())
		sent := make(chan error, 1)
		w := NewWebhook(func() (string, error) { return s.URL, nil }, held(line), nil)
		go func() { sent <- w.Send(ctx, news("k")) }()
		<-came
		cancel(errors.New("enough"))
		says(t, <-sent, "post to 127.0.0.1")
		if w.client.Timeout != longest {
			t.Errorf("it would be waited for %v", w.client.Timeout)
		}
		s.Close()
	}
}

func TestWhatTheAnswerOfAWebhookHoldsIsNotRead(t *testing.T) {
	line, _ := key(canary)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil { // ends because we do
				return
			}
		}
	}))
	defer s.Close()
	must(t, NewWebhook(func() (string, error) { return s.URL, nil }, held(line), nil).Send(t.Context(), news("k")))
}

func TestAWebhookGoesToHTTPSOrToThisMachine(t *testing.T) {
	line, _ := key(canary)
	for raw, want := range map[string]string{
		"http://hooks.internal/" + canary:               "is not of https",
		"http://localhost/" + canary:                    "is not of https",
		"https://u:" + canary + "@h/":                   "holds a login",
		"https://h/#" + canary:                          "holds a login, or a #",
		"ftp://h/" + canary:                             "is not of https",
		"hooks.internal/" + canary:                      "is not one",
		"https:" + canary:                               "is not one",
		"https://h\nHost: " + canary:                    "is not one",
		"http://127.0.0.1:1/" + canary:                  "post to 127.0.0.1:1",
		"https://[::1]:1/x?sig=" + canary + "\r\n   \n": "post to [::1]:1",
	} {
		says(t, NewWebhook(func() (string, error) { return raw, nil }, held(line), nil).Send(t.Context(), news("k")), want)
	}
}

func TestASecretThatIsNoneSignsNothing(t *testing.T) {
	short := keyPrefix + base64.StdEncoding.EncodeToString([]byte(canary))
	line, _ := key("x")
	for _, text := range []string{"", "\n", canary + canary + canary, short, line + "\n" + canary, strings.Repeat(line+"\n", 5)} {
		err := NewWebhook(func() (string, error) { return "http://127.0.0.1:1/", nil }, held(text), nil).Send(t.Context(), news("k"))
		says(t, err, "the webhook's secret file")
	}
	gone := func() (secret.Bytes, error) { return secret.Bytes{}, errors.New("gone") }
	says(t, NewWebhook(func() (string, error) { return "http://127.0.0.1:1/", nil }, gone, nil).Send(t.Context(), news("k")), "read the webhook's secret: gone")
}
