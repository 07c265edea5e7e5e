package diff

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// What a commit changes can be said without looking at any node: it is the plan
// of the new spec for nodes that are as the old one wants them. It needs no
// connection and no credential, and nothing that happens on the nodes moves it.
// What will happen after the merge is another question, and the plan for the
// nodes as they are.

// Between is what the new spec of a cluster changes on nodes that are as the old
// one wants them. The zero Cluster as the old one: nothing is there yet.
func Between(old, fresh desired.Cluster, now time.Time) Plan {
	have, m := Settled(old, fresh, now)
	plan := Cluster(fresh, have, m, now)
	have, m = Settled(old, old, now)
	before := Cluster(old, have, m, now)
	plan.Notes = slices.DeleteFunc(plan.Notes, func(n Note) bool { return slices.Contains(before.Notes, n) })
	return plan
}

// Asked are looks that were made for one spec, as far as anybody can say what they
// had seen had they been made for another: what that one names besides is not there,
// and the configuration is that of the one that it was made for where its digest says
// so, because a look does not read what it knows. What could not be read stays
// Unknown.
func Asked(have []actual.Node, old, fresh desired.Cluster) []actual.Node {
	out := slices.Clone(have)
	for i := range out {
		n := &out[i]
		on, ok := fresh.Node(n.Name)
		if !ok {
			continue
		}
		b := blank(on, old, fresh, n.At)
		n.Files, n.Users = with(n.Files, b.Files), with(n.Users, b.Users)
		if n.Binary != nil {
			copied := *n.Binary
			copied.Versions = with(copied.Versions, b.Binary.Versions)
			n.Binary = &copied
		}
		if n.Audit != nil {
			copied := *n.Audit
			copied.Opens = with(copied.Opens, b.Audit.Opens)
			n.Audit = &copied
		}
		before, _ := old.Node(n.Name)
		configured(n, before, old.Service.ConfigPath)
	}
	return out
}

// configured fills the configuration of files and process where they are of the
// digest that a spec gives them.
func configured(n *actual.Node, want desired.Node, path string) {
	i := slices.IndexFunc(want.Puts, func(p desired.Put) bool { return p.Path == path })
	if i < 0 {
		return
	}
	digest := want.Puts[i].Digest
	if f := n.Files[path]; f.Digest == digest && f.Config == nil {
		f.Config = want.Config
		n.Files[path] = f
	}
	if n.Process == nil || n.Process.Mark == nil || n.Process.Mark.Config != nil || n.Process.Mark.Files[path] != digest {
		return
	}
	process, mark := *n.Process, *n.Process.Mark
	mark.Config, process.Mark = want.Config, &mark
	n.Process = &process
}

// with adds what a map that was read does not have; one that was not is Unknown.
func with[V any](read, more map[string]V) map[string]V {
	if read == nil {
		return nil
	}
	all := maps.Clone(more)
	maps.Copy(all, read)
	return all
}

// Settled is a cluster as a spec wants it, seen by a look that asks for what
// another spec names.
func Settled(want, asked desired.Cluster, now time.Time) ([]actual.Node, Memory) {
	m := Memory{}
	if len(want.Nodes) > 0 {
		m = Memory{Known: true, ClusterID: cmp.Or(want.ClusterID, "of "+want.Name), Newest: want.Vault.Version,
			Birth: Birth{Phase: BirthDone, Seed: want.Nodes[0].Name},
			Good:  Standing{Cluster: want.Name, Digest: want.Digest, Since: now}}
	}
	names := map[string]bool{}
	var have []actual.Node
	for _, n := range slices.Concat(asked.Nodes, want.Nodes) {
		if names[n.Name] {
			continue
		}
		names[n.Name] = true
		node := blank(n, want, asked, now)
		if there, ok := want.Node(n.Name); ok && !there.Absent {
			fill(&node, there, want, now)
			m.Members = append(m.Members, Member{Name: n.Name, Address: there.Address, ID: there.ID, Empty: true, Joined: true,
				Open: processOf(node), Run: processOf(node), Ran: node.Machine.BootID})
		}
		have = append(have, node)
	}
	lead(have, want)
	return have, m
}

