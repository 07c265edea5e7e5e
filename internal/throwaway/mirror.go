package throwaway

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Mirror is a folder laid out as https://releases.hashicorp.com, whose sums are
// signed by a key of its own.
type Mirror struct {
	Dir string
	Key []byte // the public half, armored

	signer *openpgp.Entity
}

// NewMirror makes an empty one.
func NewMirror(dir string) (*Mirror, error) {
	quick := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Curve: packet.Curve25519} // made in no time, as RSA's are not
	signer, err := openpgp.NewEntity("throw-away releases", "", "releases@example.com", quick)
	if err != nil {
		return nil, err
	}
	var public bytes.Buffer
	w, err := armor.Encode(&public, openpgp.PublicKeyType, nil)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(signer.Serialize(w), w.Close()); err != nil {
		return nil, err
	}
	return &Mirror{dir, public.Bytes(), signer}, os.MkdirAll(dir, 0o755)
}

// Add lays out a version of Vault for a platform (linux_amd64). What was there of
// the version is replaced.
func (m *Mirror) Add(version, platform string, binary io.Reader) error {
	dir := filepath.Join(m.Dir, "vault", version)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	name := "vault_" + version + "_" + platform + ".zip"
	sum, err := pack(filepath.Join(dir, name), binary)
	if err != nil {
		return fmt.Errorf("pack version %s: %w", version, err)
	}
	sums := fmt.Appendf(nil, "%x  %s\n", sum.Sum(nil), name)
	var signature bytes.Buffer
	if err := openpgp.DetachSign(&signature, m.signer, bytes.NewReader(sums), nil); err != nil {
		return fmt.Errorf("sign version %s: %w", version, err)
	}
	list := filepath.Join(dir, "vault_"+version+"_SHA256SUMS")
	return errors.Join(os.WriteFile(list, sums, 0o644), os.WriteFile(list+".sig", signature.Bytes(), 0o644))
}

// pack zips a binary as a release is, and sums the archive.
func pack(path string, binary io.Reader) (hash.Hash, error) {
	out, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	sum := sha256.New()
	z := zip.NewWriter(io.MultiWriter(out, sum))
	header := &zip.FileHeader{Name: "vault", Method: zip.Store}
	header.SetMode(0o755)
	member, err := z.CreateHeader(header)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(member, binary); err != nil {
		return nil, err
	}
	return sum, errors.Join(z.Close(), out.Close())
}
