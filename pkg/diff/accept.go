package diff

import (
	"strings"

	"github.com/hashicorp/go-version"
)

// What drifted may become what the spec wants, where it is one value that the format
// has a key for. A content, a certificate, a program, an audit device or a member of
// raft is more than that, and a secret is never written into a repo: that is left to a
// person. Whether the keys may stand where they would have to, the spec says.

// sensitive stands for what is never shown.
const sensitive = "(sensitive)"

// Unacceptable is why what drifted cannot be written into the spec as it is, and what
// a person does instead; "" when it may be.
func (d Drift) Unacceptable() (why, instead string) {
	name := strings.TrimSuffix(d.Path[strings.IndexByte(d.Path, '[')+1:], "]")
	_, config := d.configKey()
	switch {
	case d.Pending:
		return "it is no drift: a merged commit wants it otherwise, and no turn has brought that yet", "wait for it, or revert the commit"
	case d.Have == sensitive || d.Want == sensitive:
		return "its value is secret, and a secret is never written into the repo", "refer to it: the environment file, or a file with source: age:PATH or secret:NAME; else put it back on the node"
	case d.Kind == DriftTampered:
		return "a program that is not the locked one is never accepted", "find out who replaced it; a version that is meant goes into vault.lock by reconciler lock, and into vault.version"
	case d.Kind == DriftLatent:
		return "what lies on the node is what the spec wants, and only the process has not taken it up", "reload or restart Vault there, or let reconciler apply do it"
	case d.Path == "vault.binary":
		return "a program is accepted by its digest in vault.lock, and by no line of a spec", "let the next version replace it"
	case d.Path == "vault":
		if _, err := version.NewVersion(d.Have); err != nil {
			return "it is no version that can be wanted", "put the wanted program back: reconciler apply"
		}
		return "", ""
	case strings.HasPrefix(d.Path, "files["):
		if _, _, right := d.FileRight(); right {
			return "", ""
		}
		if d.Kind == DriftMissing {
			return "a file that is gone is no value", "take its item out of files, if nobody needs it"
		}
		return "the content of a file is not taken from a node: it may be a secret, or a certificate of this node alone", "commit the content that is right as the file's source"
	case d.Path == "config.owner" || d.Path == "config.mode" || strings.HasPrefix(d.Path, "environment_file") || strings.HasPrefix(d.Path, "folder["):
		return "the spec has no key for it", "put it back on the node; what the environment file holds is changed under environment_file"
	case d.Path == "config":
		return "it is no value: the file is missing, or says the same in other bytes", "let reconciler apply put it back; with config_file, commit the operator's own file"
	case strings.HasPrefix(d.Path, "config_folder["):
		return "a file that nobody asked for is not taken up", "rm " + name + " there, or write its settings into the spec"
	case strings.HasPrefix(d.Path, "service.drop_in["):
		return "a drop-in is not taken up", "rm " + name + " && systemctl daemon-reload there, or commit a unit of your own as service.unit"
	case strings.HasPrefix(d.Path, "service."):
		return "how systemd has the unit is no value of the spec", "put it back on the node; another unit is committed as service.unit, another account as service.user"
	case strings.HasPrefix(d.Path, "audit["):
		return "what is recorded, and where, is decided by people alone", "add, change or take away the device " + name + " under audit"
	case strings.HasPrefix(d.Path, "raft.peers["):
		return "who is a member is not taken from raft", "add the node to nodes, or take it out; vault operator raft remove-peer " + name + " takes away one that nobody knows"
	case !config:
		return "the spec has no single key for it", "change the spec by hand"
	}
	return "", ""
}

// configKey is the key of vault.hcl that a row is of, as a node's Config has it.
func (d Drift) configKey() (key string, ok bool) {
	if key, ok = strings.CutPrefix(d.Path, "config."); ok {
		return key, key != "owner" && key != "mode"
	}
	return d.Path, ownKey(d.Path)
}

// ConfigKey is the key of vault.hcl that a row is of, as a node's Config has it, and
// the value there as canonical JSON; "" where there is none. False: the row is of
// something else.
func (d Drift) ConfigKey() (key, value string, ok bool) {
	if key, ok = d.configKey(); !ok {
		return "", "", false
	}
	if d.Have == absent {
		return key, "", true
	}
	return key, d.Have, true
}

// FileRight is the path of the file whose owner or mode a row is of. False: the row is
// of something else.
func (d Drift) FileRight() (file string, owner, ok bool) {
	rest, isFile := strings.CutPrefix(d.Path, "files[")
	if !isFile {
		return "", false, false
	}
	if file, ok = strings.CutSuffix(rest, "].mode"); ok {
		return file, false, true
	}
	file, ok = strings.CutSuffix(rest, "].owner")
	return file, ok, ok
}
