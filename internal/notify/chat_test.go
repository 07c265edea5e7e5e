package notify

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"

	"github.com/vaultfleet/reconciler/internal/outbound"
	"github.com/vaultfleet/reconciler/internal/throwaway"
)

func chat(service Service, url string) *Chat {
	return NewChat(service, held(url+"\n"), nil, os.Args[0], "relay")
}

// internet is who answers for every host that a chat is at: the relay reaches it
// through a proxy of its environment, and knows its CA from there.
type internet struct {
	mu     sync.Mutex
	asked  []string // "POST https://host/path BODY"
	bodies []string
	answer http.HandlerFunc
}

func newInternet(t *testing.T, hosts ...string) *internet {
	ca, err := throwaway.NewCA()
	must(t, err)
	cert, key, err := ca.Issue(hosts...)
	must(t, err)
	pair, err := tls.X509KeyPair(cert, key)
	must(t, err)
	file := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(file, ca.PEM, 0o600))
	n := &internet{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { n.serve(c, &tls.Config{Certificates: []tls.Certificate{pair}}) })
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	t.Setenv("HTTPS_PROXY", "http://"+l.Addr().String())
	t.Setenv("NO_PROXY", "")
	t.Setenv("SSL_CERT_FILE", file)
	t.Setenv("RECONCILER_SECRET", canary)
	return n
}

// serve answers one request that came through CONNECT.
func (n *internet) serve(c net.Conn, config *tls.Config) {
	defer c.Close()
	connect, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil || connect.Method != http.MethodConnect {
		return
	}
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
	safe := tls.Server(c, config)
	r, err := http.ReadRequest(bufio.NewReader(safe))
	if err != nil {
		return
	}
	body, _ := io.ReadAll(r.Body)
	n.mu.Lock()
	n.asked = append(n.asked, r.Method+" https://"+r.Host+r.URL.RequestURI())
	n.bodies = append(n.bodies, string(body))
	answer := n.answer
	n.mu.Unlock()
	w := httptest.NewRecorder()
	if answer != nil {
		answer(w, r)
	}
	got := w.Result()
	got.ContentLength = int64(w.Body.Len())
	got.Header.Set("Connection", "close")
	_ = got.Write(safe)
	_ = safe.Close()
}

const (
	slackHook = "https://hooks.slack.com/services/T00000000/B00000000/xxxx" + canary + "xxxxxxxx"
	teamsHook = "teams://11111111-4444-4444-8444-cccccccccccc@22222222-4444-4444-8444-cccccccccccc/33333333012222222222333333333344/44444444-4444-4444-8444-cccccccccccc/V2ESyij_" + canary + "?host=acme.webhook.office.com"
)

func TestSlackIsToldThroughTheProxyOfTheEnvironment(t *testing.T) {
	n := newInternet(t, "hooks.slack.com")
	n.answer = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }
	m := news("k")
	m.Text = "branch <!channel> & @here\nprod-eu\n" + strings.Repeat("one more row\n", 1000)
	must(t, chat(Slack, slackHook).Send(t.Context(), m))
	must(t, chat(Any, strings.NewReplacer("https://hooks.slack.com/services/", "slack://hook:", "/", "-").Replace(slackHook)+"@webhook").Send(t.Context(), m))
	if want := "POST " + slackHook; len(n.asked) != 2 || n.asked[0] != want || n.asked[1] != want {
		t.Fatalf("%q", n.asked)
	}
	var sent struct {
		Text        string
		Attachments []struct{ Text string }
	}
	must(t, json.Unmarshal([]byte(n.bodies[0]), &sent))
	if n.bodies[1] != n.bodies[0] {
		t.Errorf("by its own URL it is told %.300s", n.bodies[1])
	}
	all := n.bodies[0]
	if sent.Text != m.Title || sent.Attachments[0].Text != "branch &lt;!channel&gt; &amp; @\u200bhere" || len(all) > 20_000 ||
		!strings.Contains(all, "more lines") || !strings.Contains(all, m.Link) {
		t.Errorf("%d bytes: %s", len(all), all[:300])
	}
}

func TestTeamsIsToldAsACardOrThroughItsConnector(t *testing.T) {
	n := newInternet(t, "acme.webhook.office.com", "prod-1.westeurope.logic.azure.com")
	must(t, chat(Teams, teamsHook).Send(t.Context(), news("k")))
	if len(n.asked) != 1 || !strings.HasPrefix(n.asked[0], "POST https://acme.webhook.office.com/webhookb2/") || !strings.Contains(n.bodies[0], "1 new drift") {
		t.Errorf("%q %q", n.asked, n.bodies)
	}
	var posted map[string]any
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewDecoder(r.Body).Decode(&posted)
		w.WriteHeader(http.StatusAccepted)
	}))
	defer s.Close()
	c := chat(Teams, "https://prod-1.westeurope.logic.azure.com/workflows/x?sig="+canary)
	c.client.Transport = redirecting{s.URL}
	must(t, c.Send(t.Context(), news("k")))
	text, _ := json.Marshal(posted)
	for _, want := range []string{`"type":"message"`, `"contentType":"application/vnd.microsoft.card.adaptive"`, `"type":"AdaptiveCard"`, "acme: 1 new drift", "prod-eu eu-1 eu-2", "https://reconciler.internal/D-121"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(401) })
	says(t, c.Send(t.Context(), news("k")), "post to prod-1.westeurope.logic.azure.com", "401")
}

