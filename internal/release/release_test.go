package release_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/vaultfleet/reconciler/internal/release"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// These stand for vault binaries: the first bytes are those of a program.
const (
	vault    = "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x3e\x00 vault for linux_amd64"
	vaultExe = "MZ" + zeros58 + "\x40\x00\x00\x00PE\x00\x00\x64\x86 vault for windows_amd64"
	zeros58  = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func digest(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

// member is one entry of an archive under test.
type member struct {
	name, content string
	change        func(*zip.FileHeader)
}

func archive(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, m := range members {
		h := &zip.FileHeader{Name: m.name, Method: zip.Deflate}
		h.SetMode(0o755)
		if m.change != nil {
			m.change(h)
		}
		w, err := z.CreateHeader(h)
		must(t, err)
		_, err = io.WriteString(w, m.content)
		must(t, err)
	}
	must(t, z.Close())
	return b.Bytes()
}

// honest is an archive as it is released.
func honest(t testing.TB) []byte {
	return archive(t, member{"LICENSE.txt", "licence", nil}, member{"vault", vault, nil})
}

// mirror lays an archive out as vault 1.21.0 for linux_amd64, and locks it.
func mirror(t testing.TB, zipped []byte) (release.Cache, string, desired.Artefact) {
	t.Helper()
	folder := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(folder, "vault/1.21.0"), 0o755))
	must(t, os.WriteFile(filepath.Join(folder, "vault/1.21.0/vault_1.21.0_linux_amd64.zip"), zipped, 0o644))
	cache := release.Cache{Folder: filepath.Join(t.TempDir(), "state/cache"), Sources: []string{folder}}
	return cache, folder, desired.Artefact{Archive: digest(zipped), Binary: digest([]byte(vault))}
}

func get(t testing.TB, c release.Cache, folder string, a desired.Artefact) (string, error) {
	t.Helper()
	f, err := c.Binary(t.Context(), "file://"+folder, "1.21.0", "linux_amd64", a)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	must(t, err)
	return string(b), nil
}

