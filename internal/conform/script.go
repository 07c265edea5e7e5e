package conform

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Fencing is one call at the fence of a node.
type Fencing struct {
	Verb   string
	Epoch  uint64
	Holder string
	Obeyed bool
	After  string // "EPOCH HOLDER" whom the node obeys then
}

// Fence is what a node that obeys nobody yet does with calls, one after the other:
// an older epoch and another holder change nothing, and takeover alone changes
// the holder.
func Fence() []Fencing {
	return []Fencing{
		{"fence", 7, "home", true, "7 home"},
		{"fence", 7, "home", true, "7 home"},
		{"fence", 6, "home", false, "7 home"},
		{"fence", 8, "laptop", false, "7 home"},
		{"takeover", 7, "laptop", false, "7 home"},
		{"takeover", 6, "home", false, "7 home"},
		{"takeover", 7, "home", true, "7 home"},
		{"fence", 9, "home", true, "9 home"},
		{"fence", 7, "home", false, "9 home"},
		{"takeover", 10, "laptop", true, "10 laptop"},
		{"fence", 11, "home", false, "10 laptop"},
	}
}

// Exit codes of the node script.
const (
	failed  = 1
	usage   = 64
	content = 65
	fenced  = 76
	denied  = 77
	held    = 79
)

const fakeVault = "#!/bin/sh\n[ \"$1\" = server ] || { echo 'Vault v1.21.0'; exit 0; }\nexec sleep 600\n"

// call is one call of the node script, as epoch 10 of laptop, and what it comes
// to.
type call struct {
	is    string
	verb  string
	args  string
	stdin string
	exit  int
	// then is a command that looks at the machine, and sees what it has to print.
	// $R is the folder that is its file system.
	then, sees string
}

func calls() []call {
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(fakeVault)))
	stream := func(files ...[3]string) string { // role, path, body
		var b strings.Builder
		for _, f := range files {
			fmt.Fprintf(&b, "put %s 0640 root root %x %d %s\n%s", f[0], sha256.Sum256([]byte(f[2])), len(f[2]), f[1], f[2])
		}
		return b.String() + fmt.Sprintf("end %d\n", len(files))
	}
	const unitPath, marks = "/etc/systemd/system/vault.service", "config /etc/vault.d/vault.hcl\nunit /etc/systemd/system/vault.service\n"
	unit := "[Service]\nExecStart=/usr/local/bin/vault server -config=/etc/vault.d/vault.hcl\n[Install]\nWantedBy=multi-user.target\n"
	first := stream([3]string{"config", "/etc/vault.d/vault.hcl", "ui = true\n"}, [3]string{"unit", unitPath, unit})
	second := stream([3]string{"config", "/etc/vault.d/vault.hcl", "ui = false\n"})
	const owner = "stat -L -c '%f %U %G %s %.9Y %.9Z %d %i %n' -- $R/opt/vault/data | cut -d' ' -f2,3"
	return []call{
		{"a verb that is none is refused", "frobnicate", "", "", usage, "", ""},
		{"a word that is none is refused", "folder", "'/opt/vault/a b' root root 0750", "", usage, "", ""},
		{"a folder where nothing belongs is refused", "folder", "/etc/sudoers.d root root 0750", "", denied, "ls $R/etc/sudoers.d/x 2>&1 | grep -c x", "1"},
		{"an account is made", "account", "vault vault", "", 0, "getent passwd vault | cut -d: -f1", "vault"},
		{"and is there already", "account", "vault vault", "", 0, "getent passwd vault | cut -d: -f1", "vault"},
		{"a folder is made, with its owner and mode", "folder", "/opt/vault/data vault vault 0700", "", 0, owner, "vault vault"},
		{"a link is no folder", "folder", "/opt/vault/link vault vault 0777", "", content, "readlink $R/opt/vault/link", "/etc"},
		{"a binary that is not the one that was sent is refused", "binary", "1.21.0 " + sum, fakeVault[:30], content, "ls $R/opt/vault/versions/1.21.0/vault 2>/dev/null | wc -l", "0"},
		{"a binary that says another version is refused", "binary", "1.20.0 " + sum, fakeVault, content, "ls $R/opt/vault/versions/1.20.0/vault 2>/dev/null | wc -l", "0"},
		{"a binary is installed", "binary", "1.21.0 " + sum, fakeVault, 0, "$R/opt/vault/versions/1.21.0/vault version", "Vault v1.21.0"},
		{"a stream that is none is refused", "stage", "g1", "nonsense\n", content, "ls $R/opt/vault/generations | wc -l", "0"},
		{"a stream that was cut is refused", "stage", "g1", first[:len(first)-6], content, "ls $R/opt/vault/generations | wc -l", "0"},
		{"a generation that was not staged is not activated", "activate", "g1 1.21.0 " + sum + " /usr/local/bin/vault start vault", marks, content, "systemctl is-active vault", "inactive"},
		{"a staged generation is not live", "stage", "g1", first, 0, "ls $R/etc/vault.d/vault.hcl 2>/dev/null | wc -l", "0"},
		{"a start makes it live", "activate", "g1 1.21.0 " + sum + " /usr/local/bin/vault start vault", marks, 0, "systemctl is-active vault; cat $R/etc/vault.d/vault.hcl", "active\nui = true"},
		{"an action that is none is refused", "activate", "- - - /usr/local/bin/vault dance vault", marks, usage, "systemctl is-active vault", "active"},
		{"a service is enabled", "enable", "vault", "", 0, "systemctl show -p UnitFileState vault", "UnitFileState=enabled"},
		{"a service that is not there cannot be", "enable", "nosuch", "", failed, "", ""},
		{"a second generation is staged", "stage", "g2", second, 0, "cat $R/etc/vault.d/vault.hcl", "ui = true"},
		{"and a restart makes it live", "activate", "g2 1.21.0 " + sum + " /usr/local/bin/vault restart vault", marks, 0, "systemctl is-active vault; cat $R/etc/vault.d/vault.hcl", "active\nui = false"},
		{"a lost answer may be asked for again", "activate", "g2 1.21.0 " + sum + " /usr/local/bin/vault none vault", marks, 0, "systemctl is-active vault", "active"},
		{"a share goes to https alone", "vault-unseal", "/usr/local/bin/vault http://10.1.0.11:8200 - -", "share\n", usage, "", ""},
	}
}

