package hook

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/vaultfleet/reconciler/internal/secret"
)

// shared is what a forge and we share.
type shared struct {
	text   secret.Bytes // as it is typed into the forge
	signer secret.Bytes // the key of the signed form of GitLab; of nothing: it is none
}

// Bounds of the secret file: below, a secret can be guessed; above, it is
// another file.
const (
	leastSecret = 16
	mostSecrets = 4
	mostBytes   = 4 << 10
)

// signerPrefix begins the keys of Standard Webhooks, which are base64.
const signerPrefix = "whsec_"

// Secrets are read for each request, so that a new one counts at once.
type Secrets func() ([]shared, error)

// File reads secrets from a file, one a line: while one is being replaced, the old
// and the new one count. Errors do not quote the file.
func File(path string) Secrets {
	return func() ([]shared, error) {
		text, err := secret.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read webhook.secret_file: %w", err)
		}
		secrets, err := parse(string(text.Reveal()))
		if err != nil {
			return nil, fmt.Errorf("webhook.secret_file %s: %w", path, err)
		}
		return secrets, nil
	}
}

// parse takes the lines of a secret file; empty ones do not count.
func parse(text string) ([]shared, error) {
	if len(text) > mostBytes {
		return nil, errors.New("is too large to hold secrets")
	}
	var secrets []shared
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if len(line) < leastSecret {
			return nil, fmt.Errorf("holds a secret of fewer than %d characters", leastSecret)
		}
		s := shared{text: secret.Of([]byte(line))}
		if key, ok := strings.CutPrefix(line, signerPrefix); ok {
			raw, err := base64.StdEncoding.DecodeString(key)
			if err != nil || len(raw) < leastSecret {
				return nil, fmt.Errorf("holds a line that begins with %s and is not a key of at least %d bytes in base64", signerPrefix, leastSecret)
			}
			s.signer = secret.Of(raw)
		}
		secrets = append(secrets, s)
	}
	switch {
	case len(secrets) == 0:
		return nil, errors.New("holds no secret")
	case len(secrets) > mostSecrets:
		return nil, fmt.Errorf("holds more than %d secrets", mostSecrets)
	}
	return secrets, nil
}
