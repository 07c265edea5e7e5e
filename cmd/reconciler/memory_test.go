//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/git/gittest"
)

// BenchmarkIdleDaemon is what `reconciler run` has in memory while it keeps 100
// clusters of three nodes: the process itself, a repo, its clone and its state
// folder. Its nodes may not be dialled, so what connections take is not in it.
func BenchmarkIdleDaemon(b *testing.B) {
	const clusters = 100
	program, dir := buildProgram(b), b.TempDir()
	repo := filepath.Join(dir, "fleet")
	names := layMany(b, repo, clusters)
	gittest.Run(b, repo, "", "init", "--quiet", "--initial-branch=main")
	gittest.Run(b, repo, "", "add", "--all")
	gittest.Run(b, repo, "", "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "--quiet", "-m", "many")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(b, err)
	address := l.Addr().String()
	check(b, l.Close())
	check(b, os.Mkdir(filepath.Join(dir, "keys"), 0o700))
	check(b, os.WriteFile(filepath.Join(dir, "known_hosts"), nil, 0o600))
	check(b, os.WriteFile(filepath.Join(dir, "reconciler.yaml"), []byte(fmt.Sprintf(`fleets: [{repo: fleet, interval: 1s}]
http: {listen: %q}
state: state
key_stores: [keys]
trust: {known_hosts: known_hosts, networks: [10.255.0.0/16], modes: {"*": enforce}, roots: [/opt/vault, /etc/vault.d, /var/log/vault, /usr/local/bin, /etc/systemd/system], services: [vault], users: [vault, root], releases: [/srv/releases]}
ssh: {key: id}
`, address)), 0o600))
	var log bytes.Buffer
	cmd := exec.Command(program, "run")
	cmd.Dir, cmd.Stderr = dir, &log
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
		time.Sleep(20 * time.Second) // it has looked at each many times
	}
	rss, peak := resident(b, cmd.Process.Pid)
	b.ReportMetric(rss, "MiB-resident")
	b.ReportMetric(peak, "MiB-peak")
	end()
	for _, name := range names {
		if !strings.Contains(log.String(), "cluster="+name+" node=eu-3 phase=trust") {
			b.Fatalf("%s was not looked at\n%.2000s", name, &log)
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
func layMany(b *testing.B, repo string, clusters int) (names []string) {
	b.Helper()
	files := material(b)
	check(b, lay(filepath.Join(repo, "fleet.yaml"), files["fleet.yaml"]))
	check(b, lay(filepath.Join(repo, "vault.lock"), files["vault.lock"]))
	check(b, os.WriteFile(filepath.Join(repo, "..", "id"), sshKey(b), 0o600))
	for i := range clusters {
		name := fmt.Sprintf("prod-%03d", i)
		names = append(names, name)
		for path, body := range files {
			rest, ok := strings.CutPrefix(path, "clusters/prod/")
			if !ok {
				continue
			}
			body = strings.NewReplacer("cluster: prod\n", "cluster: "+name+"\n", "address: 10.1.0.", fmt.Sprintf("tls_server_name: 10.1.0.11, address: 10.1.%d.", i)).Replace(body)
			check(b, lay(filepath.Join(repo, "clusters", name, rest), body))
		}
	}
	return names
}

// resident is what a process has in memory, and what it had at most, in MiB.
func resident(b *testing.B, pid int) (now, peak float64) {
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
		}
	}
	return now, peak
}
