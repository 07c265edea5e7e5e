package host

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
)

// machine is a node below a temporary folder: the real script in the real
// /bin/sh, over shims of systemctl, sudo and the like. It never runs as root,
// where the script knows no other root than the host's: tests that root runs
// hand the folder and the processes to [nobody].
type machine struct {
	t     *testing.T
	root  string
	user  string // who runs the script; owner of all files
	group string

	mu   sync.Mutex
	runs []string // command lines of Run
	drop func(command string) bool
}

// nobody is the user and the group without rights of every Linux.
const nobody = 65534

func newMachine(t *testing.T) *machine {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, root: root}
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = nobody, nobody
		for _, p := range []string{root, filepath.Dir(root)} { // of t.TempDir, for its owner alone
			if err := os.Chmod(p, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		t.Fatal(err)
	}
	g, err := user.LookupGroupId(strconv.Itoa(gid))
	if err != nil {
		t.Fatal(err)
	}
	m.user, m.group = u.Username, g.Name
	if err := os.CopyFS(filepath.Join(root, "shims"), os.DirFS("testdata/shims")); err != nil {
		t.Fatal(err)
	}
	shims, _ := filepath.Glob(filepath.Join(root, "shims", "*"))
	for _, s := range shims {
		if err := os.Chmod(s, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	m.writeMode("/node.sh", script, 0o755)
	m.own(root)
	m.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
	m.write("/etc/passwd", m.user+":x:0:0::/:/bin/sh\n")
	m.write("/etc/group", m.group+":x:0:\n")
	t.Cleanup(m.stop)
	return m
}

// stop ends the process that the systemctl shim started.
func (m *machine) stop() {
	_ = m.exec(nil, filepath.Join(m.root, "shims/systemctl"), "stop", "vault.service") // nothing may be running
}

func (m *machine) env() []string {
	return []string{"RECONCILER_NODE_ROOT=" + m.root, "PATH=" + m.root + "/shims:" + os.Getenv("PATH"), "HOME=/nonexistent", "VAULT_TOKEN=leftover", "https_proxy=http://leftover"}
}

func (m *machine) write(path, text string) {
	m.t.Helper()
	m.writeMode(path, text, 0o644)
}

func (m *machine) writeMode(path, text string, mode os.FileMode) {
	m.t.Helper()
	p := filepath.Join(m.root, path)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), mode); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Chmod(p, mode); err != nil {
		m.t.Fatal(err)
	}
	for ; p != m.root; p = filepath.Dir(p) {
		m.own(p)
	}
}

// own gives a file or folder, and what is below it, to who runs the script.
func (m *machine) own(path string) {
	m.t.Helper()
	if os.Getuid() != 0 {
		return
	}
	err := filepath.WalkDir(path, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, nobody, nobody)
	})
	if err != nil {
		m.t.Fatal(err)
	}
}

// mkdir makes a folder, as an operator does.
func (m *machine) mkdir(path string) {
	m.t.Helper()
	if err := os.MkdirAll(m.root+path, 0o755); err != nil {
		m.t.Fatal(err)
	}
	for p := m.root + path; p != m.root; p = filepath.Dir(p) {
		m.own(p)
	}
}

// read is a file's content, links followed; "(absent)" where there is none.
func (m *machine) read(path string) string {
	m.t.Helper()
	b, err := os.ReadFile(filepath.Join(m.root, path))
	if errors.Is(err, os.ErrNotExist) {
		return "(absent)"
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return string(b)
}

// link is where a link leads, "" where there is none.
func (m *machine) link(path string) string {
	to, err := os.Readlink(filepath.Join(m.root, path))
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(to, m.root)
}

// calls are the shims' calls so far, and empties them.
func (m *machine) calls() []string {
	p := filepath.Join(m.root, "calls")
	b, _ := os.ReadFile(p) // none yet
	_ = os.Remove(p)
	return strings.FieldsFunc(string(b), func(r rune) bool { return r == '\n' })
}

// sh runs the script as sudo would.
func (m *machine) sh(stdin string, args ...string) Output {
	m.t.Helper()
	return m.exec(strings.NewReader(stdin), append([]string{"/bin/sh", m.root + "/node.sh"}, args...)...)
}

func (m *machine) exec(stdin io.Reader, words ...string) Output {
	m.t.Helper()
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdin = m.root, m.env(), stdin
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		m.t.Fatal(err)
	}
	return Output{Stdout: out.Bytes(), Stderr: errs.Bytes(), Exit: cmd.ProcessState.ExitCode()}
}

// must runs the script and expects it to succeed.
func (m *machine) must(stdin string, args ...string) string {
	m.t.Helper()
	out := m.sh(stdin, args...)
	if out.Exit != 0 {
		m.t.Fatalf("%s: exit %d: %s", strings.Join(args, " "), out.Exit, out.Stderr)
	}
	return string(out.Stdout)
}

// Run is Conn.Run: the login shell of the node.
func (m *machine) Run(_ context.Context, command string, stdin io.Reader, limit int64) (Output, error) {
	m.mu.Lock()
	m.runs = append(m.runs, command)
	drop := m.drop != nil && m.drop(command)
	m.mu.Unlock()
	out := m.exec(stdin, "/bin/sh", "-c", command)
	if drop {
		return Output{}, errors.New("connection lost")
	}
	out.Stdout = out.Stdout[:min(int64(len(out.Stdout)), limit)]
	return out, nil
}

func (m *machine) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("no network in this test")
}

// ran are the command lines since the last call.
func (m *machine) ran() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	ran := m.runs
	m.runs = nil
	return ran
}

// installed puts the script in place, as an operator does beforehand.
func (m *machine) installed() *machine {
	m.t.Helper()
	m.writeMode(ScriptPath, script, 0o755)
	return m
}

func (m *machine) host() *Host {
	return New(Settings{
		Connect:  func(context.Context, actual.Target) (Conn, error) { return m, nil },
		Enforced: func(actual.Target) bool { return true },
		Now:      time.Now,
	})
}

func (m *machine) target() actual.Target {
	return actual.Target{
		Cluster: "prod-eu", Node: "eu-1", User: "reconciler", Address: "10.1.0.11", Port: 22,
		Service: "vault", BinaryPath: "/usr/local/bin/vault", Versions: []string{"1.21.0"},
		ConfigPath: "/etc/vault.d/vault.hcl",
		Files:      map[string]string{"/etc/vault.d/vault.hcl": "", "/etc/vault.d": ""},
		Users:      []string{m.user, "vault"}, Groups: []string{m.group, "vault"},
		DataPath: "/opt/vault/data",
	}
}
