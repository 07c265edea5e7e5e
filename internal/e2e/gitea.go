//go:build linux

package e2e

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A Gitea is a forge on the reconciler's side of the switch, with certificates of
// the rig's CA. It is gone with the rig.
type Gitea struct {
	URL  string // https://127.0.0.1:PORT
	CA   string // PEM file
	dir  string
	rig  *Rig
	http *http.Client
	root Login // may do everything
}

// Login is somebody on the forge.
type Login struct {
	Name, Password, Token string
}

// giteaPort is the same in every rig: each has a namespace of its own.
const giteaPort = "3000"

// Gitea starts a forge, and returns when it answers.
func (r *Rig) Gitea() *Gitea {
	r.t.Helper()
	built, err := recipe("gitea")
	r.must(err)
	g := &Gitea{URL: "https://127.0.0.1:" + giteaPort, dir: filepath.Join(r.Dir, "gitea"), rig: r}
	g.CA = filepath.Join(g.dir, "ca.crt")
	g.http = &http.Client{Timeout: time.Minute, Transport: &http.Transport{DialContext: r.Dial, TLSClientConfig: &tls.Config{RootCAs: r.CA.Pool}}}
	r.t.Cleanup(g.http.CloseIdleConnections)
	r.must(os.MkdirAll(g.dir, 0o700))
	cert, key, err := r.CA.Issue("127.0.0.1")
	r.must(err)
	for name, text := range map[string]string{"ca.crt": string(r.CA.PEM), "tls.crt": string(cert), "tls.key": string(key), "app.ini": g.settings(built)} {
		r.must(os.WriteFile(filepath.Join(g.dir, name), []byte(text), 0o600))
	}
	web := g.operator().start(filepath.Join(built, "gitea"), g.args("web"))
	r.must(Until("Gitea to answer", 2*time.Minute, func() bool {
		select {
		case <-web.Done:
			r.t.Fatalf("Gitea ended\n%s%s", web.Stdout(), web.Stderr())
		default:
		}
		answer, err := g.http.Get(g.URL + "/api/v1/version")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}))
	made := g.operator().Other(filepath.Join(built, "gitea"), g.args("admin", "user", "create", "--username", "hostmaster", "--random-password",
		"--email", "hostmaster@example.com", "--admin", "--must-change-password=false", "--access-token", "--access-token-name", "all", "--access-token-scopes", "all")...)
	for line := range strings.Lines(made.Stdout) {
		if _, token, ok := strings.Cut(line, "Access token was successfully created... "); ok {
			g.root = Login{Name: "hostmaster", Token: strings.TrimSpace(token)}
		}
	}
	if made.Code != 0 || g.root.Token == "" {
		r.t.Fatalf("make Gitea's first account: %d\n%s\n%s", made.Code, made.Stdout, made.Stderr)
	}
	return g
}

// operator is who runs programs of the forge and of its users.
func (g *Gitea) operator(env ...string) Operator {
	return g.rig.Operator(g.dir, append([]string{"GITEA_I_AM_BEING_UNSAFE_RUNNING_AS_ROOT=true"}, env...)...)
}

func (g *Gitea) args(args ...string) []string {
	return append([]string{"--work-path", g.dir, "--config", filepath.Join(g.dir, "app.ini")}, args...)
}

func (g *Gitea) settings(built string) string {
	return `RUN_MODE = prod
RUN_USER = root
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
[server]
PROTOCOL = https
HTTP_ADDR = 127.0.0.1
HTTP_PORT = ` + giteaPort + `
ROOT_URL = ` + g.URL + `/
CERT_FILE = ` + filepath.Join(g.dir, "tls.crt") + `
KEY_FILE = ` + filepath.Join(g.dir, "tls.key") + `
DISABLE_SSH = true
OFFLINE_MODE = true
STATIC_ROOT_PATH = ` + filepath.Join(built, "static") + `
[database]
DB_TYPE = sqlite3
PATH = ` + filepath.Join(g.dir, "gitea.db") + `
[security]
INSTALL_LOCK = true
[webhook]
ALLOWED_HOST_LIST = loopback
[repository]
DEFAULT_BRANCH = main
[indexer]
ISSUE_INDEXER_TYPE = db
[actions]
ENABLED = false
[log]
LEVEL = warn
MODE = console
`
}

// Do asks the API as somebody; into may be nil. An answer that is no success fails
// the test.
func (g *Gitea) Do(as Login, method, path string, body, into any) {
	g.rig.t.Helper()
	status, answer := g.try(as, method, path, body)
	if status/100 != 2 {
		g.rig.t.Fatalf("%s %s as %s: %d %s", method, path, as.Name, status, answer)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			g.rig.t.Fatalf("%s %s: %v in %s", method, path, err, answer)
		}
	}
}

func (g *Gitea) try(as Login, method, path string, body any) (int, []byte) {
	g.rig.t.Helper()
	var sent io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		g.rig.must(err)
		sent = bytes.NewReader(b)
	}
	request, err := http.NewRequestWithContext(g.rig.t.Context(), method, g.URL+"/api/v1"+path, sent)
	g.rig.must(err)
	request.Header.Set("Content-Type", "application/json")
	if as.Token != "" {
		request.Header.Set("Authorization", "token "+as.Token)
	} else {
		request.SetBasicAuth(as.Name, as.Password)
	}
	answer, err := g.http.Do(request)
	g.rig.must(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	g.rig.must(err)
	return answer.StatusCode, text
}

