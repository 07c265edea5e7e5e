//go:build linux

package e2e

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// receivers are where news of a fleet go: a webhook that checks signatures, and a mail
// server.
type receivers struct {
	key []byte

	mu     sync.Mutex
	posted []string // "KIND TITLE" of what was signed as it should be
	forged int
	mails  []string
}

// receivers listens in the network of the rig, and is what reconciler.yaml says of it.
func (r *Rig) receivers() (got *receivers, settings string) {
	r.t.Helper()
	got = &receivers{key: []byte("a key of thirty-two bytes or more")}
	hook, err := r.Listen("127.0.0.1:9190")
	r.must(err)
	server := &http.Server{Handler: got, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(hook) }()
	mails, err := r.Listen("127.0.0.1:9125")
	r.must(err)
	go func() {
		for {
			conn, err := mails.Accept()
			if err != nil {
				return
			}
			go got.mail(conn)
		}
	}()
	r.t.Cleanup(func() { _ = server.Close(); _ = mails.Close() })
	secret := filepath.Join(r.Dir, "news.secret")
	r.must(os.WriteFile(secret, []byte("whsec_"+base64.StdEncoding.EncodeToString(got.key)+"\n"), 0o600))
	return got, fmt.Sprintf(`notify:
  board: {forge_issue: {}}
  hook: {webhook: {url: "http://127.0.0.1:9190/news", secret_file: %s}}
  ops: {mail: {server: "127.0.0.1:9125", tls: none, from: "reconciler@example.com", to: ["ops@example.com"]}}
drift_reports: [{cron: "0 4 * * *", timezone: UTC, sinks: [board, hook, ops]}]
`, secret)
}

// ServeHTTP takes what is signed (Standard Webhooks, "Verifying signatures").
func (r *receivers) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(q.Body, 4<<20))
	mac := hmac.New(sha256.New, r.key)
	mac.Write([]byte(q.Header.Get("Webhook-Id") + "." + q.Header.Get("Webhook-Timestamp") + "." + string(body)))
	signed := q.Header.Get("Webhook-Signature") == "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil))
	var said struct{ Kind, Title string }
	r.mu.Lock()
	defer r.mu.Unlock()
	if !signed || json.Unmarshal(body, &said) != nil {
		r.forged++
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	r.posted = append(r.posted, said.Kind+" "+said.Title)
}

// mail is a mail server for one connection (RFC 5321).
func (r *receivers) mail(conn net.Conn) {
	defer conn.Close()
	in, say := bufio.NewScanner(conn), func(line string) { fmt.Fprintf(conn, "%s\r\n", line) }
	say("220 mail.example.com")
	for in.Scan() {
		switch word, _, _ := strings.Cut(strings.ToUpper(in.Text()), " "); word {
		case "DATA":
			say("354 go on")
			var text strings.Builder
			for in.Scan() && in.Text() != "." {
				text.WriteString(in.Text() + "\n")
			}
			r.mu.Lock()
			r.mails = append(r.mails, text.String())
			r.mu.Unlock()
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 fine")
		}
	}
}

// has says that a webhook and a mail of it came.
func (r *receivers) has(kind, title string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	posted, mailed := false, false
	for _, p := range r.posted {
		posted = posted || strings.HasPrefix(p, kind+" ") && strings.Contains(p, title)
	}
	for _, m := range r.mails {
		mailed = mailed || strings.Contains(m, title)
	}
	return posted && mailed
}

// issue is one of the forge.
type issue struct {
	Number      int
	Title, Body string
	State       string
	User        struct{ Login string }
}

// issues are those of the reconciler.
func (f *forgeLab) issues() (ours []issue) {
	f.lab.t.Helper()
	var all []issue
	f.Do(f.ada, "GET", "/repos/"+f.project+"/issues?type=issues&state=all", nil, &all)
	for _, i := range all {
		if i.User.Login == f.bot.Name {
			ours = append(ours, i)
		}
	}
	return ours
}

// toldOfDrift changes a node by hand, and follows how people are told: in one issue, by
// mail and by a webhook, once when it is sure and once when it is gone.
func (f *forgeLab) toldOfDrift(t *testing.T, d *daemon, got *receivers) {
	n := f.lab.Nodes[1]
	n.Must("chmod 0644 /etc/vault.d/tls/vault.key")
	d.until("an issue of the drift", func() bool {
		ours := f.issues()
		return len(ours) == 1 && ours[0].State == "open" && strings.Contains(ours[0].Body, "vault.key")
	})
	d.until("a webhook and a mail of the drift", func() bool { return got.has("new", "prod: 1 drift, critical") })
	d.until("the issue to be closed once it is put back", func() bool {
		ours := f.issues()
		return len(ours) == 1 && ours[0].State == "closed"
	})
	d.until("a webhook and a mail that it is gone", func() bool { return got.has("resolved", "prod: 1 drift gone") })
	if mode := strings.TrimSpace(n.Must("stat -L -c %a /etc/vault.d/tls/vault.key")); mode != "640" {
		t.Errorf("it is told to be gone, and the mode is %s", mode)
	}
	got.mu.Lock()
	defer got.mu.Unlock()
	if len(got.posted) != 2 || len(got.mails) != 2 || got.forged > 0 {
		t.Errorf("%d webhooks, %d mails, %d with a wrong signature: %q", len(got.posted), len(got.mails), got.forged, got.posted)
	}
}

// approvedWhereRead has a cluster ask for an approval, which an operator gives on the
// pull request, and nobody else can.
func (f *forgeLab) approvedWhereRead(t *testing.T, d *daemon) {
	l := f.lab
	spec := l.spec("  log_level: warn\n  ui: true") + "rollout: {approval: operators}\n"
	p := f.proposes("approved", spec, "log less, with an approval")
	f.answered(p.Number, "approval: operators has not approved this plan", "/reconciler approve "+p.Head.Sha[:12])
	f.Say(f.mallory, f.project, p.Number, "/reconciler approve "+p.Head.Sha)
	f.answered(p.Number, "only who may write to the repo is heard")
	f.Say(f.ada, f.project, p.Number, "/reconciler approve "+p.Head.Sha)
	f.answered(p.Number, "approved for prod", "approved by ada on pull request")
	f.Gitea.Merge(f.ada, f.project, p.Number, "merge")
	f.answered(p.Number, "✅", "applied in 1 of 1 cluster")

	p = f.proposes("unapproved", strings.Replace(spec, "warn", "info", 1), "log more, without one")
	f.answered(p.Number, "approval: operators has not approved this plan")
	f.Gitea.Merge(f.ada, f.project, p.Number, "merge")
	d.says("reason=approval", "reconciler approve prod")
	l.want(l.run(0, "status").Stdout, "waits    approval: operators has not approved this plan")
	l.want(l.run(0, "approve", "prod", "--yes", "--reason", "it is fine").Stdout, "Approved by", "node-1 reload")
	f.answered(p.Number, "✅", "applied in 1 of 1 cluster")
	l.inSync()
}
