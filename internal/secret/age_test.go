package secret_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/vaultfleet/reconciler/internal/secret"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// key makes an identity file and its recipient.
func key(t testing.TB) (path, recipient string) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	must(t, err)
	path = filepath.Join(t.TempDir(), "age.key")
	must(t, os.WriteFile(path, []byte("# made by a test\n"+id.String()+"\n"), 0o600))
	return path, id.Recipient().String()
}

func keys(t testing.TB, paths ...string) *secret.Keys {
	t.Helper()
	k, err := secret.Identities(paths...)
	must(t, err)
	return k
}

func TestEachRecipientAloneDecrypts(t *testing.T) {
	ours, us := key(t)
	theirs, them := key(t)
	stranger, _ := key(t)
	text, err := secret.Encrypt([]string{us, them}, secret.Of([]byte(canary)))
	must(t, err)
	if shown(string(text)) {
		t.Fatal("the ciphertext shows the plaintext")
	}
	for _, path := range []string{ours, theirs} {
		got, err := keys(t, path).Decrypt(bytes.NewReader(text))
		if err != nil || string(got.Reveal()) != canary {
			t.Errorf("%v", err)
		}
	}
	_, err = keys(t, stranger).Decrypt(bytes.NewReader(text))
	if err == nil || !strings.Contains(err.Error(), "identities") {
		t.Errorf("a stranger: %v", err)
	}
	if _, err := (*secret.Keys)(nil).Decrypt(bytes.NewReader(text)); err == nil {
		t.Error("decrypted without a key")
	}
}

func TestBinaryAgeFilesAndPostQuantumKeysDecryptToo(t *testing.T) {
	id, err := age.GenerateHybridIdentity()
	must(t, err)
	path := filepath.Join(t.TempDir(), "pq.key")
	must(t, os.WriteFile(path, []byte(id.String()+"\n"), 0o600))
	var text bytes.Buffer
	w, err := age.Encrypt(&text, id.Recipient())
	must(t, err)
	_, err = w.Write([]byte(canary))
	must(t, errors.Join(err, w.Close()))
	got, err := keys(t, path).Decrypt(&text)
	if err != nil || string(got.Reveal()) != canary {
		t.Fatal(err)
	}
	must(t, secret.CheckRecipient(id.Recipient().String()))
}

func TestADamagedOrCutAgeFileGivesNothing(t *testing.T) {
	path, us := key(t)
	k := keys(t, path)
	r, err := age.ParseX25519Recipient(us)
	must(t, err)
	var buffer bytes.Buffer
	w, err := age.Encrypt(&buffer, r)
	must(t, err)
	_, err = w.Write([]byte(canary))
	must(t, errors.Join(err, w.Close()))
	text := buffer.Bytes()
	for n := range text {
		if got, err := k.Decrypt(bytes.NewReader(text[:n])); err == nil || got.Len() != 0 || shown(err.Error()) {
			t.Fatalf("cut at %d: %d bytes, %v", n, got.Len(), err)
		}
		flipped := bytes.Clone(text)
		flipped[n] ^= 4
		if got, err := k.Decrypt(bytes.NewReader(flipped)); err == nil || got.Len() != 0 || shown(err.Error()) {
			t.Fatalf("flipped at %d: %d bytes, %v", n, got.Len(), err)
		}
	}
}

func TestAnAgeFileMayNotBeHuge(t *testing.T) {
	path, us := key(t)
	text, err := secret.Encrypt([]string{us}, secret.Of(make([]byte, 1<<20)))
	must(t, err)
	if got, err := keys(t, path).Decrypt(bytes.NewReader(text)); err != nil || got.Len() != 1<<20 {
		t.Fatalf("1 MiB: %v", err)
	}
	for _, size := range []int{1<<20 + 1, 4 << 20} {
		text, err := secret.Encrypt([]string{us}, secret.Of(make([]byte, size)))
		must(t, err)
		if got, err := keys(t, path).Decrypt(bytes.NewReader(text)); err == nil || got.Len() != 0 {
			t.Errorf("%d bytes: %d, %v", size, got.Len(), err)
		}
	}
}

func TestIdentityFilesThatAreNoneAreRefusedWithoutShowingThem(t *testing.T) {
	dir := t.TempDir()
	good, err := age.GenerateX25519Identity()
	must(t, err)
	for name, content := range map[string]string{
		"empty":           "",
		"comments":        "# nothing\n",
		"plugin":          good.String() + "\nAGE-PLUGIN-EVIL-1QQQQ\n",
		"a recipient":     good.Recipient().String() + "\n",
		"damaged":         good.String()[:60] + "\n",
		"a token instead": canary + "\n",
		"ssh":             "-----BEGIN OPENSSH PRIVATE KEY-----\n" + canary + "\n",
	} {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(content), 0o600))
		_, err := secret.Identities(path)
		if err == nil || !strings.Contains(err.Error(), path) || shown(err.Error()) || strings.Contains(err.Error(), good.String()[15:50]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, path := range []string{dir, filepath.Join(dir, "none")} {
		if _, err := secret.Identities(path); err == nil {
			t.Errorf("%s passed for an identity file", path)
		}
	}
}

func TestRecipientsThatAreNoneAreRefused(t *testing.T) {
	_, us := key(t)
	id, err := age.GenerateX25519Identity()
	must(t, err)
	for _, text := range []string{"", "age1evil1qqqqqq", us + "x", us + "\n" + us, "ssh-ed25519 AAAA", id.String(), "# " + us} {
		_, err := secret.Encrypt([]string{us, text}, secret.Of([]byte(canary)))
		if err == nil || strings.Contains(err.Error(), "SECRET-KEY-1") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := secret.Encrypt(nil, secret.Of([]byte(canary))); err == nil {
		t.Error("encrypted to nobody")
	}
}

func FuzzDecrypt(f *testing.F) {
	path, us := key(f)
	k := keys(f, path)
	text, err := secret.Encrypt([]string{us}, secret.Of([]byte(canary)))
	must(f, err)
	f.Add(text)
	f.Add([]byte("age-encryption.org/v1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := k.Decrypt(bytes.NewReader(data))
		if err == nil && string(got.Reveal()) != canary {
			t.Fatal("decrypted what nobody encrypted")
		}
		if err != nil && got.Len() != 0 {
			t.Fatal("an error with content")
		}
	})
}
