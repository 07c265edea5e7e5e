package release_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/google/go-cmp/cmp"

	"github.com/vaultfleet/reconciler/internal/release"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// published is version 1.21.0 as its maker publishes it, by path.
type published map[string][]byte

const (
	sumsPath = "vault/1.21.0/vault_1.21.0_SHA256SUMS"
	zipPath  = "vault/1.21.0/vault_1.21.0_linux_amd64.zip"
)

// publish signs the sums of archives, by platform.
func publish(t testing.TB, key *openpgp.Entity, archives map[string][]byte) published {
	t.Helper()
	p, sums := published{}, ""
	for _, platform := range slices.Sorted(maps.Keys(archives)) {
		name := "vault_1.21.0_" + platform + ".zip"
		p["vault/1.21.0/"+name] = archives[platform]
		sums += fmt.Sprintf("%x  %s\n", sha256.Sum256(archives[platform]), name)
	}
	p.sign(t, key, sums)
	return p
}

func (p published) sign(t testing.TB, key *openpgp.Entity, sums string) {
	t.Helper()
	p[sumsPath] = []byte(sums)
	p[sumsPath+".sig"] = sign(t, key, sums)
}

// folder is the source as a folder.
func (p published) folder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for path, content := range p {
		must(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(path)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, path), content, 0o644))
	}
	return "file://" + dir
}

// check is what `lock` does, for linux_amd64.
func check(ctx context.Context, c release.Checker) (release.Sums, desired.Artefact, error) {
	sums, err := c.Sums(ctx, "1.21.0")
	if err != nil {
		return sums, desired.Artefact{}, err
	}
	a, err := c.Artefact(ctx, sums, "linux_amd64")
	return sums, a, err
}

func TestASignedReleaseIsLockedAndThenInstalled(t *testing.T) {
	key := newKey(t, "signer", 0)
	p := publish(t, key, map[string][]byte{"linux_amd64": honest(t), "windows_amd64": archive(t, member{"vault.exe", vaultExe, nil})})
	s, mirror := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Write(p[strings.TrimPrefix(r.URL.Path, "/mirror/")])
	})
	for _, source := range []string{p.folder(t), mirror} {
		c := release.Checker{Source: source, Keys: ringOf(t, public(t, key)), Now: now(), Web: web(s)}
		sums, got, err := check(t.Context(), c)
		must(t, err)
		want := desired.Artefact{Archive: digest(honest(t)), Binary: digest([]byte(vault))}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if by := sums.Signer; by.Name != "signer <signer@example.org>" || by.Fingerprint != fmt.Sprintf("%X", key.PrimaryKey.Fingerprint) {
			t.Errorf("signed by %v", by)
		}
		exe, err := c.Artefact(t.Context(), sums, "windows_amd64")
		must(t, err)
		if exe.Binary != digest([]byte(vaultExe)) {
			t.Errorf("for Windows: %v", exe)
		}
		_, err = c.Artefact(t.Context(), sums, "linux_arm64")
		if err == nil || !strings.Contains(err.Error(), "there are: linux_amd64, windows_amd64") {
			t.Errorf("a platform without a release: %v", err)
		}
		cache := release.Cache{Folder: t.TempDir(), Sources: []string{"/"}, Web: web(s)}
		f, err := cache.Binary(t.Context(), source, "1.21.0", "linux_amd64", got)
		must(t, err)
		f.Close()
	}
}

