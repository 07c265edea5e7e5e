//go:build linux

package embed_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/host"
	"github.com/vaultfleet/reconciler/internal/ssh"
	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// vault is what this test program is on a node: a service that says what Vault
// says to systemd and to the journal, and does nothing else.
func vault() {
	if len(os.Args) < 2 || os.Args[1] != "server" {
		fmt.Println("Vault v1.21.0")
		syscall.Exit(0)
	}
	tell := func(word string) {
		conn, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte(word)); err != nil {
			panic(err)
		}
	}
	hups, terms := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(hups, syscall.SIGHUP)
	signal.Notify(terms, syscall.SIGTERM)
	fmt.Println("==> Vault server started! Log data will stream in below:")
	tell("READY=1")
	for {
		select {
		case <-hups:
			tell("RELOADING=1")
			fmt.Println("==> Vault reload triggered")
			tell("READY=1")
		case <-terms:
			syscall.Exit(0)
		}
	}
}

type conn struct{ *ssh.Conn }

func (c conn) Run(ctx context.Context, command string, stdin io.Reader, limit int64) (host.Output, error) {
	out, err := c.Conn.Run(ctx, command, stdin, limit)
	return host.Output(out), err
}

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// The production code makes a node from nothing, by the production script, and
// sees what it made: owners, the mark of what was started, the binary that runs.
func TestTheProductFindsAHost(t *testing.T) {
	f, pool := fleet(t, "eu-1")
	n := f.Nodes[0]
	own, err := os.Executable()
	must(t, err)
	binary, err := os.ReadFile(own)
	must(t, err)
	const config, unitPath = "/etc/vault.d/vault.hcl", "/etc/systemd/system/vault.service"
	bodies := map[string][]byte{config: []byte("ui = true\n"),
		unitPath: []byte("[Service]\nType=notify\n" + desired.MarkCommand("vault") +
			"\nExecStart=/usr/local/bin/vault server -config=" + config + "\nExecReload=/bin/kill --signal HUP $MAINPID\n")}
	to := target(n)
	to.Service, to.BinaryPath, to.ConfigPath, to.DataPath = "vault", "/usr/local/bin/vault", config, "/opt/vault/data"
	to.Versions, to.Users, to.Groups, to.Files = []string{"1.21.0"}, []string{"vault"}, []string{"vault"}, map[string]string{"/etc/vault.d": ""}
	shelf := map[string][]byte{"binary:" + digest(binary): binary}
	put := func(role, path string) diff.Put {
		to.Files[path], shelf[digest(bodies[path])] = digest(bodies[path]), bodies[path]
		return diff.Put{Path: path, Owner: "root", Group: "vault", Mode: "0640", Digest: digest(bodies[path]), Role: role}
	}
	puts := []diff.Put{put("config", config), put("unit", unitPath)}
	h := host.New(host.Settings{Now: time.Now, Enforced: func(actual.Target) bool { return true },
		Connect: func(ctx context.Context, t actual.Target) (host.Conn, error) {
			c, err := pool.Connect(ctx, t)
			return conn{c}, err
		}})
	do := func(step diff.Step) {
		t.Helper()
		step.Node = n.Name
		contents := func(_ context.Context, d string) (io.ReadCloser, error) {
			if body, ok := shelf[d]; ok {
				return io.NopCloser(bytes.NewReader(body)), nil
			}
			return nil, fmt.Errorf("no content %s", d)
		}
		err := h.Hands("tests", []actual.Target{to})(t.Context(), diff.Try{Op: "op-" + string(step.Action) + step.Why, Epoch: 1}, step, contents)
		if err != nil {
			t.Fatalf("%s: %v", step.Action, err)
		}
	}
	do(diff.Step{Action: diff.ActionAccount, Users: []string{"vault:vault"}})
	do(diff.Step{Action: diff.ActionInstall, Version: "1.21.0", Binary: digest(binary)})
	do(diff.Step{Action: diff.ActionPlace, Version: "1.21.0", Binary: digest(binary), Puts: puts,
		Folders: []diff.Folder{{Path: "/etc/vault.d", Owner: "vault", Group: "vault", Mode: "0750"}}})
	do(diff.Step{Action: diff.ActionEnable})
	do(diff.Step{Action: diff.ActionStart})
	look := func() actual.Node {
		t.Helper()
		seen := h.Look(t.Context(), to)
		if len(seen.Unknown) > 0 {
			t.Fatalf("not seen: %v", seen.Unknown)
		}
		return seen
	}
	first := look()
	if s := first.Service; s.ActiveState != "active" || s.UnitFileState != "enabled" || s.NeedDaemonReload {
		t.Errorf("the service is %+v", s)
	}
	if p := first.Process; p.Binary != digest(binary) || p.Mark == nil || p.Mark.Files[config] != digest(bodies[config]) {
		t.Errorf("the process is %+v", p)
	}
	if c, d := first.Files[config], first.Files["/etc/vault.d"]; c.Owner+":"+c.Group != "root:vault" || c.Mode != "0640" || d.Owner != "vault" || d.Mode != "0750" {
		t.Errorf("the files are %+v and %+v", c, d)
	}
	if !first.Users["vault"] {
		t.Errorf("the machine is %+v", first.Machine)
	}

	bodies[config] = []byte("ui = false\n")
	puts = []diff.Put{put("config", config)}
	do(diff.Step{Action: diff.ActionReload, Puts: puts})
	second := look()
	if second.Process.PID != first.Process.PID || second.Process.Mark.Untaken != nil || second.Process.Mark.Files[config] != digest(bodies[config]) {
		t.Errorf("after the reload: %+v", second.Process)
	}
	do(diff.Step{Action: diff.ActionRestart})
	if third := look(); third.Process.PID == first.Process.PID || third.Service.ActiveState != "active" {
		t.Errorf("after the restart: %+v", third.Process)
	}
	must(t, os.WriteFile(filepath.Join(n.Root, config), []byte("ui = \"edited\"\n"), 0o600))
	if edited := look().Files[config]; edited.Digest == digest(bodies[config]) {
		t.Errorf("an edit is not seen: %+v", edited)
	}
}
