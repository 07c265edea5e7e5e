package signature

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/vaultfleet/reconciler/internal/keyfile"
)

// maxKeyring caps a file of OpenPGP keys, in bytes.
const maxKeyring = 1 << 20

// ParseKeyring reads a file of armored OpenPGP public keys: all armored blocks
// of it, and all keys of each block or none of the file. Where a key is there
// twice, one copy that is revoked is enough.
func ParseKeyring(text []byte) (Signers, error) {
	if len(text) > maxKeyring {
		return Signers{}, fmt.Errorf("the keys have %d bytes, more than the %d that are allowed", len(text), maxKeyring)
	}
	var s Signers
	for i, block := range keyfile.Blocks(text) {
		keys, err := readBlock(block)
		if err != nil {
			return Signers{}, fmt.Errorf("read key block %d: %w", i+1, err)
		}
		s.keys = append(s.keys, keys...)
	}
	if len(s.keys) == 0 {
		return Signers{}, errors.New("it holds no armored OpenPGP key; write it by gpg --armor --export KEY")
	}
	return s, nil
}

// ParseKeys reads a file of public keys that count as they are: armored OpenPGP keys, or
// SSH keys, one a line as ssh-keygen writes them (TYPE BASE64 COMMENT).
func ParseKeys(text []byte) (Signers, error) {
	if bytes.Contains(text, []byte("-----BEGIN PGP ")) {
		return ParseKeyring(text)
	}
	if len(text) > maxKeyring {
		return Signers{}, fmt.Errorf("the keys have %d bytes, more than the %d that are allowed", len(text), maxKeyring)
	}
	var s Signers
	number := 0
	for raw := range strings.Lines(string(text)) {
		number++
		text := strings.Trim(raw, " \t\r\n")
		if text == "" || text[0] == '#' {
			continue
		}
		if !isKeyType(word(text)) {
			return Signers{}, fmt.Errorf("line %d: it is neither armored nor a line as ssh-ed25519 AAAA…", number)
		}
		key, err := parseKey(text)
		if err != nil {
			return Signers{}, fmt.Errorf("line %d: %w", number, err)
		}
		s.lines = append(s.lines, line{number: number, principals: "a key of its own", key: key})
	}
	if len(s.lines) == 0 {
		return Signers{}, errors.New("it holds no key; write an armored OpenPGP key into it, or lines as ssh-ed25519 AAAA…")
	}
	return s, nil
}

// readBlock reads one key after the other: openpgp.ReadKeyRing would leave out
// what it cannot read.
func readBlock(text []byte) (openpgp.EntityList, error) {
	body, err := keyfile.Decode(text)
	if err != nil {
		return nil, err
	}
	var keys openpgp.EntityList
	packets := packet.NewReader(body)
	for {
		key, err := openpgp.ReadEntity(packets)
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = checkEntity(key)
		}
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("it is empty")
	}
	return keys, nil
}

// checkEntity refuses the keys whose signatures could not count. One of whose
// user ID only the end is known has no self-signature, and the library would
// look into it.
func checkEntity(key *openpgp.Entity) error {
	if key.PrivateKey != nil {
		return errors.New("it is a private key; export the public one")
	}
	if self, _ := key.PrimarySelfSignature(); self == nil {
		return fmt.Errorf("the key %s has no user ID of its own; export it again", keyfile.Fingerprint(key))
	}
	return checkStrength(key.PrimaryKey)
}

// checkStrength refuses a key or subkey that can be forged.
func checkStrength(key *packet.PublicKey) error {
	switch key.PubKeyAlgo {
	case packet.PubKeyAlgoECDSA, packet.PubKeyAlgoEdDSA, packet.PubKeyAlgoEd25519, packet.PubKeyAlgoEd448:
		return nil
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly:
		if bits, err := key.BitLength(); err != nil || bits < minRSA {
			return refuse(FaultWeak, "the RSA key %X has %d bits; keys of %d and more count, or Ed25519", key.Fingerprint, bits, minRSA)
		}
		return nil
	}
	return refuse(FaultWeak, "the key %X is of the OpenPGP algorithm %d; RSA, ECDSA, Ed25519 and Ed448 count", key.Fingerprint, key.PubKeyAlgo)
}
