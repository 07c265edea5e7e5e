package host

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// shelf is Contents of a map.
func shelf(m map[string]string) apply.Contents {
	return func(_ context.Context, digest string) (io.ReadCloser, error) {
		body, ok := m[digest]
		if !ok {
			return nil, errors.New("not on the shelf: " + digest)
		}
		return io.NopCloser(strings.NewReader(body)), nil
	}
}

func (m *machine) diffPut(role, path, digest string) diff.Put {
	return diff.Put{Path: path, Owner: m.user, Group: m.group, Mode: "0640", Digest: digest, Role: role}
}

// From nothing to a running Vault, each step by the hands, each step twice: the
// answer of the first may have been lost.
func TestHandsMakeANode(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	target := m.target()
	unit := "[Service]\n" + desired.MarkCommand("vault") + "\n"
	target.Files = map[string]string{
		"/etc/vault.d/vault.hcl": "sha256:" + hexOf(config), "/etc/systemd/system/vault.service": "sha256:" + hexOf(unit),
		"/etc/vault.d/tls.key": "sha256:" + hexOf("s3cret"), "/etc/vault.d": "",
	}
	h := m.host()
	hands := h.Hands(holder, []actual.Target{target})
	contents := shelf(map[string]string{"binary:sha256:" + hexOf(fakeVault): fakeVault, "sha256:" + hexOf(config): config, "sha256:" + hexOf(unit): unit, "age:sha256:beef": "s3cret"})
	do := func(op string, step diff.Step) {
		t.Helper()
		step.Node = "eu-1"
		for range 2 {
			if err := hands(t.Context(), diff.Try{Op: op, Epoch: 4}, step, contents); err != nil {
				t.Fatalf("%s: %v", step.Action, err)
			}
		}
	}
	do("op1", diff.Step{Action: diff.ActionAccount, Users: []string{"vault:vault"}})
	do("op2", diff.Step{Action: diff.ActionInstall, Version: "1.21.0", Binary: "sha256:" + hexOf(fakeVault)})
	do("op3", diff.Step{Action: diff.ActionPlace, Version: "1.21.0", Binary: "sha256:" + hexOf(fakeVault),
		Folders: []diff.Folder{{Path: "/etc/vault.d", Owner: m.user, Group: m.group, Mode: "0750"}},
		Puts: []diff.Put{m.diffPut("config", "/etc/vault.d/vault.hcl", "sha256:"+hexOf(config)), m.diffPut("file", "/etc/vault.d/tls.key", "age:sha256:beef"),
			m.diffPut("unit", "/etc/systemd/system/vault.service", "sha256:"+hexOf(unit))}})
	do("op4", diff.Step{Action: diff.ActionEnable})
	do("op5", diff.Step{Action: diff.ActionStart})
	n := h.Look(t.Context(), target)
	if n.Service == nil || n.Service.ActiveState != "active" || n.Service.UnitFileState != "enabled" || n.Service.NeedDaemonReload || n.Process.Mark == nil {
		t.Fatalf("%+v %+v", n.Service, n.Process)
	}
	if n.Binary.Digest != "sha256:"+hexOf(fakeVault) || !n.Users["vault"] || n.Files["/etc/vault.d"].Mode != "0750" || n.Machine.Fence.Epoch != 4 {
		t.Errorf("%+v", n)
	}
	for path, digest := range target.Files {
		if digest != "" && (n.Files[path].Digest != digest || n.Process.Mark.Files[path] != digest) {
			t.Errorf("%s is %q, loaded %q, want %q", path, n.Files[path].Digest, n.Process.Mark.Files[path], digest)
		}
	}
	for _, command := range m.ran() {
		if strings.Contains(command, "s3cret") {
			t.Errorf("a secret is in a command: %.200s", command)
		}
	}
	do("op6", diff.Step{Action: diff.ActionReload, Puts: []diff.Put{m.diffPut("file", "/etc/vault.d/tls.key", "age:sha256:beef")}})
	pid := n.Process.PID
	do("op7", diff.Step{Action: diff.ActionRestart, Puts: []diff.Put{m.diffPut("config", "/etc/vault.d/vault.hcl", "sha256:"+hexOf(config))}})
	if n = h.Look(t.Context(), target); n.Process.PID == pid || n.Process.PID == 0 || n.Process.Mark == nil || len(n.Process.Mark.Files) != 3 {
		t.Errorf("after the restart: %+v", n.Process)
	}
}