// cached are the names in a cache but its lock.
func cached(t testing.TB, c release.Cache) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(c.Folder)
	if !errors.Is(err, fs.ErrNotExist) {
		must(t, err)
	}
	for _, e := range entries {
		if e.Name() != "lock" {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestALockedReleaseIsUnpackedOnceAndOpenedFromTheCache(t *testing.T) {
	c, folder, lock := mirror(t, honest(t))
	if _, err := c.Open(t.Context(), lock.Binary); !errors.Is(err, release.ErrAbsent) {
		t.Fatalf("an empty cache: %v", err)
	}
	if got, err := get(t, c, folder, lock); err != nil || got != vault {
		t.Fatalf("%q, %v", got, err)
	}
	must(t, os.RemoveAll(filepath.Join(folder, "vault"))) // the mirror goes away
	if got, err := get(t, c, folder, lock); err != nil || got != vault {
		t.Fatalf("from the cache: %q, %v", got, err)
	}
	f, err := c.Open(t.Context(), lock.Binary)
	must(t, err)
	f.Close()
	want := strings.TrimPrefix(lock.Binary, "sha256:")
	if names := cached(t, c); len(names) != 1 || names[0] != want {
		t.Fatalf("cache holds %v", names)
	}
	if info, err := os.Stat(filepath.Join(c.Folder, want)); err != nil || info.Mode().Perm() != 0o500 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
}

func TestWhatRotsInTheCacheIsFetchedAgain(t *testing.T) {
	c, folder, lock := mirror(t, honest(t))
	_, err := get(t, c, folder, lock)
	must(t, err)
	path := filepath.Join(c.Folder, strings.TrimPrefix(lock.Binary, "sha256:"))
	for _, rot := range []string{"", "x", vault + "x"} {
		must(t, os.Chmod(path, 0o700))
		must(t, os.WriteFile(path, []byte(rot), 0o700))
		if got, err := get(t, c, folder, lock); err != nil || got != vault {
			t.Fatalf("%q: %q, %v", rot, got, err)
		}
		must(t, os.WriteFile(path, []byte(rot), 0o700))
		if _, err := c.Open(t.Context(), lock.Binary); !errors.Is(err, release.ErrAbsent) {
			t.Fatalf("%q opened: %v", rot, err)
		}
		_, err := get(t, c, folder, lock)
		must(t, err)
	}
}

func TestTheLockDecides(t *testing.T) {
	c, folder, lock := mirror(t, honest(t))
	other := digest([]byte("other"))
	for name, change := range map[string]struct {
		lock desired.Artefact
		want string
	}{
		"another archive":  {desired.Artefact{Archive: other, Binary: lock.Binary}, "vault.lock says"},
		"another binary":   {desired.Artefact{Archive: lock.Archive, Binary: other}, "vault.lock says"},
		"no archive":       {desired.Artefact{Binary: lock.Binary}, "archive"},
		"no binary":        {desired.Artefact{Archive: lock.Archive}, "binary"},
		"63 characters":    {desired.Artefact{Archive: lock.Archive[:70], Binary: lock.Binary}, "64 lower-case"},
		"upper case":       {desired.Artefact{Archive: strings.ToUpper(lock.Archive), Binary: lock.Binary}, "64 lower-case"},
		"upper case hex":   {desired.Artefact{Archive: "sha256:" + strings.Repeat("A", 64), Binary: lock.Binary}, "64 lower-case"},
		"another hash":     {desired.Artefact{Archive: "md5:" + lock.Archive[7:], Binary: lock.Binary}, "sha256:"},
		"a path in it":     {desired.Artefact{Archive: lock.Archive, Binary: "sha256:" + strings.Repeat("../", 21) + "x"}, "64 lower-case"},
		"newline after it": {desired.Artefact{Archive: lock.Archive, Binary: lock.Binary + "\n"}, "64 lower-case"},
	} {
		if _, err := get(t, c, folder, change.lock); err == nil || !strings.Contains(err.Error(), change.want) {
			t.Errorf("%s: %v", name, err)
		}
		if names := cached(t, c); len(names) != 0 {
			t.Fatalf("%s: cache holds %v", name, names)
		}
	}
}

// Entries 167 and 168 of the catalogue of bad input: each archive has the
// sha256 that the lock says, and is refused all the same.
func TestAHostileArchiveIsRefusedThoughItsDigestMatches(t *testing.T) {
	good := member{"vault", vault, nil}
	mode := func(m fs.FileMode) func(*zip.FileHeader) {
		return func(h *zip.FileHeader) { h.SetMode(m) }
	}
	for name, c := range map[string]struct {
		zipped []byte
		want   string
	}{
		"not a zip":           {[]byte("not found"), "not a zip"},
		"a web page":          {[]byte("<html>not found</html>"), "a web page"},
		"empty":               {nil, "not a zip"},
		"cut off":             {honest(t)[:100], "not a zip"},
		"no member vault":     {archive(t, member{"Vault", vault, nil}, member{"bin/vault", vault, nil}), "no member vault"},
		"two members vault":   {archive(t, good, good), "twice"},
		"vault and VAULT":     {archive(t, good, member{"VAULT", "x", nil}), "twice"},
		"parent folder":       {archive(t, good, member{"../x", "x", nil}), "leads out"},
		"parent folder below": {archive(t, good, member{"a/../../x", "x", nil}), "leads out"},
		"absolute":            {archive(t, good, member{"/etc/cron.d/x", "x", nil}), "leads out"},
		"backslash":           {archive(t, good, member{`..\x`, "x", nil}), "leads out"},
		"drive":               {archive(t, good, member{`C:x`, "x", nil}), "leads out"},
		"dot":                 {archive(t, good, member{`./vault`, "x", nil}), "leads out"},
		"link":                {archive(t, member{"vault", "/bin/sh", mode(fs.ModeSymlink | 0o777)}), "not a file"},
		"link beside":         {archive(t, good, member{"x", "/bin/sh", mode(fs.ModeSymlink | 0o777)}), "not a file"},
		"device":              {archive(t, good, member{"x", "", mode(fs.ModeDevice)}), "not a file"},
		"encrypted":           {archive(t, member{"vault", vault, func(h *zip.FileHeader) { h.Flags |= 1 }}), "encrypted"},
		"folder":              {archive(t, member{"vault/", "", nil}), "no member vault"},
		"says 4 GiB":          {patched(t, 24, 0xfffffff0), "more than any"},
		"wrong crc":           {patched(t, 16, crc32.ChecksumIEEE([]byte("other"))), "checksum"},
		"other method":        {patched(t, 10, 12), "compression"},
		"longer than it says": {patched(t, 24, 3), "not a valid zip"},
		"many members":        {archive(t, append(many(100), good)...), "members"},
	} {
		cache, folder, lock := mirror(t, c.zipped)
		if got, err := get(t, cache, folder, lock); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
		if names := cached(t, cache); len(names) != 0 {
			t.Errorf("%s: cache holds %v", name, names)
		}
	}
}

// patched is an archive of vault alone with a field of its central directory
// header overwritten (APPNOTE.TXT 4.3.12: 10 method and time, 16 crc, 24 size).
func patched(t testing.TB, field int, value uint32) []byte {
	b := archive(t, member{"vault", vault, nil})
	at := bytes.LastIndex(b, []byte("PK\x01\x02")) + field
	if field == 10 {
		binary.LittleEndian.PutUint16(b[at:], uint16(value))
	} else {
		binary.LittleEndian.PutUint32(b[at:], value)
	}
	return b
}

func many(n int) (members []member) {
	for i := range n {
		members = append(members, member{fmt.Sprint("f", i), "", nil})
	}
	return members
}

func TestASourceMustLieBelowATrustedFolder(t *testing.T) {
	c, folder, lock := mirror(t, honest(t))
	outside := t.TempDir()
	must(t, os.Symlink(folder, filepath.Join(outside, "link")))
	below := filepath.Join(folder, "deep/er")
	must(t, os.MkdirAll(below, 0o755))
	must(t, os.CopyFS(filepath.Join(below, "vault"), os.DirFS(filepath.Join(folder, "vault"))))
	elsewhere := t.TempDir()
	must(t, os.CopyFS(filepath.Join(elsewhere, "vault"), os.DirFS(filepath.Join(folder, "vault"))))
	must(t, os.Symlink(elsewhere, filepath.Join(folder, "out")))
	must(t, os.Symlink("deep/er", filepath.Join(folder, "in")))

	for source, want := range map[string]string{
		"file://" + folder:                              "",
		"file://localhost" + folder + "/":               "",
		"file://" + below:                               "",
		"file://" + folder + "/in":                      "",
		"file://" + elsewhere:                           "trust.releases",
		"file://" + outside + "/link":                   "trust.releases",
		"file://" + folder + "/../" + "x":               "trust.releases",
		"file://" + folder + "x":                        "trust.releases",
		"file://" + folder + "/%2e%2e":                  "trust.releases",
		"file://" + folder + "/out":                     "escapes",
		"file://" + folder + "/none":                    "laid out like",
		"file://host" + folder:                          "three slashes",
		"file://" + strings.TrimPrefix(folder, "/"):     "three slashes",
		"file:" + strings.TrimPrefix(folder, "/"):       "three slashes",
		"file://" + folder + "?x=1":                     "three slashes",
		"https://user:hunter2@mirror.internal/releases": "no user and no query",
		"https://mirror.internal/releases?token=hunter": "no user and no query",
		"https:///releases":                             "no user and no query",
		"http://releases.hashicorp.com":                 "only https",
		"ftp://user:hunter2@mirror.internal/":           "only https",
		folder:                                          "only https",
		"":                                              "only https",
		"file://%zz":                                    "not a URL",
	} {
		c.Folder = filepath.Join(t.TempDir(), "cache")
		f, err := c.Binary(t.Context(), source, "1.21.0", "linux_amd64", lock)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v; want %q", source, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: a password is shown: %v", source, err)
		}
		if err == nil {
			f.Close()
		}
	}
	c.Folder = filepath.Join(t.TempDir(), "cache") // an empty one: what is cached needs no source
	if _, err := (release.Cache{Folder: c.Folder}).Binary(t.Context(), "file://"+folder, "1.21.0", "linux_amd64", lock); err == nil {
		t.Error("trusted a folder that nobody named")
	}
	if _, err := (release.Cache{Folder: c.Folder, Sources: []string{"", "."}}).Binary(t.Context(), "file://"+folder, "1.21.0", "linux_amd64", lock); err == nil {
		t.Error("trusted a folder that is not absolute")
	}
}

