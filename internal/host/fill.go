package host

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// fill puts the reading into a Node. A section that could not be read stays nil.
func (r *reading) fill(n *actual.Node, now time.Time, known *bodies) {
	n.Machine = r.machineSection()
	n.Files = r.filesSection(now, known)
	n.Beside = r.besideConfig()
	n.Binary = r.binarySection()
	n.Service = r.serviceSection()
	n.Process = r.processSection(known)
	n.Data = r.dataSection()
	if users := asked(r.users, accounts(r.target)); len(users) > 0 {
		n.Users = users
	}
	if opens := asked(r.opens, r.target.AuditFiles); len(opens) > 0 {
		n.Audit = &actual.Audit{Opens: opens}
	}
}

// asked are the entries of m whose keys were asked for: a node cannot add others.
func asked[V any](m map[string]V, keys []string) map[string]V {
	out := make(map[string]V, len(keys))
	for _, k := range keys {
		if v, ok := m[k]; ok {
			out[k] = v
		}
	}
	return out
}

// besideConfig are files of the configuration's own folder that we did not ask for.
func (r *reading) besideConfig() []string {
	var beside []string
	for _, p := range r.beside {
		if _, known := r.target.Files[p]; !known && p != r.target.ConfigPath && path.Dir(p) == path.Dir(r.target.ConfigPath) {
			beside = append(beside, p)
		}
	}
	slices.Sort(beside)
	return slices.Compact(beside)
}

func accounts(t actual.Target) []string {
	all := append([]string{}, t.Users...)
	for _, g := range t.Groups {
		all = append(all, "group:"+g)
	}
	return all
}

func (r *reading) machineSection() *actual.Machine {
	m := &actual.Machine{
		MachineID: r.machine(), BootID: clean(r.single["boot-id"], 64), Platform: platform(r.single["platform"]),
		Clock: r.clock, Root: r.single["uid"] == "0",
		PeersReach: asked(r.peers, r.target.Peers), FreeBytes: asked(r.free, folders(r.target)),
	}
	if d := r.single["script"]; isDigest(d) {
		m.Script = "sha256:" + d
	}
	epoch, holder, _ := strings.Cut(r.single["epoch"], " ")
	if e, err := strconv.ParseUint(epoch, 10, 63); err == nil {
		m.Fence = &actual.Fence{Epoch: e, Holder: clean(holder, 256)}
	}
	if text, held := r.single["hold"]; held {
		at, _ := parseSeconds(r.single["hold-at"])
		m.Hold = &actual.Hold{Text: clean(text, 1000), At: at}
	}
	if m.MachineID == "" || m.BootID == "" || r.clock.IsZero() {
		r.problem("the machine's identity, boot or clock could not be read")
	}
	return m
}

// platform is "linux_amd64" for "Linux x86_64", in the words of Vault's
// releases.
func platform(uname string) string {
	system, machine, _ := strings.Cut(clean(uname, 64), " ")
	switch machine {
	case "x86_64":
		machine = "amd64"
	case "aarch64":
		machine = "arm64"
	case "i386", "i686":
		machine = "386"
	case "armv6l", "armv7l":
		machine = "arm"
	}
	return strings.ToLower(system) + "_" + machine
}

func (r *reading) filesSection(now time.Time, known *bodies) map[string]actual.File {
	files := map[string]actual.File{}
	paths := append(sortedKeys(r.target.Files), r.target.ConfigPath, r.target.Certificate)
	for _, p := range paths {
		f, ok := r.file(p)
		if !ok || p == "" {
			continue
		}
		if p == r.target.ConfigPath {
			f.Config = known.config(f.Digest)
		}
		if p == r.target.Certificate {
			f.Certificate = known.certificate(f.Digest, r.target, now)
		}
		files[p] = f
	}
	return files
}

func (r *reading) binarySection() *actual.Binary {
	digest, ok := r.binary(r.target.BinaryPath)
	if r.target.BinaryPath == "" || !ok {
		return nil
	}
	b := &actual.Binary{Digest: digest, Target: r.links[r.target.BinaryPath], Versions: map[string]string{}}
	for _, v := range r.target.Versions {
		if digest, ok := r.binary(desired.BinaryPath(v)); ok {
			b.Versions[v] = digest
		}
	}
	return b
}

// binary is the digest of a binary, "" where there is none; false: Unknown.
func (r *reading) binary(p string) (string, bool) {
	if r.absent[p] {
		return "", true
	}
	digest := r.hashes[r.prints[p]]
	return digest, digest != ""
}

