package diff

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// A scene is a cluster with one situation in it, built from a story of short
// lines: what the spec wants, what the nodes say, what is remembered.
type scene struct {
	want   desired.Cluster
	have   []actual.Node
	memory Memory
	now    time.Time
	tries  []func(*scene) // after everything else, because step IDs depend on it
}

const (
	configPath = "/etc/vault.d/vault.hcl"
	unitPath   = "/etc/systemd/system/vault.service"
	certPath   = "/etc/vault.d/tls/vault.crt"
	keyPath    = "/etc/vault.d/tls/vault.key"
	notePath   = "/etc/vault.d/motd"
	dataPath   = "/opt/vault/data"
	auditPath  = "/var/log/vault/audit.log"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func binaryDigest(version string) string { return "sha256:vault-" + version }

// freshScene is n empty machines and a spec; nothing is remembered.
func freshScene(n int) *scene {
	s := &scene{now: noon, memory: Memory{}}
	s.want = desired.Cluster{
		Name: "prod", Mode: desired.ModeEnforce, Manage: desired.Concerns(), Rules: desired.RulesProduction,
		Vault:     desired.Vault{Version: "1.21.0", Path: "/usr/local/bin/vault"},
		Artefacts: map[string]desired.Artefact{"linux_amd64": {Binary: binaryDigest("1.21.0")}},
		CA:        []byte("CA"), Storage: desired.Storage{Kind: "raft", Path: dataPath}, Seal: desired.Seal{Kind: "shamir"},
		Keys:    desired.Keys{Shares: 5, Threshold: 3, HeldBy: desired.HeldByReconciler},
		Service: desired.Service{Manager: "systemd", Name: "vault", User: "vault", Group: "vault", UnitPath: unitPath, ConfigPath: configPath, EnvironmentPath: "/etc/vault.d/vault.env"},
		Audit: []desired.Audit{
			{Path: "file", Type: "file", Options: map[string]string{"file_path": auditPath}},
			{Path: "syslog", Type: "syslog"},
		},
		Digest: "spec-1",
	}
	for i := 1; i <= n; i++ {
		s.want.Nodes = append(s.want.Nodes, sceneNode(i))
		s.have = append(s.have, emptyMachine(s.want.Nodes[i-1], s.want))
	}
	return s
}

func sceneNode(i int) desired.Node {
	name := fmt.Sprintf("eu-%d", i)
	address := fmt.Sprintf("10.1.0.1%d", i)
	put := func(path, digest string, role desired.Role) desired.Put {
		return desired.Put{Path: path, Owner: "root", Group: "vault", Mode: "0640", Digest: digest, Role: role}
	}
	cert, key := put(certPath, "sha256:cert-1-"+name, desired.RoleFile), put(keyPath, "age:sha256:key-1-"+name, desired.RoleFile)
	cert.TLS, cert.Pair, cert.OnChange = "cert", keyPath, desired.OnChangeReload
	key.TLS, key.Pair, key.OnChange = "key", certPath, desired.OnChangeReload
	note := put(notePath, "sha256:note-1", desired.RoleFile)
	note.OnChange = desired.OnChangeNone
	return desired.Node{
		Name: name, ID: name, Address: address, TLSServerName: address,
		APIAddr: "https://" + address + ":8200", ClusterAddr: "https://" + address + ":8201",
		SSH:     desired.SSH{Port: 22, User: "reconciler", API: desired.APITunnel},
		Puts:    []desired.Put{put(unitPath, "sha256:unit-1", desired.RoleUnit), note, cert, key, put(configPath, "sha256:config-1-"+name, desired.RoleConfig)},
		Folders: []desired.Folder{{Path: dataPath, Owner: "vault", Group: "vault", Mode: "0700"}},
		Config: map[string]string{
			"ui": "true", "log_level": `"info"`, "disable_mlock": "true",
			"storage.raft.path": `"` + dataPath + `"`, "storage.raft.node_id": `"` + name + `"`,
			"storage.raft.retry_join[0].leader_api_addr": `"https://other:8200"`,
		},
	}
}

func emptyMachine(n desired.Node, want desired.Cluster) actual.Node {
	node := actual.Node{
		Name: n.Name, ID: n.ID, At: noon,
		Machine: &actual.Machine{MachineID: "m-" + n.Name, BootID: "boot-1", Platform: "linux_amd64", Clock: noon, Root: true,
			PeersReach: map[string]string{}},
		Binary:  &actual.Binary{Versions: map[string]string{"1.21.0": "", "1.21.1": "", "1.20.0": ""}},
		Service: &actual.Service{LoadState: "not-found", ActiveState: "inactive", SubState: "dead"},
		Process: &actual.Process{},
		Files:   map[string]actual.File{}, Users: map[string]bool{"vault": false, "group:vault": false},
		Data:  &actual.Data{State: actual.DataAbsent},
		Audit: &actual.Audit{Opens: map[string]bool{auditPath: false}},
	}
	for _, p := range n.Puts {
		node.Files[p.Path] = actual.File{Kind: actual.KindAbsent}
	}
	for _, f := range n.Folders {
		node.Files[f.Path] = actual.File{Kind: actual.KindAbsent}
	}
	return node
}

// convergedScene is a born cluster that is what the spec wants.
func convergedScene(n int) *scene {
	s := freshScene(n)
	s.want.ClusterID = "cluster-1"
	s.memory = Memory{Known: true, ClusterID: "cluster-1", Newest: "1.21.0",
		Birth:   Birth{Phase: BirthDone, Seed: "eu-1", Holders: []string{"alice"}},
		Good:    Standing{Cluster: "prod", Digest: "spec-1", Since: noon.Add(-time.Hour)},
		Secrets: map[string]string{}}
	for i, n := range s.want.Nodes {
		s.have[i] = runningMachine(n, s.want)
		s.memory.Secrets["age:sha256:key-1-"+n.Name] = "sha256:plain-key-1-" + n.Name
		process := processOf(s.have[i])
		s.memory.Members = append(s.memory.Members, Member{Name: n.Name, Address: n.Address, ID: n.ID, Empty: true, Joined: true,
			Device: "dev-1", Open: process, Run: process, Ran: "boot-1"})
	}
	s.lead("eu-1")
	return s
}

func runningMachine(n desired.Node, want desired.Cluster) actual.Node {
	node := emptyMachine(n, want)
	node.Users = map[string]bool{"vault": true, "group:vault": true}
	node.Binary = &actual.Binary{Digest: binaryDigest("1.21.0"), Versions: map[string]string{"1.21.0": binaryDigest("1.21.0"), "1.21.1": "", "1.20.0": ""}}
	node.Service = &actual.Service{LoadState: "loaded", ActiveState: "active", SubState: "running", Result: "success", UnitFileState: "enabled", FragmentPath: unitPath, InvocationID: "run-1"}
	node.Data = &actual.Data{State: actual.DataUsed, Device: "dev-1"}
	node.Audit = &actual.Audit{Opens: map[string]bool{auditPath: true}}
	mark := &actual.Mark{Files: map[string]string{}, Config: maps.Clone(n.Config)}
	for _, p := range n.Puts {
		digest := strings.Replace(p.Digest, "age:sha256:", "sha256:plain-", 1)
		f := actual.File{Kind: actual.KindFile, Digest: digest, Owner: p.Owner, Group: p.Group, Mode: p.Mode, Mtime: noon.Add(-2 * time.Hour)}
		if p.TLS == "cert" {
			f.Certificate = &actual.Certificate{Digest: "leaf-" + digest}
		}
		if p.Role == desired.RoleConfig {
			f.Config = maps.Clone(n.Config)
		}
		node.Files[p.Path] = f
		mark.Files[p.Path] = digest
		if p.Role == desired.RoleUnit {
			mark.Unit = digest
		}
	}
	for _, f := range n.Folders {
		node.Files[f.Path] = actual.File{Kind: actual.KindFolder, Owner: f.Owner, Group: f.Group, Mode: f.Mode}
	}
	node.Process = &actual.Process{PID: 100, Started: noon.Add(-time.Hour), Binary: binaryDigest("1.21.0"), Mark: mark,
		Served: &actual.Certificate{Digest: node.Files[certPath].Certificate.Digest}}
	node.Vault = &actual.Vault{Initialized: true, SealType: "shamir", Threshold: 3, Shares: 5, Version: "1.21.0", StorageType: "raft", ClusterID: "cluster-1", Applied: 100, Committed: 100}
	return node
}

// lead makes a node the leader and lets it tell who votes.
func (s *scene) lead(name string) {
	raft := &actual.Raft{Autopilot: &actual.Autopilot{Healthy: true, HealthyServers: map[string]bool{}}}
	devices := map[string]actual.Device{}
	for _, a := range s.want.Audit {
		devices[a.Path] = actual.Device{Type: a.Type, Options: a.Options}
	}
	for i := range s.have {
		n := &s.have[i]
		if n.Vault == nil {
			continue
		}
		n.Vault.Leader = n.Name == name
		n.Vault.LeaderAddress = s.node(name).APIAddr
		n.Raft = nil
		raft.Servers = append(raft.Servers, actual.Server{ID: n.ID, Voter: true, Leader: n.Name == name})
		raft.Autopilot.HealthyServers[n.ID] = true
	}
	if h := s.find(name); h != nil {
		h.Raft, h.Audit.Devices = raft, devices
	}
}

func (s *scene) node(name string) *desired.Node {
	i := slices.IndexFunc(s.want.Nodes, func(n desired.Node) bool { return n.Name == name })
	if i < 0 {
		return nil
	}
	return &s.want.Nodes[i]
}

func (s *scene) find(name string) *actual.Node {
	i := slices.IndexFunc(s.have, func(n actual.Node) bool { return n.Name == name })
	if i < 0 {
		return nil
	}
	return &s.have[i]
}

func (s *scene) plan() Plan {
	for _, try := range s.tries {
		try(s)
	}
	m := Remember(s.memory, s.want, s.have, s.now)
	return Cluster(s.want, s.have, m, s.now)
}

// tell builds a scene from its story. Every line is one fact; an unknown line
// fails the test.
func tell(t *testing.T, story string) *scene {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(story), "\n")
	head := strings.Fields(lines[0])
	if len(head) != 3 || head[2] != "nodes" {
		t.Fatalf("a story begins with \"fresh 3 nodes\" or \"converged 3 nodes\", not %q", lines[0])
	}
	n, err := strconv.Atoi(head[1])
	if err != nil {
		t.Fatal(err)
	}
	s := map[string]func(int) *scene{"fresh": freshScene, "converged": convergedScene}[head[0]](n)
	for _, line := range lines[1:] {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := s.apply(strings.Fields(line)); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
	}
	return s
}