func TestVersionsAndPlatformsAreNoPaths(t *testing.T) {
	c, folder, lock := mirror(t, honest(t))
	for _, bad := range []struct{ version, platform string }{
		{"", "linux_amd64"}, {"latest", "linux_amd64"}, {"../1.21.0", "linux_amd64"}, {"1.21", "linux_amd64"}, {"1.21.0/..", "linux_amd64"},
		{"1.21.0\n", "linux_amd64"}, {"v1.21.0", "linux_amd64"}, {"1.21.0+", "linux_amd64"}, {"1.21.0+-", "linux_amd64"}, {"1.21.0+ent..x", "linux_amd64"}, {"1..0", "linux_amd64"},
		{"1.21.0", ""}, {"1.21.0", "linux"}, {"1.21.0", "../x_y"}, {"1.21.0", "linux_amd64_x"}, {"1.21.0", "_"},
	} {
		if _, err := c.Binary(t.Context(), "file://"+folder, bad.version, bad.platform, lock); err == nil || !strings.Contains(err.Error(), "such as") {
			t.Errorf("%q %q: %v", bad.version, bad.platform, err)
		}
	}
	for _, good := range []string{"1.21.1", "1.21.0-rc1", "2.0.0-rc.1", "1.21.0+ent", "1.21.0+ent.hsm.fips1403"} {
		if _, err := c.Binary(t.Context(), "file://"+folder, good, "linux_arm64", lock); err == nil || !strings.Contains(err.Error(), "vault_"+good+"_linux_arm64.zip is missing") {
			t.Errorf("%q: %v", good, err)
		}
	}
}