// Whoever reads the error knows whether anything was done.
func TestHandsSayWhetherAnythingWasDone(t *testing.T) {
	t.Parallel()
	folder := []diff.Folder{{Path: "/etc/vault.d", Owner: "root", Group: "root", Mode: "0750"}}
	for name, c := range map[string]struct {
		step    diff.Step
		world   func(m *machine)
		refused bool
		says    string
	}{
		"another room's action":  {diff.Step{Action: diff.ActionInit}, nil, true, "not done by the node script"},
		"no such node":           {diff.Step{Node: "eu-9", Action: diff.ActionEnable}, nil, true, "no such node"},
		"no content":             {diff.Step{Action: diff.ActionPlace, Puts: []diff.Put{{Path: "/etc/vault.d/x", Owner: "a", Group: "b", Mode: "0640", Role: "file", Digest: "sha256:00"}}}, nil, true, "/etc/vault.d/x: open its content"},
		"another content":        {diff.Step{Action: diff.ActionPlace, Puts: []diff.Put{{Path: "/etc/vault.d/x", Owner: "a", Group: "b", Mode: "0640", Role: "file", Digest: "sha256:other"}}}, nil, true, "not what the plan was made for"},
		"a path with a line":     {diff.Step{Action: diff.ActionPlace, Puts: []diff.Put{{Path: "/x\nput", Owner: "a", Group: "b", Mode: "0640", Role: "file", Digest: "sha256:other"}}}, nil, true, "cannot be sent"},
		"a person's hold":        {diff.Step{Action: diff.ActionEnable}, func(m *machine) { m.write("/etc/reconciler-node/hold", "x") }, true, "a person holds this host"},
		"not allowed":            {diff.Step{Action: diff.ActionEnable}, func(m *machine) { m.write("/etc/reconciler-node/allow", "service ssh\n") }, true, "service vault is not listed in /etc/reconciler-node/allow"},
		"version not installed":  {diff.Step{Action: diff.ActionRestart, Version: "1.21.0", Binary: "sha256:" + strings.Repeat("0", 64)}, nil, true, "version 1.21.0 is not installed"},
		"refused after a folder": {diff.Step{Action: diff.ActionPlace, Folders: folder, Version: "1.21.0", Binary: "sha256:" + strings.Repeat("0", 64)}, nil, false, "half-way: "},
		"a start that fails":     {diff.Step{Action: diff.ActionStart}, func(m *machine) { m.write("/sd/broken", "") }, false, "Job for vault.service failed"},
		"the answer is lost":     {diff.Step{Action: diff.ActionEnable}, func(m *machine) { m.drop = func(c string) bool { return strings.Contains(c, " enable ") } }, false, "connection lost"},
		"no sudo for the script": {diff.Step{Action: diff.ActionEnable}, func(m *machine) { m.write("/sudo", "none") }, true, "sudo asks for a password"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t).installed()
			if c.world != nil {
				c.world(m)
			}
			step := c.step
			if step.Node == "" {
				step.Node = "eu-1"
			}
			for i := range step.Folders {
				step.Folders = slices.Clone(step.Folders)
				step.Folders[i].Owner, step.Folders[i].Group = m.user, m.group
			}
			err := m.host().Hands(holder, []actual.Target{m.target()})(t.Context(), diff.Try{Op: "op1", Epoch: 1}, step, shelf(map[string]string{"sha256:other": "x"}))
			if err == nil || errors.Is(err, apply.ErrRefused) != c.refused || !strings.Contains(err.Error(), c.says) {
				t.Errorf("refused %v: %v", errors.Is(err, apply.ErrRefused), err)
			}
		})
	}
}

func TestHandsOfThePastAreFencedOff(t *testing.T) {
	m := newMachine(t).installed()
	m.must("", "fence", "7", "ops-2", "op0")
	hands := m.host().Hands(holder, []actual.Target{m.target()})
	err := hands(t.Context(), diff.Try{Op: "op1", Epoch: 9}, diff.Step{Node: "eu-1", Action: diff.ActionEnable}, nil)
	var fenced *FencedError
	if !errors.As(err, &fenced) || fenced.Epoch != 7 || fenced.Holder != "ops-2" || !errors.Is(err, apply.ErrRefused) {
		t.Errorf("%v", err)
	}
	var busy interface{ Busy() string }
	if !errors.As(err, &busy) || !strings.Contains(busy.Busy(), "ops-2") || !strings.Contains(busy.Busy(), "reconciler takeover prod") {
		t.Errorf("%v does not say who acts there", err)
	}
}

// A takeover in the middle of an act ends it half-way, and it is still told who
// acts there.
func TestHandsThatAreFencedOffHalfWaySayByWhom(t *testing.T) {
	m := newMachine(t).installed()
	taken := func(context.Context, string) (io.ReadCloser, error) {
		m.must("", "takeover", "7", "ops-2", "op0")
		return io.NopCloser(strings.NewReader("x")), nil
	}
	sum := sha256.Sum256([]byte("x"))
	step := diff.Step{Node: "eu-1", Action: diff.ActionPlace,
		Folders: []diff.Folder{{Path: "/etc/vault.d", Owner: m.user, Group: m.group, Mode: "0750"}},
		Puts:    []diff.Put{m.diffPut("file", "/etc/vault.d/x", "sha256:"+hex.EncodeToString(sum[:]))}}
	err := m.host().Hands(holder, []actual.Target{m.target()})(t.Context(), diff.Try{Op: "op1", Epoch: 1}, step, taken)
	var busy interface{ Busy() string }
	if errors.Is(err, apply.ErrRefused) || !errors.As(err, &busy) || !strings.Contains(busy.Busy(), "ops-2") {
		t.Errorf("%v", err)
	}
}

