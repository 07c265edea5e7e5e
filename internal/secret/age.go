package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// maxPlain caps a decrypted secret, and what exec and file give, in bytes.
const maxPlain = 1 << 20

// maxCipher caps the file it is decrypted from: armor makes it a third larger,
// and each recipient adds a little (post-quantum ones 2 KiB).
const maxCipher = 2 << 20

// Keys are age identities: they decrypt what was encrypted to any of them. Nil
// decrypts nothing.
type Keys struct {
	list []age.Identity
}

// Identities reads age identity files (`age-keygen`). Plugins and SSH keys are
// refused: a plugin is a program that a file would start.
func Identities(paths ...string) (*Keys, error) {
	k := &Keys{}
	for _, path := range paths {
		list, err := identities(path)
		if err != nil {
			return nil, fmt.Errorf("read age identities from %s: %w", path, err)
		}
		k.list = append(k.list, list...)
	}
	return k, nil
}

func identities(path string) ([]age.Identity, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := readCapped(f, maxPlain)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	for line := range bytes.Lines(data) {
		if bytes.HasPrefix(line, []byte("AGE-PLUGIN-")) {
			return nil, errors.New("it holds a plugin's identity, which would start a program; use a key made by `age-keygen`")
		}
	}
	list, err := age.ParseIdentities(bytes.NewReader(data)) // its errors hold no key (age, parse.go)
	if err != nil {
		return nil, fmt.Errorf("%w; use a key made by `age-keygen`", err)
	}
	return list, nil
}

// Decrypt decrypts a whole age file, binary or armored, of up to 1 MiB of
// plaintext. Nothing of it is handed out before all of it was authenticated.
func (k *Keys) Decrypt(ciphertext io.Reader) (Bytes, error) {
	if k == nil || len(k.list) == 0 {
		return Bytes{}, errors.New("decrypt: no age identity is configured; add `identities:` to reconciler.yaml")
	}
	data, err := readCapped(ciphertext, maxCipher)
	if err != nil {
		return Bytes{}, fmt.Errorf("decrypt: %w", err)
	}
	var src io.Reader = bytes.NewReader(data)
	if bytes.HasPrefix(data, []byte(armor.Header)) {
		src = armor.NewReader(src)
	}
	plain, err := age.Decrypt(src, k.list...)
	if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		return Bytes{}, errors.New("decrypt: none of reconciler.yaml's `identities` fits; encrypt the file to the reconciler's recipient as well (`age-keygen -y` shows it)")
	}
	if err != nil { // age quotes its input, which is a secret when somebody forgot to encrypt it
		return Bytes{}, errors.New("decrypt: not an age file, or a damaged one; encrypt it again (`age -r RECIPIENT`)")
	}
	if data, err = readCapped(plain, maxPlain); err != nil {
		clear(data)
		return Bytes{}, fmt.Errorf("decrypt: damaged, cut off or too large: %w", err)
	}
	return Of(data), nil
}

// Encrypt encrypts a secret to one or more age recipients ("age1…"), armored.
// Each of them alone can decrypt it.
func Encrypt(recipients []string, plain Bytes) ([]byte, error) {
	if len(recipients) == 0 {
		return nil, errors.New("encrypt: no recipient is given")
	}
	var to []age.Recipient
	for _, text := range recipients {
		r, err := recipient(text)
		if err != nil {
			return nil, fmt.Errorf("encrypt: %w", err)
		}
		to = append(to, r)
	}
	var out bytes.Buffer
	lines := armor.NewWriter(&out)
	body, err := age.Encrypt(lines, to...)
	if err == nil {
		_, err = body.Write(plain.Reveal())
	}
	if err == nil {
		err = body.Close()
	}
	if err == nil {
		err = lines.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return out.Bytes(), nil
}

// CheckRecipient says why a text cannot be a recipient of [Encrypt].
func CheckRecipient(text string) error {
	_, err := recipient(text)
	return err
}

func recipient(text string) (age.Recipient, error) {
	if strings.HasPrefix(strings.ToUpper(text), "AGE-SECRET-KEY-") {
		return nil, errors.New("a secret key is given where a recipient belongs; `age-keygen -y` shows its recipient")
	}
	list, err := age.ParseRecipients(strings.NewReader(text))
	if err != nil || len(list) != 1 {
		return nil, fmt.Errorf("%.80q is not an age recipient (age1…); plugins and SSH keys are not supported", text)
	}
	return list[0], nil
}

// readCapped reads all there is, up to a cap in bytes; more is an error.
func readCapped(r io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("it is larger than %d bytes", limit)
	}
	return data, err
}

// openRegular opens a file that is one: opening a pipe would wait for its
// other end.
func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	return os.Open(path)
}
