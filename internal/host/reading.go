package host

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// reading is one frame, sorted by what it is about. Only what was asked for is
// taken over.
type reading struct {
	target  actual.Target
	single  map[string]string // facts about nothing but the node
	unit    map[string]string
	stats   map[string]stat // by path
	absent  map[string]bool
	links   map[string]string
	shas    map[string]string
	texts   map[string]string // body and pem, by digest
	users   map[string]bool
	opens   map[string]bool
	peers   map[string]string
	free    map[string]uint64
	prints  map[string]fingerprint // by path, and "pid=N" for the running executable
	hashes  map[fingerprint]string // "sha256:HEX"; empty: not known
	clock   time.Time
	beside  []string
	denied  []string
	garbled string // the first thing that made no sense
}

// maxBeside bounds how many files beside the configuration are told of.
const maxBeside = 32

// stat is what stat(1) told of a path, links followed.
type stat struct {
	kind         actual.Kind
	owner, group string
	mode         string
	size         int64
	mtime        time.Time
}

func newReading(t actual.Target, facts []fact) *reading {
	r := &reading{
		target: t, single: map[string]string{}, unit: map[string]string{}, stats: map[string]stat{}, absent: map[string]bool{},
		links: map[string]string{}, shas: map[string]string{}, texts: map[string]string{}, users: map[string]bool{},
		opens: map[string]bool{}, peers: map[string]string{}, free: map[string]uint64{},
		prints: map[string]fingerprint{}, hashes: map[fingerprint]string{},
	}
	for _, f := range facts {
		r.take(f)
	}
	r.clock, _ = parseSeconds(r.single["clock"])
	if exe := r.single["exe"]; exe != "" {
		if pid := r.unit["MainPID"]; isPID(pid) && validPrint(exe) {
			r.prints["pid="+pid] = fingerprint(exe)
		}
	}
	return r
}

func (r *reading) problem(text string) {
	if r.garbled == "" {
		r.garbled = clean(text, 300)
	}
}

func (r *reading) take(f fact) {
	switch f.kind {
	case "stat":
		r.takeStat(f)
	case "absent":
		r.absent[f.of] = true
	case "links":
		r.takeLinks(f.value)
	case "sha":
		if isDigest(f.value) {
			r.shas[f.of] = "sha256:" + f.value
		}
	case "body", "pem":
		r.texts[f.kind+" sha256:"+f.of] = f.value
	case "user":
		r.users[f.of] = f.value == "1"
	case "group":
		r.users["group:"+f.of] = f.value == "1"
	case "unit":
		r.unit[f.of] = f.value
	case "audit":
		r.opens[f.of] = f.value == "1"
	case "peer":
		if f.value == "open" || f.value == "refused" || f.value == "silent" {
			r.peers[f.of] = f.value
		}
	case "free":
		r.takeFree(f)
	case "beside":
		if len(r.beside) < maxBeside {
			r.beside = append(r.beside, clean(f.value, 1024))
		}
	case "denied":
		r.denied = append(r.denied, f.value)
	default:
		r.single[f.kind] = f.value
	}
}

// takeStat reads "%f %U %G %s %.9Y %.9Z %d %i" of stat(1).
func (r *reading) takeStat(f fact) {
	v := strings.Fields(f.value)
	if len(v) != 8 {
		r.problem("stat of " + f.of + ": " + f.value)
		return
	}
	mode, err := strconv.ParseUint(v[0], 16, 32)
	size, err2 := strconv.ParseInt(v[3], 10, 64)
	mtime, ok := parseSeconds(v[4])
	print := strings.Join([]string{v[6], v[7], v[3], v[4], v[5]}, " ")
	if err != nil || err2 != nil || size < 0 || !ok || !validPrint(print) {
		r.problem("stat of " + f.of + ": " + f.value)
		return
	}
	kind := actual.KindOther
	switch mode & 0xf000 {
	case 0x8000:
		kind = actual.KindFile
	case 0x4000:
		kind = actual.KindFolder
	}
	r.stats[f.of] = stat{kind: kind, owner: clean(v[1], 64), group: clean(v[2], 64), mode: fmt.Sprintf("%04o", mode&0o7777), size: size, mtime: mtime}
	r.prints[f.of] = fingerprint(print)
}

// takeLinks reads path, NUL, target, NUL, …
func (r *reading) takeLinks(value string) {
	parts := strings.Split(value, "\x00")
	root := r.single["root"] // only in tests
	for i := 0; i+1 < len(parts); i += 2 {
		r.links[strings.TrimPrefix(parts[i], root)] = clean(strings.TrimPrefix(parts[i+1], root), 1024)
	}
}

func (r *reading) takeFree(f fact) {
	blocks, size, _ := strings.Cut(f.value, " ")
	b, err := strconv.ParseUint(blocks, 10, 50)
	s, err2 := strconv.ParseUint(size, 10, 13)
	if err != nil || err2 != nil {
		r.problem("free space of " + f.of + ": " + f.value)
		return
	}
	r.free[f.of] = b * s
}

// takeHashes reads "HEX FINGERPRINT" of each file that was asked for, and
// believes only those whose fingerprint is still that of the probe.
func (r *reading) takeHashes(facts []fact, asked map[string]fingerprint) {
	for _, f := range facts {
		switch f.kind {
		case "clock":
			if clock, ok := parseSeconds(f.value); ok {
				r.clock = clock
			}
		case "hash":
			digest, print, _ := strings.Cut(f.value, " ")
			if want, ok := asked[f.of]; ok && isDigest(digest) && fingerprint(print) == want {
				r.hashes[want] = "sha256:" + digest
			}
		}
	}
}

// wantHashed are the words by which the binaries are asked for, sorted.
func (r *reading) wantHashed() []string {
	var words []string
	for _, p := range r.binaries() {
		if r.stats[p].kind == actual.KindFile {
			words = append(words, p)
		}
	}
	if pid := "pid=" + r.unit["MainPID"]; r.prints[pid] != "" {
		words = append(words, pid)
	}
	return words
}

func (r *reading) binaries() []string {
	var paths []string
	if r.target.BinaryPath != "" {
		paths = append(paths, r.target.BinaryPath)
	}
	for _, v := range r.target.Versions {
		paths = append(paths, desired.BinaryPath(v))
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// machine is the machine-id, or "" where it is not one.
func (r *reading) machine() string {
	if id := r.single["machine-id"]; len(id) == 32 && isHex(id) {
		return id
	}
	return ""
}

// file is one path; false: nothing is known of it.
func (r *reading) file(p string) (actual.File, bool) {
	s, there := r.stats[p]
	switch {
	case there:
		f := actual.File{Kind: s.kind, Owner: s.owner, Group: s.group, Mode: s.mode, Size: s.size, Mtime: s.mtime, Target: r.links[p]}
		if s.kind == actual.KindFile {
			f.Digest = r.shas[p]
		}
		return f, true
	case r.absent[p]:
		return actual.File{Kind: actual.KindAbsent, Target: r.links[p]}, true
	}
	return actual.File{}, false
}

func isHex(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdef") == ""
}

func isDigest(s string) bool { return len(s) == 64 && isHex(s) }

func isPID(s string) bool {
	pid, err := strconv.ParseUint(s, 10, 31)
	return err == nil && pid > 0
}

func validPrint(s string) bool {
	return len(strings.Fields(s)) == 5 && strings.Trim(s, "0123456789. ") == ""
}