// A state folder from a backup meets a node that remembers more of us.
func TestHandsOfAnOlderStateFolderSaySo(t *testing.T) {
	m := newMachine(t).installed()
	m.must("", "fence", "7", holder, "op0")
	hands := m.host().Hands(holder, []actual.Target{m.target()})
	err := hands(t.Context(), diff.Try{Op: "op1", Epoch: 3}, diff.Step{Node: "eu-1", Action: diff.ActionEnable}, nil)
	var fenced *FencedError
	if !errors.As(err, &fenced) || fenced.Past != 3 || fenced.Epoch != 7 || !errors.Is(err, apply.ErrRefused) {
		t.Fatalf("%v", err)
	}
	for _, words := range []string{"this very installation", "older than the node", "reconciler takeover prod"} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("%q does not say %q", err, words)
		}
	}
}

// A node of another release obeys another installation: the script that is
// there takes over, and only then is ours installed.
func TestTakeoverWorksWithTheScriptThatIsThere(t *testing.T) {
	m := newMachine(t).installed()
	m.must("", "fence", "7", "ops-2", "op0")
	m.write(ScriptPath, strings.Replace(script, "# reconciler-node: all", "# an older reconciler-node: all", 1))
	node := m.host().Node(m.target())
	fence := Fence{Epoch: 8, Holder: holder, Op: "op1"}
	var fenced *FencedError
	if _, err := node.Verb(t.Context(), fence, "fence", nil, nil); !errors.As(err, &fenced) {
		t.Fatalf("before the takeover: %v", err)
	}
	if _, err := node.Verb(t.Context(), fence, "takeover", nil, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := node.Verb(t.Context(), fence, "fence", nil, nil); err != nil || m.read(ScriptPath) != script {
		t.Errorf("after the takeover: %v", err)
	}
}

// The script comes along with the first change, never with a look, and an
// operator who pinned it keeps it.
func TestScriptIsInstalledWithTheFirstChange(t *testing.T) {
	m := newMachine(t)
	h := m.host()
	node := h.Node(m.target())
	fence := Fence{Epoch: 1, Holder: holder, Op: "op1"}
	h.Look(t.Context(), m.target())
	if m.read(ScriptPath) != "(absent)" {
		t.Fatal("a look installed the script")
	}
	if _, err := node.Verb(t.Context(), fence, "fence", nil, nil); err != nil || m.read(ScriptPath) != script {
		t.Fatalf("%v", err)
	}
	m.ran()
	if _, err := node.Verb(t.Context(), fence, "fence", nil, nil); err != nil {
		t.Fatal(err)
	}
	if ran := m.ran(); len(ran) != 1 {
		t.Errorf("a verb on an equipped node ran %q", ran)
	}

	older := strings.Replace(script, "# reconciler-node: all", "# an older reconciler-node: all", 1)
	m.write(ScriptPath, older)
	m.write("/sudo", "script") // the sudoers line allows the script alone
	h = m.host()
	if _, err := h.Node(m.target()).Verb(t.Context(), fence, "fence", nil, nil); err != nil || m.read(ScriptPath) != older {
		t.Errorf("a pinned script of the same protocol: %v", err)
	}
	m.write(ScriptPath, strings.Replace(older, "PROTOCOL=1", "PROTOCOL=99", 1))
	_, err := m.host().Node(m.target()).Verb(t.Context(), fence, "fence", nil, nil)
	if !errors.Is(err, apply.ErrRefused) || !strings.Contains(err.Error(), ScriptPath) {
		t.Errorf("a script of another protocol: %v", err)
	}
	m.write("/sudo", "")
	if _, err := m.host().Node(m.target()).Verb(t.Context(), fence, "fence", nil, nil); err != nil || m.read(ScriptPath) != script {
		t.Errorf("an older script that may be replaced: %v", err)
	}
	observed := New(Settings{Connect: h.Connect, Now: time.Now})
	m2 := newMachine(t)
	observed.Connect = m2.host().Connect
	if _, err := observed.Node(m2.target()).Verb(t.Context(), fence, "fence", nil, nil); !errors.Is(err, apply.ErrRefused) || m2.read(ScriptPath) != "(absent)" {
		t.Errorf("a node that is only observed: %v", err)
	}
}

func TestVerbOfVaultKnowsItsBinary(t *testing.T) {
	m := vaulted(t).installed()
	out, err := m.host().Node(m.target()).Verb(t.Context(), Fence{1, holder, "op1"}, "vault-unseal", []string{addr, "-", "-"}, strings.NewReader("c2hhcmUx\nc2hhcmUy\n"))
	if err != nil || !bytes.Contains(out, []byte(`"sealed": false`)) {
		t.Errorf("%s %v", out, err)
	}
}