func TestAWindowsReleaseHoldsVaultExe(t *testing.T) {
	zipped := archive(t, member{"vault.exe", vaultExe, nil})
	c, folder, lock := mirror(t, zipped)
	lock.Binary = digest([]byte(vaultExe))
	must(t, os.WriteFile(filepath.Join(folder, "vault/1.21.0/vault_1.21.0_windows_amd64.zip"), zipped, 0o644))
	f, err := c.Binary(t.Context(), "file://"+folder, "1.21.0", "windows_amd64", lock)
	must(t, err)
	f.Close()
}

func TestAnArchiveThatIsNoFileIsNotWaitedFor(t *testing.T) {
	c, folder, lock := mirror(t, honest(t))
	path := filepath.Join(folder, "vault/1.21.0/vault_1.21.0_linux_amd64.zip")
	must(t, os.Remove(path))
	must(t, syscall.Mkfifo(path, 0o644))
	if _, err := get(t, c, folder, lock); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Fatalf("%v", err)
	}
}

func TestLeftoversOfAKilledProcessAreSwept(t *testing.T) {
	c, folder, lock := mirror(t, honest(t))
	must(t, os.MkdirAll(c.Folder, 0o700))
	must(t, os.WriteFile(filepath.Join(c.Folder, "partial-123"), []byte("half"), 0o600))
	_, err := get(t, c, folder, lock)
	must(t, err)
	if names := cached(t, c); len(names) != 1 {
		t.Fatalf("cache holds %v", names)
	}
}

func TestAnEndedContextLeavesNothing(t *testing.T) {
	c, folder, lock := mirror(t, honest(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Binary(ctx, "file://"+folder, "1.21.0", "linux_amd64", lock); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	if names := cached(t, c); len(names) != 0 {
		t.Fatalf("cache holds %v", names)
	}
}

func TestManyAskAtOnce(t *testing.T) {
	c, folder, lock := mirror(t, honest(t))
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			f, err := c.Binary(t.Context(), "file://"+folder, "1.21.0", "linux_amd64", lock)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			if b, err := io.ReadAll(f); err != nil || string(b) != vault {
				t.Errorf("%q, %v", b, err)
			}
		})
	}
	group.Wait()
}

func FuzzArchive(f *testing.F) {
	f.Add(honest(f))
	f.Add(patched(f, 24, 3))
	f.Add(archive(f, member{"vault", "/bin/sh", func(h *zip.FileHeader) { h.SetMode(fs.ModeSymlink | 0o777) }}))
	f.Fuzz(func(t *testing.T, zipped []byte) {
		c, folder, lock := mirror(t, zipped)
		got, err := get(t, c, folder, lock)
		if err == nil && got != vault {
			t.Fatal("handed out what the lock does not say")
		}
	})
}

func BenchmarkOpenCached(b *testing.B) {
	c := release.Cache{Folder: b.TempDir()}
	content := make([]byte, 64<<20)
	sum := digest(content)
	must(b, os.WriteFile(filepath.Join(c.Folder, sum[7:]), content, 0o500))
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		f, err := c.Open(b.Context(), sum)
		must(b, err)
		f.Close()
	}
}
