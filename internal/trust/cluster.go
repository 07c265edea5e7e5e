package trust

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"slices"
	"sort"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// Cluster says what a spec asks for that the settings do not allow. What would
// be written is an error where the cluster may be changed and a warning where
// it is only observed; a CA that is not ours to believe is always an error.
// The place of a problem is reconciler.yaml, where it can be allowed.
func (p Policy) Cluster(c desired.Cluster) []desired.Problem {
	j := judgement{policy: p, cluster: c.Name, severity: desired.SeverityWarning, seen: map[string]bool{}}
	if p.Mode(c.Name, c.Mode) == desired.ModeEnforce {
		j.severity = desired.SeverityError
	}
	j.authority(c)
	j.service(c.Service.Name)
	j.account("user", c.Service.User)
	j.account("group", c.Service.Group)
	j.paths(c)
	sort.SliceStable(j.problems, func(a, b int) bool { return j.problems[a].Text < j.problems[b].Text })
	return j.problems
}

// judgement gathers what is not allowed, each thing once.
type judgement struct {
	policy   Policy
	cluster  string
	severity desired.Severity
	seen     map[string]bool
	problems []desired.Problem
}

func (j *judgement) refuse(severity desired.Severity, hint, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if j.seen[text] {
		return
	}
	j.seen[text] = true
	j.problems = append(j.problems, desired.Problem{
		Place: desired.Place{File: j.policy.file}, Severity: severity, Rule: "trust", Cluster: j.cluster, Text: text, Hint: hint,
	})
}

func (j *judgement) service(name string) {
	if !slices.Contains(j.policy.trust.Services, name) {
		j.refuse(j.severity, "add it there", "cluster %s runs the service %q, which is not in trust.services (%s)", j.cluster, name, list(j.policy.trust.Services))
	}
}

// account judges the owner of something. Groups are held to the same list: a
// group that may read a private key is as good as an owner.
func (j *judgement) account(kind, name string) {
	if name != "" && !slices.Contains(j.policy.trust.Users, name) {
		j.refuse(j.severity, "add it there", "cluster %s uses the %s %q, which is not in trust.users (%s)", j.cluster, kind, name, list(j.policy.trust.Users))
	}
}

// paths judges all that is written on the nodes.
func (j *judgement) paths(c desired.Cluster) {
	j.path(c.Vault.Path)
	j.path(desired.VersionsFolder)
	if c.Storage.Path != "" {
		j.path(c.Storage.Path)
	}
	for _, n := range c.Nodes {
		for _, put := range n.Puts {
			j.path(put.Path)
			j.account("user", put.Owner)
			j.account("group", put.Group)
		}
		for _, folder := range n.Folders {
			j.path(folder.Path)
			j.account("user", folder.Owner)
			j.account("group", folder.Group)
		}
	}
}

func (j *judgement) path(s string) {
	switch {
	case !clean(s):
		j.refuse(desired.SeverityError, "write it as /etc/vault.d/vault.hcl", "cluster %s writes %q, which is not a clean absolute path", j.cluster, s)
	case !below(s, j.policy.trust.Roots):
		j.refuse(j.severity, "add its folder there, or move the file", "cluster %s writes %s, outside trust.roots (%s)", j.cluster, s, list(j.policy.trust.Roots))
	}
}

// authority judges who Vault's certificates are checked against: with a CA of
// its own choice, a commit could make us take any server for Vault.
func (j *judgement) authority(c desired.Cluster) {
	if len(j.policy.trust.VaultCA) == 0 {
		return
	}
	theirs := certificates(c.CA)
	if len(theirs) == 0 {
		j.refuse(desired.SeverityError, "name one of "+list(j.policy.trust.VaultCA), "cluster %s names no ca, and trust.vault_ca is given", j.cluster)
		return
	}
	var ours [][]byte
	for _, file := range j.policy.cas {
		ours = append(ours, certificates(file)...)
	}
	for _, der := range theirs {
		if !slices.ContainsFunc(ours, func(own []byte) bool { return bytes.Equal(own, der) }) {
			j.refuse(desired.SeverityError, "add its file there, once you know whose it is", "cluster %s: ca %s holds a certificate that is not in trust.vault_ca (%s)", j.cluster, c.CASource, list(j.policy.trust.VaultCA))
			return
		}
	}
}

// certificates are the DER blocks of a PEM file. Text between them is nothing.
func certificates(text []byte) [][]byte {
	var all [][]byte
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return all
		}
		if block.Type == "CERTIFICATE" {
			all = append(all, block.Bytes)
		}
	}
}
