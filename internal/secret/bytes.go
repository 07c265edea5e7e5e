package secret

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
)

// redacted is what a secret prints as.
const redacted = "[redacted]"

// Bytes is a secret. Its content is behind a function, so that printing it by
// reflection, as part of whatever other value, shows nothing either. The zero
// value holds nothing.
type Bytes struct {
	reveal func() []byte
}

// Of makes a secret of bytes, which belong to it from then on.
func Of(b []byte) Bytes {
	return Bytes{func() []byte { return b }}
}

// Reveal is the secret itself, not a copy.
func (b Bytes) Reveal() []byte {
	if b.reveal == nil {
		return nil
	}
	return b.reveal()
}

// Open reads the secret from its beginning.
func (b Bytes) Open() io.ReadCloser { return io.NopCloser(bytes.NewReader(b.Reveal())) }

// Len is the secret's length in bytes.
func (b Bytes) Len() int { return len(b.Reveal()) }

// Digest is "sha256:HEX" of the secret: to compare with what was placed on a
// node, and not to be shown, since a short secret can be guessed from it.
func (b Bytes) Digest() string {
	sum := sha256.Sum256(b.Reveal())
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Equal says that two secrets are the same, in constant time for their length.
func (b Bytes) Equal(other Bytes) bool {
	return subtle.ConstantTimeCompare(b.Reveal(), other.Reveal()) == 1
}

// Wipe overwrites the secret with zeros, for all that share it.
func (b Bytes) Wipe() { clear(b.Reveal()) }

// The doors. Each shows that there is a secret, and nothing of it.

func (b Bytes) String() string                 { return redacted }
func (b Bytes) GoString() string               { return redacted }
func (b Bytes) Format(f fmt.State, _ rune)     { io.WriteString(f, redacted) }
func (b Bytes) MarshalJSON() ([]byte, error)   { return []byte(`"` + redacted + `"`), nil }
func (b Bytes) MarshalText() ([]byte, error)   { return []byte(redacted), nil }
func (b Bytes) MarshalBinary() ([]byte, error) { return []byte(redacted), nil }
func (b Bytes) MarshalYAML() (any, error)      { return redacted, nil }
func (b Bytes) LogValue() slog.Value           { return slog.StringValue(redacted) }