// Account makes somebody, with a token that may do all that they may.
func (g *Gitea) Account(name string) Login {
	g.rig.t.Helper()
	a := Login{Name: name, Password: "of " + name + " 4711"}
	g.Do(g.root, "POST", "/admin/users", map[string]any{"username": name, "email": name + "@example.com", "password": a.Password, "must_change_password": false}, nil)
	var made struct{ Sha1 string }
	g.Do(a, "POST", "/users/"+name+"/tokens", map[string]any{"name": "all", "scopes": []string{"all"}}, &made)
	a.Token = made.Sha1
	return a
}

// Push pushes a branch of a checkout as somebody, whose token is not in argv.
func (g *Gitea) Push(as Login, checkout, project string, refs ...string) {
	g.rig.t.Helper()
	askpass, password := filepath.Join(g.dir, "askpass"), filepath.Join(g.dir, as.Name+".token")
	g.rig.must(os.WriteFile(password, []byte(as.Token), 0o600))
	g.rig.must(os.WriteFile(askpass, []byte("#!/bin/sh\nexec cat \"$PASSWORD\"\n"), 0o700))
	url := strings.Replace(g.URL, "https://", "https://"+as.Name+"@", 1) + "/" + project + ".git"
	done := g.operator("GIT_ASKPASS="+askpass, "PASSWORD="+password, "GIT_SSL_CAINFO="+g.CA, "GIT_TERMINAL_PROMPT=0").
		Other("git", append([]string{"-C", checkout, "push", "--quiet", "--force", url}, refs...)...)
	if done.Code != 0 {
		g.rig.t.Fatalf("git push: %s", done.Stderr)
	}
}

// Edit commits a file through the API, onto a new branch where branch is another
// than from.
func (g *Gitea) Edit(as Login, project, from, branch, path, text, message string) {
	g.rig.t.Helper()
	body := map[string]any{"branch": from, "message": message, "content": base64.StdEncoding.EncodeToString([]byte(text))}
	if branch != from {
		body["new_branch"] = branch
	}
	var old struct{ Sha string }
	method := "POST"
	if status, answer := g.try(as, "GET", "/repos/"+project+"/contents/"+path+"?ref="+from, nil); status == http.StatusOK {
		g.rig.must(json.Unmarshal(answer, &old))
		body["sha"], method = old.Sha, "PUT"
	}
	g.Do(as, method, "/repos/"+project+"/contents/"+path, body, nil)
}

// A PullRequest as Gitea tells it.
type PullRequest struct {
	Number         int
	MergeCommitSHA string `json:"merge_commit_sha"`
	Head           struct{ Sha string }
}

// Open opens a pull request; head may be OWNER:BRANCH of a fork.
func (g *Gitea) Open(as Login, project, head, title string) PullRequest {
	g.rig.t.Helper()
	var p PullRequest
	g.Do(as, "POST", "/repos/"+project+"/pulls", map[string]any{"head": head, "base": "main", "title": title}, &p)
	return p
}

// Pull asks for a pull request.
func (g *Gitea) Pull(project string, number int) PullRequest {
	g.rig.t.Helper()
	var p PullRequest
	g.Do(g.root, "GET", fmt.Sprintf("/repos/%s/pulls/%d", project, number), nil, &p)
	return p
}

// Merge merges a pull request, once the forge has found out that it can.
func (g *Gitea) Merge(as Login, project string, number int, style string) {
	g.rig.t.Helper()
	g.rig.must(Until("a pull request to be merged", time.Minute, func() bool {
		status, _ := g.try(as, "POST", fmt.Sprintf("/repos/%s/pulls/%d/merge", project, number), map[string]any{"Do": style})
		return status/100 == 2
	}))
}

// A Said is a comment.
type Said struct {
	ID   int64
	Body string
	User struct{ Login string }
}

// Comments are what was said, oldest first.
func (g *Gitea) Comments(project string, number int) (all []Said) {
	g.rig.t.Helper()
	g.Do(g.root, "GET", fmt.Sprintf("/repos/%s/issues/%d/comments", project, number), nil, &all)
	return all
}

// Say comments.
func (g *Gitea) Say(as Login, project string, number int, body string) {
	g.rig.t.Helper()
	g.Do(as, "POST", fmt.Sprintf("/repos/%s/issues/%d/comments", project, number), map[string]any{"body": body}, nil)
}

// Statuses are the newest of each context, as "STATE DESCRIPTION".
func (g *Gitea) Statuses(project, commit string) map[string]string {
	g.rig.t.Helper()
	var combined struct {
		Statuses []struct{ Context, Status, Description string }
	}
	g.Do(g.root, "GET", "/repos/"+project+"/commits/"+commit+"/status", nil, &combined)
	all := map[string]string{}
	for _, s := range combined.Statuses {
		all[s.Context] = s.Status + " " + s.Description
	}
	return all
}

// Page is the page of a pull request as somebody who is not logged in sees it.
func (g *Gitea) Page(project string, number int) string {
	g.rig.t.Helper()
	answer, err := g.http.Get(fmt.Sprintf("%s/%s/pulls/%d", g.URL, project, number))
	g.rig.must(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	g.rig.must(err)
	return string(text)
}