// redirecting sends every request to a server of the test.
type redirecting struct{ to string }

func (r redirecting) RoundTrip(q *http.Request) (*http.Response, error) {
	at, err := url.Parse(r.to)
	if err != nil {
		return nil, err
	}
	q = q.Clone(q.Context())
	q.URL.Scheme, q.URL.Host = at.Scheme, at.Host
	return http.DefaultTransport.RoundTrip(q)
}

func TestWhatSlackAnswersIsWhatBecomesOfTheMessage(t *testing.T) {
	n := newInternet(t, "hooks.slack.com")
	for name, c := range map[string]struct {
		answer  http.HandlerFunc
		says    string
		refused bool
		busy    time.Duration
	}{
		"429": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "30"); w.WriteHeader(429) }, "429 Too Many Requests", false, 30 * time.Second},
		"503": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, "503", false, 0},
		"500": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "it answers 500", false, -1},
		"archived": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(410)
			_, _ = io.WriteString(w, "channel_is_archived")
		}, "410 Gone: is its address, or its secret, still the right one?: channel_is_archived", false, -1},
		"invalid": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			_, _ = io.WriteString(w, "invalid_blocks")
		}, "400 Bad Request: invalid_blocks", true, -1},
		"an echo": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(403)
			_, _ = io.WriteString(w, "no: "+r.URL.Path)
		}, "403 Forbidden", false, -1},
		"no ok":    {func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "what? "+r.URL.Path) }, "what?", false, -1},
		"too much": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) }, "larger than 256 KiB", false, -1},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example.com/"+r.URL.Path, http.StatusTemporaryRedirect)
		}, "it redirects to https://evil.example.com", false, -1},
	} {
		n.mu.Lock()
		n.answer, n.asked = c.answer, nil
		n.mu.Unlock()
		err := chat(Slack, slackHook).Send(t.Context(), news("k"))
		says(t, err, "send to the chat", c.says)
		busy, is := errors.AsType[*outbound.BusyError](err)
		if isRefused(err) != c.refused || is != (c.busy >= 0) || is && busy.After != c.busy || len(n.asked) != 1 {
			t.Errorf("%s: %v after %q", name, err, n.asked)
		}
	}
}

func TestAServerOfAnotherCAIsNotTold(t *testing.T) {
	n := newInternet(t, "hooks.slack.com")
	t.Setenv("SSL_CERT_FILE", "/dev/null")
	says(t, chat(Slack, slackHook).Send(t.Context(), news("k")), "add its CA to those of this machine")
	if len(n.asked) != 0 {
		t.Errorf("%q", n.asked)
	}
}

func TestAURLOfAChatThatCannotBeIsNotSentTo(t *testing.T) {
	for raw, c := range map[string]struct {
		service Service
		says    string
	}{
		"":                        {Slack, "does not hold one URL"},
		canary:                    {Slack, "does not hold one URL"},
		slackHook + "\n" + canary: {Slack, "does not hold one URL on one line"},
		teamsHook:                 {Slack, `is of "teams", and not of slack`},
		"https://evil.example.com/services/T/B/" + canary:                    {Slack, "as Slack shows it"},
		"slack://hook:" + canary + "@webhook":                                {Slack, "none that is taken"},
		"smtp://u:" + canary + "@h/?from=a@b&to=c@d":                         {Any, "use a sink of webhook or mail"},
		"logger://" + canary:                                                 {Any, "none that is taken"},
		"nothing://" + canary:                                                {Any, "none that is taken"},
		"rocketchat://hooks.internal:1/a/" + canary + "?disabletls=yes":      {Any, "send to the chat"},
		"generic+https://hooks.internal/" + canary:                           {Any, "none that is taken"},
		"ntfy+https://hooks.internal/" + canary:                              {Any, "none that is taken"},
		"ntfy://h/\x7f" + canary:                                             {Any, "does not hold one URL"},
		"ntfy://127.0.0.1:1/" + canary + "?scheme=http&disabletls=yes":       {Any, "send to the chat"},
		"ntfy://u:" + canary + "@ntfy.internal/x?scheme=http&disabletls=yes": {Any, "leads to one that is not https"},
		"gotify://gotify.internal/Aaa" + canary + "?disabletls=yes":          {Any, "send to the chat"},
		"mattermost://mattermost.internal/" + canary + "xx?disabletls=yes":   {Any, "leads to one that is not https"},
		"discord://" + canary + "@nonumber@x":                                {Any, "send to the chat"},
	} {
		says(t, chat(c.service, raw).Send(t.Context(), news("k")), c.says)
	}
}

