//go:build linux

package main

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultfleet/reconciler/internal/git/gittest"
)

// BenchmarkIdleDaemon is what `reconciler run` has in memory while it keeps 100
// clusters of three nodes: the process itself, a repo, its clone and its state
// folder, and a connection to each of 300 SSH servers, which it keeps. These let
// anybody in, and their shell does nothing, so that what a look would find is not
// in it.
func BenchmarkIdleDaemon(b *testing.B) {
	const clusters = 100
	program, dir := buildProgram(b), b.TempDir()
	repo := filepath.Join(dir, "fleet")
	nodes := newManyHosts(b)
	names := layMany(b, repo, clusters, nodes)
	gittest.Run(b, repo, "", "init", "--quiet", "--initial-branch=main")
	gittest.Run(b, repo, "", "add", "--all")
	gittest.Run(b, repo, "", "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "--quiet", "-m", "many")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(b, err)
	address := l.Addr().String()
	check(b, l.Close())
	check(b, os.Mkdir(filepath.Join(dir, "keys"), 0o700))
	check(b, os.WriteFile(filepath.Join(dir, "reconciler.yaml"), []byte(fmt.Sprintf(`fleets: [{repo: fleet, interval: 30s}]
http: {listen: %q}
state: state
key_stores: [keys]
trust: {known_hosts: known_hosts, networks: [127.0.0.0/8], modes: {"*": enforce}, roots: [/opt/vault, /etc/vault.d, /var/log/vault, /usr/local/bin, /etc/systemd/system], services: [vault], users: [vault, root], releases: [/srv/releases]}
ssh: {key: id}
`, address)), 0o600))
	var log bytes.Buffer
	cmd := exec.Command(program, "run")
	cmd.Dir, cmd.Stderr = dir, &log
	cmd.Env = append([]string{"GOGC=50"}, os.Environ()...) // as the unit has it, unless somebody compares
	check(b, cmd.Start())
	ended := false
	end := func() {
		if !ended {
			ended = true
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
		}
	}
	defer end()
	for start := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		answer, err := http.Get("http://" + address + "/readyz")
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Since(start) > time.Minute {
			end()
			b.Fatalf("it is not ready\n%s", &log)
		}
	}
	for b.Loop() {
		time.Sleep(75 * time.Second) // it has looked at each three times
	}
	rss, peak, own := resident(b, cmd.Process.Pid)
	b.ReportMetric(float64(nodes.open.Load()), "connections")
	b.ReportMetric(rss, "MiB-resident")
	b.ReportMetric(own, "MiB-own") // without pages of the program's file, which go when others need room
	b.ReportMetric(peak, "MiB-peak")
	end()
	for _, name := range names {
		if !strings.Contains(log.String(), "cluster="+name+" node=eu-3 phase=parse") {
			b.Fatalf("%s was not looked at\n%.4000s", name, &log)
		}
	}
}

// buildProgram builds what is released.
func buildProgram(b *testing.B) string {
	b.Helper()
	program := filepath.Join(b.TempDir(), "reconciler")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return program
}

// layMany writes a fleet repo of many clusters.
func layMany(b testing.TB, repo string, clusters int, nodes *manyHosts) (names []string) {
	b.Helper()
	files := material(b)
	check(b, lay(filepath.Join(repo, "fleet.yaml"), files["fleet.yaml"]))
	check(b, lay(filepath.Join(repo, "vault.lock"), files["vault.lock"]))
	check(b, os.WriteFile(filepath.Join(repo, "..", "id"), sshKey(b), 0o600))
	var known strings.Builder
	for i := range clusters {
		for n := range 3 {
			fmt.Fprintf(&known, "[127.1.%d.%d]:%d %s", i, 11+n, nodes.port, nodes.key)
		}
		name := fmt.Sprintf("prod-%03d", i)
		names = append(names, name)
		for path, body := range files {
			rest, ok := strings.CutPrefix(path, "clusters/prod/")
			if !ok {
				continue
			}
			body = strings.Replace(body, "cluster: prod\n", "cluster: "+name+"\nrules: learning\n", 1)
			for n := range 3 {
				body = strings.Replace(body, fmt.Sprintf("address: 10.1.0.%d,", 11+n),
					fmt.Sprintf("address: 10.1.%[1]d.%[2]d, ssh: {address: 127.1.%[1]d.%[2]d, port: %[3]d},", i, 11+n, nodes.port), 1)
			}
			check(b, lay(filepath.Join(repo, "clusters", name, rest), body))
		}
	}
	check(b, os.WriteFile(filepath.Join(repo, "..", "known_hosts"), []byte(known.String()), 0o600))
	return names
}

// manyHosts are SSH servers at every address of 127.0.0.0/8, as many as anybody wants.
type manyHosts struct {
	port int
	key  string // as known_hosts has it
	open atomic.Int64
}

func newManyHosts(b *testing.B) *manyHosts {
	b.Helper()
	signer, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	check(b, err)
	config := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }}
	config.AddHostKey(signer)
	l, err := net.Listen("tcp4", "0.0.0.0:0") // of all of loopback; it lives for the benchmark
	check(b, err)
	b.Cleanup(func() { l.Close() })
	s := &manyHosts{port: l.Addr().(*net.TCPAddr).Port, key: string(ssh.MarshalAuthorizedKey(signer.PublicKey()))}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn, config)
		}
	}()
	return s
}

// serve lets in whoever comes, and ends every command without a word.
func (s *manyHosts) serve(conn net.Conn, config *ssh.ServerConfig) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	s.open.Add(1)
	defer s.open.Add(-1)
	go func() {
		for r := range requests {
			_ = r.Reply(true, nil)
		}
	}()
	for c := range channels {
		if c.ChannelType() != "session" {
			_ = c.Reject(ssh.Prohibited, "no")
			continue
		}
		channel, wanted, err := c.Accept()
		if err != nil {
			return
		}
		go func() {
			defer channel.Close()
			for r := range wanted {
				_ = r.Reply(r.Type == "exec", nil)
				if r.Type == "exec" {
					_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{0}))
					return
				}
			}
		}()
	}
}

// resident is what a process has in memory, what it had at most, and what of it is its
// own and no page of a file, in MiB.
func resident(b *testing.B, pid int) (now, peak, own float64) {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	check(b, err)
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		switch {
		case err != nil:
		case key == "VmRSS":
			now = kib / 1024
		case key == "VmHWM":
			peak = kib / 1024
		case key == "RssAnon":
			own = kib / 1024
		}
	}
	return now, peak, own
}
