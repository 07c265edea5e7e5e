package desired

import (
	"strings"
)

// lockFile is where the checked digests of releases stand, at the repo's root.
const lockFile = "vault.lock"

const lockHint = `see docs/operations.md, "Add a version to vault.lock"`

// readLock reads vault.lock:
//
//	format: 1
//	vault:
//	  1.21.0:
//	    linux_amd64: {archive: "sha256:HEX", binary: "sha256:HEX"}
//
// A repo without one has an empty lock: the plan then says what is
// missing.
func readLock(r *repo) (Lock, []Problem) {
	if _, there := r.types[lockFile]; !there {
		return Lock{}, nil
	}
	body, wrong, hint := r.read(lockFile)
	if wrong != "" {
		return Lock{}, []Problem{{Place: Place{File: lockFile}, Severity: SeverityError, Text: wrong, Hint: hint}}
	}
	return parseLock(body)
}

func parseLock(body []byte) (Lock, []Problem) {
	tree, problems := parseYAML(lockFile, body)
	if tree == nil {
		return Lock{}, problems
	}
	l := &lockReader{problems: problems, lock: Lock{}}
	l.top(tree)
	return l.lock, l.problems
}

type lockReader struct {
	lock     Lock
	problems []Problem
}

func (l *lockReader) fail(place Place, text, hint string) {
	l.problems = append(l.problems, Problem{Place: place, Severity: SeverityError, Text: text, Hint: hint})
}

func (l *lockReader) top(tree *value) {
	if format := tree.child("format"); format == nil || format.kind != kindInteger || format.text != "1" {
		l.fail(tree.at("format"), "vault.lock must say format: 1", lockHint)
	}
	for _, f := range tree.fields {
		switch {
		case f.name == "format":
		case f.name != "vault":
			l.fail(f.place, "unknown key `"+printable(f.name)+"` in vault.lock", "known here: format, vault")
		case f.value.kind != kindMap:
			l.fail(f.value.place, "`vault` must be a map of versions", lockHint)
		default:
			l.versions(f.value)
		}
	}
}

func (l *lockReader) versions(v *value) {
	for _, f := range v.fields {
		if wrong, hint := mustVersion(f.name); wrong != "" {
			l.fail(f.place, wrong, hint)
			continue
		}
		if f.value.kind != kindMap {
			l.fail(f.value.place, "version "+f.name+" must be a map of platforms", lockHint)
			continue
		}
		l.lock[f.name] = map[string]Artefact{}
		for _, platform := range f.value.fields {
			l.platform(f.name, platform)
		}
	}
}

func (l *lockReader) platform(version string, f field) {
	system, arch, ok := strings.Cut(f.name, "_")
	if !ok || !all(system, isLower) || !all(arch, func(c byte) bool { return isLower(c) || isDigit(c) }) {
		l.fail(f.place, "`"+printable(f.name)+"` is no platform", "write it as linux_amd64")
		return
	}
	if f.value.kind != kindMap {
		l.fail(f.value.place, "`"+f.name+"` must have archive and binary", lockHint)
		return
	}
	for _, k := range f.value.fields {
		if k.name != "archive" && k.name != "binary" {
			l.fail(k.place, "unknown key `"+printable(k.name)+"` in vault.lock", "known here: archive, binary")
		}
	}
	for _, name := range []string{"archive", "binary"} {
		digest := f.value.str(name)
		if !isDigest(digest) {
			l.fail(f.value.at(name), "`"+name+"` of "+version+" for "+f.name+" is not `sha256:` and 64 lower-case hex digits", lockHint)
		}
	}
	l.lock[version][f.name] = Artefact{Archive: f.value.str("archive"), Binary: f.value.str("binary")}
}

// isDigest says whether a text is "sha256:" and 64 lower-case hex digits.
func isDigest(s string) bool {
	hex, ok := strings.CutPrefix(s, "sha256:")
	return ok && len(hex) == 64 && all(hex, func(c byte) bool { return isDigit(c) || c >= 'a' && c <= 'f' })
}