func TestAChatThatHangsIsLeft(t *testing.T) {
	came := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(came)
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done() // the process that asked is gone
	}))
	defer s.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	sent := make(chan error, 1)
	go func() {
		sent <- chat(Any, strings.Replace(s.URL, "http", "ntfy", 1)+"/"+canary+"?scheme=http&disabletls=yes").Send(ctx, news("k"))
	}()
	select {
	case <-came:
	case err := <-sent:
		t.Fatal(err)
	}
	cancel(errors.New("enough"))
	says(t, <-sent, "send to the chat: enough")
}

func TestAProcessThatSaysNothingOfUseHasNotSent(t *testing.T) {
	for name, argv := range map[string][]string{"no program": {"/nonexistent/x"}, "another": {"/bin/true"}, "failing": {"/bin/false"}} {
		c := NewChat(Slack, held(slackHook), nil, argv...)
		err := c.Send(t.Context(), news("k"))
		says(t, err, "the process that sends")
		if isRefused(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	says(t, NewChat(Slack, held(slackHook), nil, os.Args[0], "hang").Send(ctx, news("k")), "enough")
}

func TestTheProcessThatSendsIsToldNoSecretsOfOthers(t *testing.T) {
	got := relayed([]string{"HOME=/root", "https_proxy=a", "NO_PROXY=b", "VAULT_TOKEN=" + canary, "SSL_CERT_DIR=c", "NOTIFY_SOCKET=d", "PATH=/bin"})
	if want := []string{"https_proxy=a", "NO_PROXY=b", "SSL_CERT_DIR=c", "PATH=/bin"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if relayed(nil) == nil {
		t.Error("an environment of nothing is that of this process")
	}
}

// TestEveryServiceGoesThroughTheDoor holds each service of shoutrrr to a client of ours:
// a new release of it may bring another service, or one that makes its own.
func TestEveryServiceGoesThroughTheDoor(t *testing.T) {
	urls := map[string]string{
		"bark":       "bark://key@bark.example.com",
		"discord":    "discord://token@1234",
		"gotify":     "gotify://gotify.example.com/Aaa.bbb.ccc.ddd",
		"googlechat": "googlechat://chat.googleapis.com/v1/spaces/FOO/messages?key=bar&token=baz",
		"hangouts":   "hangouts://chat.googleapis.com/v1/spaces/FOO/messages?key=bar&token=baz",
		"ifttt":      "ifttt://key?events=event1",
		"lark":       "lark://open.larksuite.com/token",
		"join":       "join://:apikey@join/?devices=device1",
		"matrix":     "matrix://:token@matrix.example.com/",
		"mattermost": "mattermost://mattermost.example.com/token",
		"notifiarr":  "notifiarr://apikey",
		"ntfy":       "ntfy://ntfy.example.com/topic",
		"opsgenie":   "opsgenie://api.opsgenie.com/token",
		"pagerduty":  "pagerduty://events.pagerduty.com/eb243592faa24ba2a5511afdf565c889",
		"pushbullet": "pushbullet://o.0123456789abcdefghijklmnopqrstuv",
		"pushover":   "pushover://:apitoken@userkey/",
		"rocketchat": "rocketchat://rocketchat.example.com/tokenA/tokenB",
		"signal":     "signal://signal.example.com:8080/+1234567890/+1234567890",
		"slack":      "slack://hook:T00000000-B00000000-xxxxxxxxxxxxxxxxxxxxxxxx@webhook",
		"teams":      teamsHook,
		"telegram":   "telegram://123456789:AABBCCDDEEFFGGHHIIJJKKLLMMNNOOPPQQR@telegram?chats=1",
		"wecom":      "wecom://key",
		"zulip":      "zulip://bot-mail%40zulip.example.com:botkey@zulip.example.com?stream=x&topic=y",
	}
	var r router.ServiceRouter
	before := http.DefaultTransport
	defer func() { http.DefaultTransport = before }()
	for _, service := range r.ListServices() {
		if slices.Contains([]string{"smtp", "logger", "generic"}, service) {
			if named(service) != nil {
				t.Errorf("%s is taken", service)
			}
			continue
		}
		raw, known := urls[service]
		if !known {
			t.Errorf("%s is new: does it go through the door?", service)
			continue
		}
		counted := &counting{}
		d := &door{next: counted, fault: make(chan error, 1)}
		http.DefaultTransport = d
		err := caught(func() error { return d.send(order{URL: raw, Title: "x", Text: "y"}) }) // not each of them bears a server that is gone
		if counted.n == 0 {
			t.Errorf("%s asks past the door, or nothing: %v", service, err)
		}
	}
}

type counting struct{ n int }

func (c *counting) RoundTrip(*http.Request) (*http.Response, error) {
	c.n++
	return nil, fmt.Errorf("nobody is there")
}