func TestCheckingLeavesNothingBehind(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	key := newKey(t, "signer", 0)
	p := publish(t, key, map[string][]byte{"linux_amd64": honest(t)})
	_, _, err := check(t.Context(), release.Checker{Source: p.folder(t), Keys: ringOf(t, public(t, key)), Now: now()})
	must(t, err)
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// Entries 166 to 169 of the catalogue of bad input: what a source can do to a
// release without the signer's help, and what not even the signer may do.
func TestAReleaseThatIsNotRightIsNotLocked(t *testing.T) {
	key, stranger := newKey(t, "signer", 0), newKey(t, "mallory", 0)
	line := func(content []byte, name string) string { return fmt.Sprintf("%x  %s\n", sha256.Sum256(content), name) }
	zipped := honest(t)
	good := line(zipped, "vault_1.21.0_linux_amd64.zip")
	resigned := func(sums string) func(published) { return func(p published) { p.sign(t, key, sums) } }
	for name, c := range map[string]struct {
		change func(p published)
		want   string
	}{
		// 166: signatures
		"signed by another":      {func(p published) { p.sign(t, stranger, good) }, "releases.keys"},
		"not signed":             {func(p published) { delete(p, sumsPath+".sig") }, "SHA256SUMS.sig is missing"},
		"no sums":                {func(p published) { delete(p, sumsPath) }, "SHA256SUMS is missing"},
		"other line ends":        {func(p published) { p[sumsPath] = bytes.ReplaceAll(p[sumsPath], []byte("\n"), []byte("\r\n")) }, "changed on its way"},
		"a line added":           {func(p published) { p[sumsPath] = append(p[sumsPath], good...) }, "changed on its way"},
		"a line added before":    {func(p published) { p[sumsPath] = append([]byte(good), p[sumsPath]...) }, "changed on its way"},
		"a login page for sums":  {func(p published) { p[sumsPath] = []byte("<html>Log in") }, "is a web page"},
		"a login page for a sig": {func(p published) { p[sumsPath+".sig"] = []byte("<html>Log in") }, "is a web page"},
		"sums without end":       {func(p published) { p[sumsPath] = bytes.Repeat([]byte(good), 20000) }, "more than 1048576 bytes"},

		// 166: what is signed and wrong all the same
		"line ends that a text signature covers": {func(p published) {
			p[sumsPath] = []byte(strings.ReplaceAll(good, "\n", "\r\n"))
			p[sumsPath+".sig"] = signText(t, key, good)
		}, "line 1 is not"},
		"one file twice":          {resigned(good + good), "a second time"},
		"one file, two digests":   {resigned(good + line(nil, "vault_1.21.0_linux_amd64.zip")), "a second time"},
		"a path":                  {resigned(line(zipped, "../vault_1.21.0_linux_amd64.zip")), "line 1 is not"},
		"an absolute path":        {resigned(good + line(zipped, "/etc/passwd")), "line 2 is not"},
		"upper-case hex":          {resigned(strings.ToUpper(good[:64]) + good[64:]), "line 1 is not"},
		"a short digest":          {resigned(good[1:]), "line 1 is not"},
		"one space":               {resigned(strings.Replace(good, "  ", " ", 1)), "line 1 is not"},
		"the mark of binary mode": {resigned(strings.Replace(good, "  ", " *", 1)), "line 1 is not"},
		"an empty line":           {resigned(good + "\n"), "line 2 is not"},
		"nothing":                 {resigned(""), "line 1 is not"},
		"an escape":               {resigned(good[:64] + "  vault_1.21.0_\x1b[2J.zip\n"), `\x1b[2J`},
		"not this platform":       {resigned(line(zipped, "vault_1.21.0_linux_arm64.zip")), "there are: linux_arm64"},

		// 169: another version, as truly signed
		"an older version":         {resigned(line(zipped, "vault_1.20.9_linux_amd64.zip")), "serves another release in its place"},
		"this version and another": {resigned(good + line(zipped, "vault_1.21.1_linux_amd64.zip")), "line 2 names \"vault_1.21.1_linux_amd64.zip\""},
		"another edition":          {resigned(line(zipped, "vault_1.21.0+ent_linux_amd64.zip")), "serves another release in its place"},
		"another product":          {resigned(line(zipped, "consul_1.21.0_linux_amd64.zip")), "serves another release in its place"},

		// the archive against the sums
		"no archive":      {func(p published) { delete(p, zipPath) }, "amd64.zip is missing"},
		"another archive": {func(p published) { p[zipPath] = archive(t, member{"vault", vault + "!", nil}) }, "its signed SHA256SUMS says " + good[:64]},
		"cut off":         {func(p published) { p[zipPath] = zipped[:len(zipped)/2] }, "its signed SHA256SUMS says"},
		"a login page":    {func(p published) { p[zipPath] = []byte("<!doctype html>") }, "is a web page"},
	} {
		p := publish(t, key, map[string][]byte{"linux_amd64": zipped})
		c.change(p)
		_, got, err := check(t.Context(), release.Checker{Source: p.folder(t), Keys: ringOf(t, public(t, key)), Now: now()})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%s: %v, %v; want %q", name, got, err, c.want)
		}
	}
}

// signText signs as a text, for which all line ends are the same.
func signText(t testing.TB, key *openpgp.Entity, content string) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, openpgp.DetachSignText(&b, key, strings.NewReader(content), at(born().Add(days))))
	return b.Bytes()
}

// Entries 167 and 168: signed and hashed as it should be, and not what a vault
// binary is.
func TestASignedArchiveIsLookedInto(t *testing.T) {
	key := newKey(t, "signer", 0)
	for name, c := range map[string]struct{ binary, want string }{
		"a script around it":      {"#!/bin/sh\nexec vault.real \"$@\"\n", "not a program for linux_amd64"},
		"for arm64":               {elfFor(2, 1, 0, 2, 183), "not a program for linux_amd64"},
		"for 32 bits":             {elfFor(1, 1, 0, 2, 62), "not a program for linux_amd64"},
		"of the other byte order": {elfFor(2, 2, 0, 2, 62), "not a program for linux_amd64"},
		"for FreeBSD":             {elfFor(2, 1, 9, 2, 62), "not a program for linux_amd64"},
		"a core dump":             {elfFor(2, 1, 0, 4, 62), "not a program for linux_amd64"},
		"for Windows":             {vaultExe, "not a program for linux_amd64"},
		"empty":                   {"", "not a program for linux_amd64"},
		"cut off":                 {vault[:12], "not a program for linux_amd64"},
	} {
		p := publish(t, key, map[string][]byte{"linux_amd64": archive(t, member{"vault", c.binary, nil})})
		_, got, err := check(t.Context(), release.Checker{Source: p.folder(t), Keys: ringOf(t, public(t, key)), Now: now()})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want %q", name, got, err, c.want)
		}
	}
	p := publish(t, key, map[string][]byte{"linux_amd64": archive(t, member{"vault", vault, func(h *zip.FileHeader) { h.SetMode(fs.ModeSymlink | 0o777) }})})
	if _, _, err := check(t.Context(), release.Checker{Source: p.folder(t), Keys: ringOf(t, public(t, key)), Now: now()}); err == nil || !strings.Contains(err.Error(), "not a file") {
		t.Errorf("a link: %v", err)
	}
}

