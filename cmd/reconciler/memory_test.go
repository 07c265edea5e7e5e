//go:build linux

package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/md5"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultfleet/reconciler/internal/git/gittest"
	nodes "github.com/vaultfleet/reconciler/internal/host"
)

// BenchmarkIdleDaemon is what `reconciler run` has in memory while it keeps 100
// clusters of three nodes: the process itself, a repo, its clone and its state
// folder, and a connection to each of 300 SSH servers, which it keeps. These let
// anybody in and answer as a host does that is prepared and has no Vault yet.
func BenchmarkIdleDaemon(b *testing.B) {
	const clusters = 100
	program, dir := buildProgram(b), b.TempDir()
	repo := filepath.Join(dir, "fleet")
	hosts := newManyHosts(b)
	layMany(b, repo, clusters, hosts)
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
trust: {known_hosts: known_hosts, networks: [127.0.0.0/8], modes: {"*": observe}, roots: [/opt/vault, /etc/vault.d, /var/log/vault, /usr/local/bin, /etc/systemd/system], services: [vault], users: [vault, root], releases: [/srv/releases]}
ssh: {key: id}
`, address)), 0o600))
	var log bytes.Buffer
	group, charged := memoryGroup(b)
	cmd := exec.Command("/bin/sh", "-c", `[ -z "$1" ] || echo $$ >"$1/cgroup.procs"; exec "$0" run`, program, group)
	cmd.Dir, cmd.Stderr = dir, &log
	cmd.Env = append([]string{"GOGC=25"}, os.Environ()...) // as the unit has it, unless somebody compares
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
		time.Sleep(40 * time.Second) // it has looked at each twice
		forgetTouched(b, cmd.Process.Pid)
		time.Sleep(35 * time.Second) // and looks once more
	}
	status, touched := mebibytes(b, cmd.Process.Pid, "status"), mebibytes(b, cmd.Process.Pid, "smaps_rollup")
	b.ReportMetric(float64(hosts.open.Load()), "connections")
	b.ReportMetric(status["VmRSS"], "MiB-resident")
	b.ReportMetric(status["RssAnon"], "MiB-own")         // without pages of the program's file, which go when others need room
	b.ReportMetric(touched["Referenced"], "MiB-touched") // by a whole round of looks, of both
	b.ReportMetric(status["VmHWM"], "MiB-peak")
	if group != "" {
		b.ReportMetric(charged(), "MiB-charged") // as systemctl status has it
	}
	end()
	b.ReportMetric((cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), "cpu-s")
	looked := 0
	hosts.looked.Range(func(any, any) bool { looked++; return true })
	if looked != 3*clusters {
		b.Fatalf("%d nodes were looked at\n%.4000s", looked, &log)
	}
}

// buildProgram builds what is released, as the Dockerfile does.
func buildProgram(b *testing.B) string {
	b.Helper()
	program := filepath.Join(b.TempDir(), "reconciler")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
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
	port   int
	key    string // as known_hosts has it
	open   atomic.Int64
	looked sync.Map // addresses
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

// serve lets in whoever comes, and answers the installed node script's calls.
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
					_, _ = io.WriteString(channel, s.answer(conn.LocalAddr(), r.Payload))
					_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{0}))
					return
				}
			}
		}()
	}
}

// answer is what the node script of the host at an address says to a look: nothing
// that was asked for is there. Other calls end without a word.
func (s *manyHosts) answer(at net.Addr, exec []byte) string {
	var call struct{ Command string }
	if ssh.Unmarshal(exec, &call) != nil {
		return ""
	}
	words := strings.Fields(call.Command)
	verb := slices.Index(words, "probe")
	if verb < 0 || verb+1 >= len(words) {
		return ""
	}
	s.looked.Store(at.String(), true)
	nonce, questions := words[verb+1], words[verb+2:]
	var b strings.Builder
	_, digest := nodes.Script()
	fmt.Fprintf(&b, "begin %s 1\nuid\t=0\nmachine-id\t=%x\nboot-id\t=b007\nplatform\t=Linux x86_64\nclock\t=%d.0\nscript\t=%s\nunit LoadState\t=not-found\ndata\t=absent\n",
		nonce, md5.Sum([]byte(at.String())), time.Now().Unix(), strings.TrimPrefix(digest, "sha256:"))
	for _, q := range questions {
		switch key, value, _ := strings.Cut(strings.Trim(q, "'"), "="); key {
		case "config", "certificate", "file", "binary":
			fmt.Fprintf(&b, "absent %s\t=\n", value)
		case "user", "group":
			fmt.Fprintf(&b, "%s %s\t=0\n", key, value)
		case "peer":
			fmt.Fprintf(&b, "peer %s\t=refused\n", value)
		case "free":
			fmt.Fprintf(&b, "free %s\t=1000000 4096\n", value)
		}
	}
	fmt.Fprintf(&b, "end %s\n", nonce)
	return b.String()
}

// memoryGroup makes a control group and says what is charged to it, in MiB: what its
// processes and the kernel for them have, and those pages of files that they were the
// first to read. Without root, or without groups that count memory, it is "".
func memoryGroup(b *testing.B) (dir string, charged func() float64) {
	b.Helper()
	for _, v := range []struct{ root, usage string }{{"/sys/fs/cgroup/memory", "memory.usage_in_bytes"}, {"/sys/fs/cgroup", "memory.current"}} {
		dir, err := os.MkdirTemp(v.root, "idle-daemon-")
		if err != nil {
			continue
		}
		b.Cleanup(func() { check(b, os.Remove(dir)) })
		usage := filepath.Join(dir, v.usage)
		if _, err := os.Stat(usage); err != nil {
			continue
		}
		return dir, func() float64 {
			text, err := os.ReadFile(usage)
			check(b, err)
			n, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
			check(b, err)
			return n / (1 << 20)
		}
	}
	return "", nil
}

// forgetTouched makes the kernel note anew which pages a process uses (proc(5), clear_refs).
func forgetTouched(b *testing.B, pid int) {
	b.Helper()
	check(b, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("1"), 0))
}

// mebibytes are the sizes that a file of /proc/PID tells, in MiB.
func mebibytes(b *testing.B, pid int, file string) map[string]float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	check(b, err)
	sizes := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		number, inKiB := strings.CutSuffix(strings.TrimSpace(value), " kB")
		if kib, err := strconv.ParseFloat(number, 64); err == nil && inKiB {
			sizes[key] = kib / 1024
		}
	}
	return sizes
}