func (s *scene) apply(words []string) error {
	if n := s.find(words[0]); n != nil {
		return s.applyNode(n, words[1:])
	}
	rest := words[1:]
	switch words[0] {
	case "want":
		return s.applyWant(rest)
	case "memory":
		return s.applyMemory(rest)
	case "leader":
		s.lead(rest[0])
	case "no-credential":
		for i := range s.have {
			s.have[i].Raft = nil
			if s.have[i].Audit != nil {
				s.have[i].Audit.Devices = nil
			}
		}
	case "no-device": // the audit device is not enabled
		for i := range s.have {
			if a := s.have[i].Audit; a != nil {
				delete(a.Devices, rest[0])
			}
		}
	case "device": // PATH TYPE, enabled by somebody
		for i := range s.have {
			if a := s.have[i].Audit; a != nil && a.Devices != nil {
				a.Devices[rest[0]] = actual.Device{Type: rest[1]}
			}
		}
	case "no-member": // out of raft's configuration
		for i := range s.have {
			if r := s.have[i].Raft; r != nil {
				r.Servers = slices.DeleteFunc(r.Servers, func(x actual.Server) bool { return x.ID == rest[0] })
			}
		}
	case "replace": // NODE ID: a new server in a member's place, which raft knows no more
		fresh := emptyMachine(*s.node(rest[0]), s.want)
		s.node(rest[0]).ID, fresh.ID = rest[1], rest[1]
		*s.find(rest[0]) = fresh
		return s.apply([]string{"no-member", rest[0]})
	case "stranger": // a voter that no node accounts for
		for i := range s.have {
			if r := s.have[i].Raft; r != nil {
				r.Servers = append(r.Servers, actual.Server{ID: rest[0], Voter: true})
			}
		}
	case "forget-start": // NODE: no start there was ours
		s.memory.Tries = slices.DeleteFunc(slices.Clone(s.memory.Tries), func(t Try) bool { return t.Node == rest[0] })
	case "acted": // NODE OUTCOME AGO: a restart of ours
		ago, err := time.ParseDuration(rest[2])
		s.memory = s.memory.Record(Try{Op: "old-op", Step: "old-step", Node: rest[0], Action: ActionRestart, Outcome: Outcome(rest[1]), Count: 1, At: s.now.Add(-ago)})
		return err
	case "already": // ACTION NODE OUTCOME COUNT AGO, before what the story says next
		s.try(rest)
	case "tried": // ACTION NODE OUTCOME COUNT AGO [CUT]
		s.tries = append(s.tries, func(s *scene) { s.try(rest) })
	case "all":
		for i := range s.have {
			if err := s.applyNode(&s.have[i], rest); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("no such line")
	}
	return nil
}

// try remembers an attempt at the step that the plan would have now.
func (s *scene) try(words []string) {
	m := Remember(s.memory, s.want, s.have, s.now)
	plan := Cluster(s.want, s.have, m, s.now)
	count, _ := strconv.Atoi(words[3])
	ago, _ := time.ParseDuration(words[4])
	cut := 0
	if len(words) > 5 {
		cut, _ = strconv.Atoi(words[5])
	}
	id := "elsewhere"
	for _, w := range plan.Waves {
		for _, step := range w {
			if string(step.Action) == words[0] && step.Node == words[1] && id == "elsewhere" {
				id = step.ID
			}
		}
	}
	s.memory = s.memory.Record(Try{Op: "op", Step: id, Node: words[1], Action: Action(words[0]), Outcome: Outcome(words[2]), Evidence: "no space left on device", Count: count, Cut: cut, At: s.now.Add(-ago)})
}

func (s *scene) applyMemory(words []string) error {
	switch words[0] {
	case "empty":
		s.memory = Memory{}
	case "approved":
		s.memory.Leaves = append(s.memory.Leaves, Leave{Kind: LeaveInit, By: "alice", At: noon})
	case "held":
		l := Leave{Kind: LeaveHold, By: "bob", Reason: "disk swap", At: noon}
		if len(words) > 1 {
			l.Node = words[1]
		}
		s.memory.Leaves = append(s.memory.Leaves, l)
	case "retry":
		s.memory.Leaves = append(s.memory.Leaves, Leave{Kind: LeaveRetry, By: "bob", At: noon})
	case "newest":
		s.memory.Newest = words[1]
	case "birth":
		phase := BirthPhase(words[1])
		if words[1] == "none" {
			phase = BirthNone
		}
		s.memory.Birth = Birth{Phase: phase, Seed: "eu-1", Holders: []string{"alice"}, Evidence: "the connection was lost"}
	case "proven": // every data folder was seen empty before the first start
		for _, n := range s.want.Nodes {
			s.memory.Members[s.memory.member(n.Name)].Empty = true
		}
	case "known":
		s.memory.Known, s.memory.ClusterID = true, "cluster-1"
	case "unjoined":
		s.memory.Members[s.memory.member(words[1])].Joined = false
	case "outsider":
		s.memory.Members = append(s.memory.Members, Member{Name: words[1], Address: "10.1.0.99", ID: words[1], Joined: true})
	case "good": // another spec was converged on last
		s.memory.Good.Digest = words[1]
	default:
		return fmt.Errorf("no such memory")
	}
	return nil
}

func (s *scene) applyWant(words []string) error {
	s.want.Digest = "spec-2"
	switch words[0] {
	case "config": // KEY VALUE
		for i := range s.want.Nodes {
			n := &s.want.Nodes[i]
			n.Config = maps.Clone(n.Config)
			n.Config[words[1]] = words[2]
			s.redigest(n, configPath, "sha256:config-2-"+n.Name)
		}
	case "bytes": // PATH: other bytes
		for i := range s.want.Nodes {
			n := &s.want.Nodes[i]
			s.redigest(n, words[1], "sha256:other-"+n.Name)
		}
	case "on-change": // PATH EFFECT
		for i := range s.want.Nodes {
			for j := range s.want.Nodes[i].Puts {
				if p := &s.want.Nodes[i].Puts[j]; p.Path == words[1] {
					p.OnChange = desired.OnChange(words[2])
				}
			}
		}
	case "version":
		s.want.Vault.Version = words[1]
		s.want.Artefacts = map[string]desired.Artefact{"linux_amd64": {Binary: binaryDigest(words[1])}}
		if len(words) > 2 && words[2] == "unlocked" {
			s.want.Artefacts = nil
		}
	case "mode":
		s.want.Mode, s.want.Digest = desired.Mode(words[1]), "spec-1"
	case "rules":
		s.want.Rules = desired.Rules(words[1])
	case "manage":
		s.want.Manage = nil
		for _, c := range words[1:] {
			s.want.Manage = append(s.want.Manage, desired.Concern(c))
		}
	case "unbuilt":
		s.want.Unbuilt = []desired.Unbuilt{{Key: words[1], Place: desired.Place{File: "clusters/prod/cluster.yaml", Line: 7, Column: 3}}}
	case "cluster-id":
		s.want.ClusterID = words[1]
	case "no-cluster-id":
		s.want.ClusterID = ""
	case "pause":
		s.want.Rollout.Pause, _ = time.ParseDuration(words[1])
	case "without":
		s.want.Nodes = slices.DeleteFunc(slices.Clone(s.want.Nodes), func(n desired.Node) bool { return n.Name == words[1] })
	case "audit": // PATH TYPE
		s.want.Audit = append(slices.Clone(s.want.Audit), desired.Audit{Path: words[1], Type: words[2]})
	default:
		return fmt.Errorf("no such wish")
	}
	return nil
}

func (s *scene) redigest(n *desired.Node, path, digest string) {
	n.Puts = slices.Clone(n.Puts)
	for i := range n.Puts {
		if n.Puts[i].Path == path {
			n.Puts[i].Digest = digest
		}
	}
}

func (s *scene) applyNode(n *actual.Node, words []string) error {
	switch words[0] {
	case "unreachable": // PHASE
		*n = actual.Node{Name: n.Name, ID: n.ID, At: noon, Unknown: map[actual.Phase]string{actual.Phase(words[1]): "connection refused"}}
	case "rootless":
		n.Machine.Root = false
	case "sealed": // same process
		n.Vault.Sealed, n.Vault.Leader, n.Vault.ClusterID, n.Raft = true, false, "", nil
	case "restarted": // another process, so sealed
		n.Process.PID, n.Service.InvocationID = 200, "run-2"
		n.Vault.Sealed, n.Vault.Leader, n.Vault.ClusterID, n.Raft = true, false, "", nil
	case "rebooted":
		n.Machine.BootID = "boot-2"
		n.Process.PID, n.Service.InvocationID = 50, "run-3"
		n.Vault.Sealed, n.Vault.Leader, n.Vault.ClusterID, n.Raft = true, false, "", nil
	case "opened": // unsealed again, in this process
		n.Vault.Sealed, n.Vault.ClusterID = false, "cluster-1"
	case "seen": // fold what the node says now into the memory
		s.memory = Remember(s.memory, s.want, s.have, s.now)
	case "service": // STATE [RESULT]
		s.down(n, words[1])
		if len(words) > 2 {
			n.Service.Result = words[2]
		}
	case "stopping": // its API was read just before, the rest just after
		api := n.Vault
		s.down(n, "inactive")
		n.Service.Result, n.Vault = "success", api
	case "auto-restart":
		n.Service.SubState = "auto-restart"
	case "unit-gone": // the spec's unit is not there, and Vault runs
		n.Service = &actual.Service{LoadState: "not-found", ActiveState: "inactive"}
	case "machine":
		n.Machine.MachineID = words[1]
	case "audit-untried":
		n.Audit.Opens = nil
	case "masked":
		n.Service.LoadState, n.Service.UnitFileState = "masked", "masked"
	case "disabled":
		n.Service.UnitFileState = "disabled"
	case "boot":
		n.Machine.BootID = words[1]
	case "hold":
		n.Machine.Hold = &actual.Hold{Text: "do not touch, bob"}
	case "peers.json":
		n.Data.Peers = true
	case "data": // STATE [DEVICE]
		n.Data = &actual.Data{State: actual.DataState(words[1])}
		if len(words) > 2 {
			n.Data.Device = words[2]
		}
	case "data-unreadable":
		n.Data = nil
	case "initialized": // Vault runs and says so
		n.Vault = &actual.Vault{Initialized: words[1] == "yes", Sealed: true, SealType: "shamir", Threshold: 3, Shares: 5, Version: "1.21.0"}
	case "threshold":
		n.Vault.Threshold, _ = strconv.Atoi(words[1])
	case "edited": // PATH on disk, not loaded
		f := n.Files[words[1]]
		f.Digest, f.Mtime = "sha256:edited", noon
		n.Files[words[1]] = f
	case "loaded": // PATH: the process has other bytes than the disk
		n.Process.Mark.Files[words[1]] = "sha256:older"
		if words[1] == unitPath {
			n.Process.Mark.Unit = "sha256:older"
		}
		n.Process.Mark.Config = maps.Clone(n.Process.Mark.Config)
		if len(words) > 3 {
			n.Process.Mark.Config[words[2]] = words[3]
		}
	case "placed": // PATH… lies there as the spec wants it
		for _, path := range words[1:] {
			s.place(n, path)
		}
	case "untaken": // refused or unseen, PATH…: a reload with what lies there did not bring it into force
		n.Process.Mark.Untaken = &actual.Untaken{Files: map[string]string{}, Refused: words[1] == "refused", Why: "it said so", At: noon.Add(-time.Minute)}
		for _, path := range words[2:] {
			n.Process.Mark.Untaken.Files[path] = n.Files[path].Digest
		}
	case "loaded-as-placed": // the process took up all that lies there
		raw, _ := s.want.Node(n.Name)
		for path, f := range n.Files {
			n.Process.Mark.Files[path] = f.Digest
		}
		n.Process.Mark.Config = maps.Clone(raw.Config)
	case "serves-new-certificate":
		n.Process.Served = &actual.Certificate{Digest: n.Files[certPath].Certificate.Digest}
	case "mode": // PATH MODE
		f := n.Files[words[1]]
		f.Mode = words[2]
		n.Files[words[1]] = f
	case "missing": // PATH
		n.Files[words[1]] = actual.File{Kind: actual.KindAbsent}
	case "unmarked":
		n.Process.Mark = nil
	case "stale-unit":
		n.Service.NeedDaemonReload = true
	case "binary": // VERSION at vault.path
		n.Binary.Digest = binaryDigest(words[1])
	case "runs": // VERSION
		n.Process.Binary, n.Vault.Version = binaryDigest(words[1]), words[1]
	case "staged": // VERSION
		n.Binary.Versions[words[1]] = binaryDigest(words[1])
	case "upgraded": // VERSION everywhere on the node
		n.Binary.Versions[words[1]] = binaryDigest(words[1])
		n.Binary.Digest, n.Process.Binary, n.Vault.Version = binaryDigest(words[1]), binaryDigest(words[1]), words[1]
	case "behind":
		m := s.memory.member(n.Name)
		s.memory.Members[m].Index = n.Vault.Applied + 1000
	case "unhealthy":
		for i := range s.have {
			if r := s.have[i].Raft; r != nil {
				r.Autopilot.HealthyServers[n.ID] = false
			}
		}
	case "nonvoter":
		for i := range s.have {
			if r := s.have[i].Raft; r != nil {
				for j := range r.Servers {
					r.Servers[j].Voter = r.Servers[j].Voter && r.Servers[j].ID != n.ID
				}
			}
		}
	case "leaderless":
		n.Vault.Leader, n.Vault.LeaderAddress, n.Raft = false, "", nil
	case "names": // another leader
		n.Vault.LeaderAddress = words[1]
	case "cluster":
		n.Vault.ClusterID = words[1]
	case "removed":
		n.Vault.Removed, n.Vault.Sealed, n.Vault.ClusterID = true, true, ""
	case "certificate": // PROBLEM
		n.Process.Served = &actual.Certificate{Digest: "leaf-old", Problem: words[1]}
	case "serves-old-certificate":
		n.Process.Served = &actual.Certificate{Digest: "leaf-old"}
	case "audit-shut":
		n.Audit.Opens[auditPath] = false
	case "audit-open":
		n.Audit.Opens[auditPath] = true
	case "api-silent":
		n.Vault, n.Raft, n.Unknown = nil, nil, map[actual.Phase]string{actual.PhaseVaultAPI: "connection refused"}
	case "peers": // open or silent
		n.Machine.PeersReach = map[string]string{"10.1.0.12:8200": words[1]}
	case "prepared": // everything placed, nothing started
		raw, _ := s.want.Node(n.Name)
		full := runningMachine(raw, s.want)
		n.Users, n.Binary, n.Files, n.Audit = full.Users, full.Binary, full.Files, full.Audit
		n.Service = &actual.Service{LoadState: "loaded", ActiveState: "inactive", UnitFileState: "enabled", FragmentPath: unitPath, Result: "success"}
	case "waiting-for-birth": // Vault runs over an empty folder
		raw, _ := s.want.Node(n.Name)
		full := runningMachine(raw, s.want)
		full.Machine = n.Machine
		full.Machine.PeersReach = map[string]string{"10.1.0.12:8200": "open"}
		*n = full
		n.Vault = &actual.Vault{Sealed: true, SealType: "shamir", Version: "1.21.0"}
		if len(words) < 2 || words[1] != "by-hand" {
			s.memory = s.memory.Record(Try{Op: "op-start", Step: "start-" + n.Name, Node: n.Name, Action: ActionStart, Outcome: OutcomeDone, Count: 1, At: s.now.Add(-time.Minute)})
		}
		for _, digest := range []string{"age:sha256:key-1-" + n.Name} {
			if s.memory.Secrets == nil {
				s.memory.Secrets = map[string]string{}
			}
			s.memory.Secrets[digest] = "sha256:plain-key-1-" + n.Name
		}
	default:
		return fmt.Errorf("no such fact")
	}
	return nil
}

// place puts what the spec wants at a path.
func (s *scene) place(n *actual.Node, path string) {
	for _, p := range s.node(n.Name).Puts {
		if p.Path != path {
			continue
		}
		f := n.Files[path]
		f.Digest, f.Mtime = p.Digest, noon
		if encrypted := strings.HasPrefix(p.Digest, "age:"); encrypted || p.TLS == "key" {
			f.Digest = "sha256:plain-of-" + p.Digest
			s.memory.Secrets = maps.Clone(s.memory.Secrets)
			s.memory.Secrets[p.Digest] = f.Digest
		}
		if p.TLS == "cert" {
			f.Certificate = &actual.Certificate{Digest: "leaf-of-" + p.Digest}
		}
		n.Files[path] = f
	}
}

// down takes the service out of running.
func (s *scene) down(n *actual.Node, state string) {
	n.Service.ActiveState, n.Service.InvocationID = state, ""
	n.Process = &actual.Process{}
	n.Vault, n.Raft = nil, nil
}
