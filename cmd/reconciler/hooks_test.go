//go:build linux

package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// listens has a script's daemon hear webhooks, and poll so seldom that what comes
// about comes of a hook. Where is in $HOOKS, and in $HTTP where it tells how it goes. It
// is so until the script ends.
func listens(ts *testscript.TestScript, _ bool, _ []string) {
	s := stageOf(ts)
	for _, name := range []string{"HOOKS", "HTTP"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		ts.Setenv(name, l.Addr().String())
		ts.Check(l.Close())
	}
	secret := filepath.Join(s.Dir, "hook.secret")
	ts.Check(os.WriteFile(secret, []byte("the-secret-of-the-hooks\n"), 0o600))
	before := ts.ReadFile(s.Config)
	ts.Defer(func() { ts.Check(os.WriteFile(s.Config, []byte(before), 0o600)) })
	text := strings.Replace(before, "interval: 2s", "interval: 1h", 1)
	text += fmt.Sprintf("webhook: {listen: %q, secret_file: %s}\nhttp: {listen: %q}\n", ts.Getenv("HOOKS"), secret, ts.Getenv("HTTP"))
	ts.Check(os.WriteFile(s.Config, []byte(text), 0o600))
}

// hook_ sends what a forge sends after a push: hook CODE BRANCH SECRET
func hook_(ts *testscript.TestScript, _ bool, args []string) {
	body := fmt.Sprintf(`{"ref":"refs/heads/%s"}`, args[1])
	mac := hmac.New(sha256.New, []byte(args[2]))
	mac.Write([]byte(body))
	r, err := http.NewRequest(http.MethodPost, "http://"+ts.Getenv("HOOKS")+"/hook", strings.NewReader(body))
	ts.Check(err)
	r.Header.Set("X-GitHub-Event", "push")
	r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	answer, err := http.DefaultClient.Do(r)
	ts.Check(err)
	answer.Body.Close()
	if fmt.Sprint(answer.StatusCode) != args[0] {
		ts.Fatalf("the hook is answered %s, want %s", answer.Status, args[0])
	}
}

// taken takes the place of the webhooks until the script ends.
func taken(ts *testscript.TestScript, _ bool, _ []string) {
	l, err := net.Listen("tcp", ts.Getenv("HOOKS"))
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
}