// Script holds a machine to what the node script does on it, for somebody who
// logs in over SSH and may use sudo. Nothing of ours may be on the machine. It
// returns what is not so, a sentence each.
func Script(ctx context.Context, client *ssh.Client, script string) []string {
	s := &scripted{run: &run{ctx: ctx}, client: client}
	s.what = "the machine"
	s.sudo(script, `umask 022; mkdir -p "$R/usr/local/libexec" "$R/opt/vault" && cat >"$R/usr/local/libexec/reconciler-node" && chmod 755 "$R/usr/local/libexec/reconciler-node" && ln -s /etc "$R/opt/vault/link"`)
	for i, f := range Fence() {
		s.what = fmt.Sprintf("the fence, call %d", i+1)
		out, exit := s.node(f.Verb, f.Epoch, f.Holder, "", "")
		if want := map[bool]int{true: 0, false: fenced}[f.Obeyed]; exit != want {
			s.find("%s %d %s: exit %d, want %d: %s", f.Verb, f.Epoch, f.Holder, exit, want, out)
		}
		s.sees(`cat "$R/var/lib/reconciler-node/epoch"`, f.After)
	}
	for _, c := range calls() {
		s.what = c.is
		if out, exit := s.node(c.verb, 10, "laptop", c.args, c.stdin); exit != c.exit {
			s.find("%s %s: exit %d, want %d: %s", c.verb, c.args, exit, c.exit, out)
		}
		if c.then != "" {
			s.sees(c.then, c.sees)
		}
	}
	s.what = "a person who holds the machine"
	s.sudo("", `mkdir -p "$R/etc/reconciler-node" && echo 'a disk is swapped' >"$R/etc/reconciler-node/hold"`)
	if out, exit := s.node("enable", 10, "laptop", "vault", ""); exit != held {
		s.find("enable: exit %d, want %d: %s", exit, held, out)
	}
	if out, exit := s.node("fence", 10, "laptop", "", ""); exit != 0 {
		s.find("fence: exit %d: %s", exit, out)
	}
	s.what = "what was done"
	if out, exit := s.shell("sudo -n /usr/local/libexec/reconciler-node did op-enable", ""); exit != 0 || !strings.Contains(out, "done enable ") {
		s.find("did: exit %d: %s", exit, out)
	}
	return s.findings
}

// scripted is a run of the suite about the node script.
type scripted struct {
	*run
	client *ssh.Client
}

// node calls the node script.
func (s *scripted) node(verb string, epoch uint64, holder, args, stdin string) (string, int) {
	return s.shell(fmt.Sprintf("sudo -n /usr/local/libexec/reconciler-node %s %d %s op-%s %s", verb, epoch, holder, verb, args), stdin)
}

// sudo does something as root that has to come off.
func (s *scripted) sudo(stdin, script string) {
	if out, exit := s.shell(asRoot(script), stdin); exit != 0 {
		s.find("%s: exit %d: %s", script, exit, out)
	}
}

// sees looks at the machine as root.
func (s *scripted) sees(script, want string) {
	if out, _ := s.shell(asRoot(script), ""); strings.TrimSpace(out) != want {
		s.find("%s: %q, want %q", script, strings.TrimSpace(out), want)
	}
}

// asRoot is a command line that runs a script as root; in it $R is the folder that
// is the machine's file system.
func asRoot(script string) string {
	return `sudo -n /bin/sh -c "R=$RECONCILER_NODE_ROOT; "'` + strings.ReplaceAll(script, "'", `'\''`) + "'"
}

// shell runs a command line over SSH, and returns what it printed.
func (s *scripted) shell(command, stdin string) (string, int) {
	session, err := s.client.NewSession()
	if err != nil {
		s.find("%v", err)
		return "", -1
	}
	defer session.Close()
	session.Stdin = strings.NewReader(stdin)
	out, err := session.CombinedOutput(command)
	var exit *ssh.ExitError
	switch {
	case errors.As(err, &exit):
		return string(out), exit.ExitStatus()
	case err != nil:
		s.find("%s: %v", command, err)
		return "", -1
	}
	return string(out), 0
}
