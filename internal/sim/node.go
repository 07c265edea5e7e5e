package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	goversion "github.com/hashicorp/go-version"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

var errNotFound = errors.New("unit not found or masked")

// File is a file or folder on a node's disk.
type File struct {
	Folder bool
	Body   []byte
	Owner  string
	Group  string
	Mode   string
	Mtime  time.Time
}

// Digest is "sha256:HEX" of the body.
func (f File) Digest() string {
	sum := sha256.Sum256(f.Body)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Node is one machine: disk, accounts, one unit and one Vault.
type Node struct {
	Name    string
	Address string
	Boot    int
	Users   map[string]bool
	Files   map[string]File
	Links   map[string]string // vault.path → version
	Unit    Systemd
	Vault   Vault
	Started time.Time
	Mark    *actual.Mark
	RunsV   string // version of the running process
	Epoch   uint64
	Holder  string
	Down    bool // out of the reconciler's reach
	Mute    bool // its journal cannot be read
	// Unusable are the digests of files that no Vault can use, such as a key that
	// does not belong to its certificate.
	Unusable map[string]bool
	Writes   int    // how often anything on the node was changed by the reconciler
	Answer   string // of init, by its nonce

	rest []stage   // of a call that nobody listens to any more
	due  time.Time // when the rest is done
	read struct {  // by the last look: the configuration, which is often the same
		digest string
		keys   map[string]string
	}
}

func newNode(name, address string) *Node {
	return &Node{Name: name, Address: address, Boot: 1, Users: map[string]bool{}, Files: map[string]File{}, Links: map[string]string{},
		Unit: Systemd{Active: "inactive"}}
}

// versionDigest stands for the bytes of a version's binary.
func versionDigest(version string) string {
	return File{Body: []byte("vault " + version)}.Digest()
}

// start runs Vault as the unit would: it reads its configuration, refuses what
// Vault refuses, and marks what it was started with.
func (n *Node) start(c desired.Cluster, now time.Time) error {
	version := n.Links[c.Vault.Path]
	config, err := desired.Flatten(n.Files[c.Service.ConfigPath].Body)
	if version == "" || err != nil {
		return fmt.Errorf("vault does not start: version %q, config: %w", version, err)
	}
	if _, ok := config["storage.raft.path"]; !ok {
		return errors.New("vault does not start: no storage")
	}
	if _, ok := config["disable_mlock"]; !ok && AtLeast(version, "1.20.0") {
		return errors.New("vault does not start: disable_mlock must be configured")
	}
	if path := n.unusable(); path != "" {
		return fmt.Errorf("vault does not start: it cannot use %s", path)
	}
	n.Vault.ID = strings.Trim(config["storage.raft.node_id"], `"`)
	n.Vault.Up, n.Vault.Open, n.Vault.Version, n.RunsV, n.Started = true, false, version, version, now
	n.mark(c)
	return nil
}

// flip lets what was staged go live, and the unit be known.
func (n *Node) flip(c desired.Cluster, staged map[string]File, version string) {
	maps.Copy(n.Files, staged)
	if version != "" {
		n.Links[c.Vault.Path] = version
	}
	if unit, ok := n.Files[c.Service.UnitPath]; ok {
		n.Unit.Reload(unit.Digest())
	}
}

// runs says that the process runs that version, if one is named, and these
// files.
func (n *Node) runs(version string, files map[string]File) bool {
	if n.Mark == nil || version != "" && n.RunsV != version {
		return false
	}
	for path, f := range files {
		if n.Mark.Files[path] != f.Digest() {
			return false
		}
	}
	return true
}

// finish does what is left of a call that was under way.
func (n *Node) finish(w *World) {
	rest := n.rest
	n.rest = nil
	for _, stage := range rest {
		_ = stage(w, n) // nobody listens; the next look sees what came of it
	}
}

// goOn finishes a call once its time has come.
func (n *Node) goOn(w *World) {
	if n.rest != nil && !w.Time.Before(n.due) {
		n.finish(w)
	}
}

// unusable is a file on disk that Vault cannot use, or "".
func (n *Node) unusable() string {
	for _, path := range slices.Sorted(maps.Keys(n.Files)) {
		if f := n.Files[path]; !f.Folder && n.Unusable[f.Digest()] {
			return path
		}
	}
	return ""
}

// reload is SIGHUP, and what the node script hears of it: Vault uses what it can
// and never fails of the rest.
func (n *Node) reload(c desired.Cluster, puts []diff.Put, now time.Time) error {
	untaken := &actual.Untaken{Files: map[string]string{}, At: now}
	for _, p := range puts {
		untaken.Files[p.Path] = n.Files[p.Path].Digest()
	}
	path := n.unusable()
	switch {
	case n.Mute:
		untaken.Why = "the journal cannot be read"
	case path != "":
		untaken.Refused, untaken.Why = true, "error encountered reloading listener: "+path
	default:
		n.mark(c)
		return nil
	}
	n.Mark.Untaken = untaken
	return fmt.Errorf("reload of vault.service: %s", untaken.Why)
}

// mark notes what the process was started or last reloaded with.
func (n *Node) mark(c desired.Cluster) {
	config, _ := desired.Flatten(n.Files[c.Service.ConfigPath].Body) // start and reload have parsed it
	n.Mark = &actual.Mark{Files: map[string]string{}, Config: config, Unit: n.Unit.Loaded}
	for path, f := range n.Files {
		if !f.Folder {
			n.Mark.Files[path] = f.Digest()
		}
	}
}

// AtLeast says that a version is a floor or newer. What is no version is not.
func AtLeast(version, floor string) bool {
	v, err := goversion.NewVersion(version)
	f, ferr := goversion.NewVersion(floor)
	return err == nil && ferr == nil && v.GreaterThanOrEqual(f)
}

// stop ends Vault cleanly.
func (n *Node) stop() {
	n.Unit.Stop()
	n.Vault.Stop()
	n.Mark = nil
}

// Reboot takes the machine down and up; an enabled unit starts by itself.
func (n *Node) Reboot(c desired.Cluster, now time.Time) {
	n.Vault.Stop()
	n.Boot++
	n.Mark, n.Unit.Active, n.Unit.Result = nil, "inactive", "success"
	if n.Unit.Enabled {
		_ = n.Unit.Start(func() error { return n.start(c, now) }) // a failure is the unit's state, which the next look sees
	}
}

// look is what the probe would tell of the machine.
func (n *Node) look(t actual.Target, now time.Time) actual.Node {
	seen := actual.Node{Name: n.Name, ID: t.ID, At: now}
	if n.Down {
		seen.Unknown = map[actual.Phase]string{actual.PhaseTCP: "no route to host"}
		return seen
	}
	seen.Machine = &actual.Machine{MachineID: "m-" + n.Name, BootID: fmt.Sprint("boot-", n.Boot), Platform: "linux_amd64", Clock: now, Root: true,
		Fence: &actual.Fence{Epoch: n.Epoch, Holder: n.Holder}, PeersReach: map[string]string{}}
	seen.Users = map[string]bool{}
	for _, u := range t.Users {
		seen.Users[u] = n.Users[u]
	}
	for _, g := range t.Groups {
		seen.Users["group:"+g] = n.Users[g]
	}
	seen.Files = map[string]actual.File{}
	for path := range t.Files {
		seen.Files[path] = n.lookFile(path, path == t.ConfigPath)
	}
	seen.Binary = &actual.Binary{Versions: map[string]string{}}
	if v := n.Links[t.BinaryPath]; v != "" {
		seen.Binary.Digest = versionDigest(v)
	}
	for _, v := range t.Versions {
		if _, ok := n.Files[desired.BinaryPath(v)]; ok {
			seen.Binary.Versions[v] = versionDigest(v)
		} else {
			seen.Binary.Versions[v] = ""
		}
	}
	n.lookService(&seen, t)
	seen.Audit = &actual.Audit{Opens: map[string]bool{}}
	for _, path := range t.AuditFiles {
		f, ok := n.Files[path[:strings.LastIndex(path, "/")]]
		seen.Audit.Opens[path] = ok && f.Owner == t.AuditUser
	}
	return seen
}

func (n *Node) lookFile(path string, config bool) actual.File {
	f, ok := n.Files[path]
	switch {
	case !ok:
		return actual.File{Kind: actual.KindAbsent}
	case f.Folder:
		return actual.File{Kind: actual.KindFolder, Owner: f.Owner, Group: f.Group, Mode: f.Mode}
	}
	out := actual.File{Kind: actual.KindFile, Digest: f.Digest(), Owner: f.Owner, Group: f.Group, Mode: f.Mode, Size: int64(len(f.Body)), Mtime: f.Mtime}
	if config {
		if n.read.digest != out.Digest {
			n.read.digest = out.Digest
			n.read.keys, _ = desired.Flatten(f.Body) // what does not parse has no keys
		}
		out.Config = maps.Clone(n.read.keys)
	}
	return out
}

func (n *Node) lookService(seen *actual.Node, t actual.Target) {
	unit := actual.Service{LoadState: "loaded", ActiveState: n.Unit.Active, Result: n.Unit.Result, UnitFileState: "disabled",
		InvocationID: fmt.Sprint("run-", n.Unit.Runs), FragmentPath: "/etc/systemd/system/" + t.Service + ".service"}
	if n.Unit.Enabled {
		unit.UnitFileState = "enabled"
	}
	f, onDisk := n.Files[unit.FragmentPath]
	if n.Unit.Loaded == "" {
		unit.LoadState, unit.FragmentPath = "not-found", ""
	}
	unit.NeedDaemonReload = onDisk && n.Unit.Loaded != "" && n.Unit.Loaded != f.Digest()
	seen.Service = &unit
	seen.Process = &actual.Process{}
	if n.Vault.Up {
		seen.Process = &actual.Process{PID: 100 + n.Unit.Runs, Started: n.Started, Binary: versionDigest(n.RunsV), Mark: cloneMark(n.Mark)}
	}
	seen.Data = &actual.Data{State: actual.DataEmpty}
	if n.Vault.Raft != nil || n.Vault.Up {
		seen.Data = &actual.Data{State: actual.DataUsed, Device: "dev-" + n.Name}
	}
}

func cloneMark(m *actual.Mark) *actual.Mark {
	if m == nil {
		return nil
	}
	return &actual.Mark{Files: maps.Clone(m.Files), Config: maps.Clone(m.Config), Unit: m.Unit, Untaken: m.Untaken}
}