// elfFor is the beginning of an ELF file (elf(5)).
func elfFor(class, data, abi byte, kind, machine uint16) string {
	head := []byte{0x7f, 'E', 'L', 'F', class, data, 1, abi, 0, 0, 0, 0, 0, 0, 0, 0}
	var order binary.AppendByteOrder = binary.LittleEndian
	if data == 2 {
		order = binary.BigEndian
	}
	return string(order.AppendUint16(order.AppendUint16(head, kind), machine))
}

func TestEveryPlatformHasProgramsOfItsOwn(t *testing.T) {
	machO := func(cpu uint32) string {
		b := binary.LittleEndian.AppendUint32(nil, 0xfeedfacf)
		b = binary.LittleEndian.AppendUint32(b, cpu)
		return string(append(b, 0, 0, 0, 0, 2, 0, 0, 0))
	}
	programs := map[string]string{
		"linux_amd64": vault, "linux_386": elfFor(1, 1, 0, 2, 3), "linux_arm": elfFor(1, 1, 3, 2, 40), "linux_arm64": elfFor(2, 1, 0, 3, 183),
		"linux_s390x": elfFor(2, 2, 0, 2, 22), "linux_ppc64le": elfFor(2, 1, 0, 2, 21),
		"windows_amd64": vaultExe, "windows_386": strings.Replace(vaultExe, "\x64\x86", "\x4c\x01", 1),
		"darwin_amd64": machO(0x01000007), "darwin_arm64": machO(0x0100000c),
	}
	key := newKey(t, "signer", 0)
	for platform := range programs {
		for other, program := range programs {
			name := "vault"
			if strings.HasPrefix(platform, "windows") {
				name = "vault.exe"
			}
			p := publish(t, key, map[string][]byte{platform: archive(t, member{name, program, nil})})
			c := release.Checker{Source: p.folder(t), Keys: ringOf(t, public(t, key)), Now: now()}
			sums, err := c.Sums(t.Context(), "1.21.0")
			must(t, err)
			if _, err := c.Artefact(t.Context(), sums, platform); (err == nil) != (platform == other) {
				t.Errorf("a program for %s as %s: %v", other, platform, err)
			}
		}
	}
}

// HashiCorp publishes a signature under the key's own name too, and a mirror may
// have one of the two.
func TestTheSignatureMayHaveTheKeysName(t *testing.T) {
	key, stranger := newKey(t, "signer", 0), newKey(t, "mallory", 0)
	const named = sumsPath + ".72D7468F.sig"
	for name, c := range map[string]struct {
		change func(p published)
		want   release.Fault
	}{
		"named alone":           {func(p published) { p[named] = p[sumsPath+".sig"]; delete(p, sumsPath+".sig") }, ""},
		"by an unknown, named":  {func(p published) { p[named] = p[sumsPath+".sig"]; p[sumsPath+".sig"] = sign(t, stranger, "x") }, ""},
		"both by unknown":       {func(p published) { p[sumsPath+".sig"] = sign(t, stranger, "x"); p[named] = sign(t, stranger, "x") }, release.FaultUnknown},
		"unknown, and no other": {func(p published) { p[sumsPath+".sig"] = sign(t, stranger, "x") }, release.FaultUnknown},
		"bad, and a good one":   {func(p published) { p[named] = p[sumsPath+".sig"]; p[sumsPath+".sig"] = sign(t, key, "x") }, release.FaultBad},
	} {
		p := publish(t, key, map[string][]byte{"linux_amd64": honest(t)})
		c.change(p)
		_, _, err := check(t.Context(), release.Checker{Source: p.folder(t), Keys: ringOf(t, public(t, key)), Now: now()})
		if fault(err) != c.want || (err == nil) != (c.want == "") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestACheckEndsWithItsContext(t *testing.T) {
	key := newKey(t, "signer", 0)
	p := publish(t, key, map[string][]byte{"linux_amd64": honest(t)})
	ctx, cancel := context.WithCancel(t.Context())
	s, source := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".zip") {
			cancel()
			<-r.Context().Done()
		}
		w.Write(p[strings.TrimPrefix(r.URL.Path, "/mirror/")])
	})
	_, _, err := check(ctx, release.Checker{Source: source, Keys: ringOf(t, public(t, key)), Now: now(), Web: web(s)})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