func (r *reading) serviceSection() *actual.Service {
	if r.unit["LoadState"] == "" {
		return nil
	}
	restarts, _ := strconv.Atoi(r.unit["NRestarts"]) // absent before systemd 235
	return &actual.Service{
		LoadState: r.unitWord("LoadState"), ActiveState: r.unitWord("ActiveState"), SubState: r.unitWord("SubState"),
		Result: r.unitWord("Result"), UnitFileState: r.unitWord("UnitFileState"),
		NeedDaemonReload: r.unit["NeedDaemonReload"] == "yes",
		FragmentPath:     r.unitWord("FragmentPath"), DropIns: r.unitWord("DropInPaths"),
		InvocationID: r.unitWord("InvocationID"), Restarts: restarts,
	}
}

func (r *reading) unitWord(key string) string {
	return strings.TrimPrefix(clean(r.unit[key], 1024), r.single["root"])
}

func (r *reading) processSection(known *bodies) *actual.Process {
	pid, err := strconv.ParseUint(r.unit["MainPID"], 10, 31)
	if err != nil {
		return nil
	}
	p := &actual.Process{PID: int(pid)}
	if pid == 0 {
		return p
	}
	p.Started = r.started()
	p.Binary = r.hashes[r.prints["pid="+r.unit["MainPID"]]]
	p.Mark = r.mark(known)
	return p
}

// started is when the process was started, in whole seconds. What systemd wrote
// down then is the same at each look; ticks since boot are not, as the kernel's
// boot time moves with the clock, so they only stand in.
func (r *reading) started() time.Time {
	if t, err := time.Parse("Mon 2006-01-02 15:04:05 MST", r.unit["ExecMainStartTimestamp"]); err == nil {
		return t.UTC()
	}
	const hertz = 100 // USER_HZ, as /proc shows it on every Linux that runs Vault
	ticks, boot, _ := strings.Cut(r.single["ticks"], " ")
	t, err := strconv.ParseInt(ticks, 10, 62)
	b, err2 := strconv.ParseInt(boot, 10, 40)
	if err != nil || err2 != nil {
		return time.Time{}
	}
	return time.Unix(b+t/hertz, 0).UTC()
}

// mark reads "invocation ID", "file HEX PATH" and, after a reload that was not
// taken up, "verdict SECONDS refused|unseen WHY" and "untaken HEX PATH" lines. A
// mark of another invocation says nothing of this process.
func (r *reading) mark(known *bodies) *actual.Mark {
	text, ok := r.single["mark"]
	if !ok {
		return nil
	}
	m := &actual.Mark{Files: map[string]string{}}
	files := map[string]map[string]string{"file": m.Files, "untaken": {}}
	var invocation string
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch word {
		case "invocation":
			invocation = rest
		case "file", "untaken":
			digest, p, _ := strings.Cut(rest, " ")
			if _, wanted := r.target.Files[p]; !isDigest(digest) || !wanted && p != r.target.ConfigPath && p != r.unitWord("FragmentPath") {
				continue
			}
			files[word][p] = "sha256:" + digest
		case "verdict":
			at, said, _ := strings.Cut(rest, " ")
			verdict, why, _ := strings.Cut(said, " ")
			m.Untaken = &actual.Untaken{Files: files["untaken"], Refused: verdict == "refused", Why: clean(why, 800)}
			m.Untaken.At, _ = parseSeconds(at)
		}
	}
	if invocation != r.unit["InvocationID"] {
		return nil
	}
	m.Config = known.config(m.Files[r.target.ConfigPath])
	m.Unit = m.Files[r.unitWord("FragmentPath")]
	return m
}

func (r *reading) dataSection() *actual.Data {
	state := actual.DataState(r.single["data"])
	switch state {
	case actual.DataAbsent, actual.DataEmpty, actual.DataUsed:
		return &actual.Data{State: state, Device: device(r.single["data-device"]), Peers: r.single["data-peers"] == "1"}
	}
	return nil
}

// device names a file system so that it has the same name after a reboot: by
// its UUID where it has one, and by the folder of it that is mounted. It is read
// from findmnt(8), UUID="…" FSTYPE="…" SOURCE="…" FSROOT="…".
func device(pairs string) string {
	get := func(key string) string {
		_, after, ok := strings.Cut(" "+pairs, " "+key+`="`)
		value, _, closed := strings.Cut(after, `"`)
		if !ok || !closed {
			return ""
		}
		return clean(value, 256)
	}
	if uuid := get("UUID"); uuid != "" {
		return "UUID=" + uuid + " " + get("FSROOT")
	}
	if kind := get("FSTYPE"); kind != "" {
		return kind + " " + get("SOURCE") + " " + get("FSROOT")
	}
	return ""
}
