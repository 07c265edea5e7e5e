package wire_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vaultfleet/reconciler/internal/git/gittest"
	"github.com/vaultfleet/reconciler/internal/git/wire"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// repository is a bare one that the git program made.
type repository struct {
	t   testing.TB
	dir string
}

func newRepository(t testing.TB) repository {
	t.Helper()
	r := repository{t, filepath.Join(t.TempDir(), "it's a fleet.git")}
	must(t, os.Mkdir(r.dir, 0o755))
	r.git("", "init", "-q", "--bare", "-b", "main")
	return r
}

func (r repository) git(stdin string, args ...string) string {
	r.t.Helper()
	return strings.TrimSpace(gittest.Run(r.t, r.dir, stdin, args...))
}

// commit adds one to a branch.
func (r repository) commit(branch, content string) string {
	r.t.Helper()
	blob := r.git(content, "hash-object", "-w", "--stdin")
	tree := r.git("100644 blob "+blob+"\tfleet.yaml\n", "mktree")
	args := []string{"commit-tree", "-m", content, tree}
	if parent, err := os.ReadFile(filepath.Join(r.dir, "refs/heads", branch)); err == nil {
		args = append(args, "-p", strings.TrimSpace(string(parent)))
	}
	commit := r.git("", args...)
	r.git("", "update-ref", "refs/heads/"+branch, commit)
	return commit
}

// crowd gives the repository so many more branches, at once: git itself would make a
// file for each, and pack them then.
func (r repository) crowd(n int) {
	r.t.Helper()
	at := r.git("", "rev-parse", "main")
	var packed strings.Builder
	for i := range n {
		fmt.Fprintf(&packed, "%s refs/heads/crowd/%05d\n", at, i)
	}
	must(r.t, os.WriteFile(filepath.Join(r.dir, "packed-refs"), []byte(packed.String()), 0o644))
	r.git("", "pack-refs", "--all")
	if got := strings.Count(r.git("", "for-each-ref", "refs/heads/crowd"), "\n") + 1; got != n {
		r.t.Fatalf("git knows %d of %d branches", got, n)
	}
}

// webServer serves a repository by git's own http-backend.
type webServer struct {
	*httptest.Server
	backend http.Handler
	// front answers in place of the backend, where it says so.
	front func(w http.ResponseWriter, r *http.Request) (answered bool)

	connections atomic.Int64 // that were made

	mu       sync.Mutex
	requests []string
	sent     int // bytes of bodies
	logins   []string
}

func serve(t testing.TB, r repository) *webServer {
	t.Helper()
	s := &webServer{backend: gittest.Backend(t, filepath.Dir(r.dir))}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *webServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+r.URL.Path)
	s.logins = append(s.logins, user+":"+password)
	s.mu.Unlock()
	counted := &counting{ResponseWriter: w, s: s}
	if s.front != nil && s.front(counted, r) {
		return
	}
	s.backend.ServeHTTP(counted, r)
}

type counting struct {
	http.ResponseWriter
	s *webServer
}

func (c *counting) Write(p []byte) (int, error) {
	c.s.mu.Lock()
	c.s.sent += len(p)
	c.s.mu.Unlock()
	return c.ResponseWriter.Write(p)
}

// spent is what was asked and sent since the last time.
func (s *webServer) spent() (requests []string, sent int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests, sent = s.requests, s.sent
	s.requests, s.sent, s.logins = nil, 0, nil
	return requests, sent
}

func (s *webServer) open(t testing.TB, r repository, o wire.Options) *wire.HTTPS {
	t.Helper()
	o.Roots = x509.NewCertPool()
	o.Roots.AddCert(s.Certificate())
	h := wire.NewHTTPS(s.URL+"/"+strings.ReplaceAll(filepath.Base(r.dir), " ", "%20"), o)
	return h
}

// shell is a host that lets us run commands, as sshd does for git.
func shell(ctx context.Context, command string, stdin io.Reader, stdout io.Writer) error {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Stdin, cmd.Stdout = stdin, stdout
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return nil
}