// blank is a machine that has nothing of what is asked for.
func blank(n desired.Node, want, asked desired.Cluster, now time.Time) actual.Node {
	node := actual.Node{
		Name: n.Name, ID: n.ID, At: now,
		Machine: &actual.Machine{MachineID: "of " + n.Name, BootID: "of " + n.Name, Platform: platform(asked), Clock: now, Root: true},
		Binary:  &actual.Binary{Versions: map[string]string{want.Vault.Version: "", asked.Vault.Version: ""}},
		Service: &actual.Service{LoadState: "not-found", ActiveState: "inactive", SubState: "dead"},
		Process: &actual.Process{},
		Files:   map[string]actual.File{}, Users: map[string]bool{},
		Data:  &actual.Data{State: actual.DataAbsent},
		Audit: &actual.Audit{Opens: map[string]bool{}},
	}
	for _, s := range []desired.Service{want.Service, asked.Service} {
		node.Users[s.User], node.Users["group:"+s.Group] = false, false
	}
	made := func(c desired.Cluster, folder string) bool {
		on, _ := c.Node(n.Name)
		return slices.ContainsFunc(on.Folders, func(f desired.Folder) bool { return f.Path == folder })
	}
	for _, a := range asked.Audit {
		if file := a.Options["file_path"]; a.Type == "file" && file != "" {
			// A folder that is made for it is not there yet; any other is.
			node.Audit.Opens[file] = !made(asked, path.Dir(file)) || made(want, path.Dir(file))
		}
	}
	on, _ := asked.Node(n.Name)
	for _, p := range on.Puts {
		node.Files[p.Path] = actual.File{Kind: actual.KindAbsent}
	}
	for _, f := range on.Folders {
		node.Files[f.Path] = actual.File{Kind: actual.KindAbsent}
	}
	return node
}

// platform is one that a spec has artefacts for.
func platform(c desired.Cluster) string {
	for _, p := range slices.Sorted(maps.Keys(c.Artefacts)) {
		return p
	}
	return "linux_amd64"
}

// fill makes a machine one that runs what the spec wants. A file behind a
// reference has the digest that the spec names: nothing is decrypted.
func fill(node *actual.Node, n desired.Node, want desired.Cluster, now time.Time) {
	started := now.Add(-time.Hour)
	binary := cmp.Or(want.Artefacts[node.Machine.Platform].Binary, "of "+want.Vault.Version) // no lock entry: whatever it is
	node.Users[want.Service.User], node.Users["group:"+want.Service.Group] = true, true
	node.Binary.Digest, node.Binary.Versions[want.Vault.Version] = binary, binary
	node.Service = &actual.Service{LoadState: "loaded", ActiveState: "active", SubState: "running", Result: "success",
		UnitFileState: "enabled", FragmentPath: want.Service.UnitPath, InvocationID: "of " + n.Name}
	node.Data = &actual.Data{State: actual.DataUsed}
	mark := &actual.Mark{Files: map[string]string{}, Config: n.Config}
	node.Process = &actual.Process{PID: 1, Started: started, Binary: binary, Mark: mark}
	for _, p := range n.Puts {
		f := actual.File{Kind: actual.KindFile, Digest: p.Digest, Owner: p.Owner, Group: p.Group, Mode: p.Mode, Mtime: started.Add(-time.Hour)}
		mark.Files[p.Path] = p.Digest
		switch {
		case p.Role == desired.RoleConfig:
			f.Config = n.Config
		case p.Role == desired.RoleUnit:
			mark.Unit = p.Digest
		case p.TLS == "cert":
			f.Certificate = &actual.Certificate{Digest: "of " + p.Digest}
			if node.Process.Served == nil {
				node.Process.Served = f.Certificate
			}
		}
		node.Files[p.Path] = f
	}
	for _, f := range n.Folders {
		node.Files[f.Path] = actual.File{Kind: actual.KindFolder, Owner: f.Owner, Group: f.Group, Mode: f.Mode}
	}
	node.Vault = &actual.Vault{Initialized: true, SealType: want.Seal.Kind, Threshold: want.Keys.Threshold, Shares: want.Keys.Shares,
		Version: want.Vault.Version, StorageType: want.Storage.Kind, ClusterID: cmp.Or(want.ClusterID, "of "+want.Name), Applied: 1, Committed: 1}
}

// lead lets the first node that runs be the leader, which tells who votes.
func lead(have []actual.Node, want desired.Cluster) {
	devices := map[string]actual.Device{}
	for _, a := range want.Audit {
		devices[a.Path] = actual.Device{Type: a.Type, Options: a.Options}
	}
	raft := &actual.Raft{Autopilot: &actual.Autopilot{Healthy: true, HealthyServers: map[string]bool{}}}
	var leader *actual.Node
	for i := range have {
		n := &have[i]
		if n.Vault == nil {
			continue
		}
		if leader == nil {
			leader = n
		}
		on, _ := want.Node(leader.Name)
		n.Vault.Leader, n.Vault.LeaderAddress = n == leader, on.APIAddr
		raft.Servers = append(raft.Servers, actual.Server{ID: n.ID, Voter: true, Leader: n == leader})
		raft.Autopilot.HealthyServers[n.ID] = true
	}
	if leader != nil {
		leader.Raft, leader.Audit.Devices = raft, devices
	}
}
