package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// Checker checks a release before it is locked. What it finds good goes into
// vault.lock, whose digests then decide alone.
type Checker struct {
	Source string // https://… or file:///FOLDER; any folder will do, since the signature decides
	Keys   Keyring
	Now    time.Time // by which keys expire
	Web    Web
}

// Sums are the signed digests of one version.
type Sums struct {
	Version string
	Signer  Signer

	archives map[string]string // by platform, sha256 in hex
}

// Sums fetches the SHA256SUMS of a version and checks who signed them, and that
// they are of that version. Where a key is at fault the error is a
// [SignatureError].
func (c Checker) Sums(ctx context.Context, version string) (Sums, error) {
	sums, err := c.sums(ctx, version)
	if err != nil {
		return Sums{}, fmt.Errorf("check vault %s: %w", version, err)
	}
	return sums, nil
}

func (c Checker) sums(ctx context.Context, version string) (Sums, error) {
	from, err := parseSource(c.Source, c.Web)
	if err != nil {
		return Sums{}, err
	}
	text, err := read(ctx, from, version, "_SHA256SUMS")
	if err != nil {
		return Sums{}, err
	}
	signer, err := c.signer(ctx, from, version, text)
	if err != nil {
		return Sums{}, fmt.Errorf("its SHA256SUMS: %w", err)
	}
	archives, err := readSums(string(text), version)
	if err != nil {
		return Sums{}, fmt.Errorf("its SHA256SUMS: %w", err)
	}
	return Sums{Version: version, Signer: signer, archives: archives}, nil
}

// signer checks the signature of the sums. HashiCorp publishes it under two
// names: plainly, and with the short ID of the key, for the time in which an old
// and a new key are both in use. The second is for where the first does not
// serve.
func (c Checker) signer(ctx context.Context, from source, version string, text []byte) (Signer, error) {
	var first error
	for _, suffix := range []string{".sig", "." + hashiCorp[32:] + ".sig"} {
		signature, err := read(ctx, from, version, "_SHA256SUMS"+suffix)
		missing := errors.Is(err, fs.ErrNotExist)
		if err != nil && !missing {
			return Signer{}, err
		}
		var signer Signer
		if err == nil {
			signer, err = c.Keys.Check(text, signature, c.Now)
		}
		if err == nil {
			return signer, nil
		}
		fault, judged := errors.AsType[*SignatureError](err)
		if !missing && !(judged && fault.Fault == FaultUnknown) {
			return Signer{}, err
		}
		if first == nil || errors.Is(first, fs.ErrNotExist) && !missing {
			first = err
		}
	}
	return Signer{}, first
}

// read is a small file of a version.
func read(ctx context.Context, from source, version, suffix string) ([]byte, error) {
	name, err := releasePath(version, suffix)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if _, err := fetch(ctx, from, name, maxSums, &text); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}

// Artefact fetches the archive for a platform, holds it against the signed sums
// and looks into it.
func (c Checker) Artefact(ctx context.Context, sums Sums, platform string) (desired.Artefact, error) {
	a, err := c.artefact(ctx, sums, platform)
	if err != nil {
		return desired.Artefact{}, fmt.Errorf("check vault %s for %s: %w", sums.Version, platform, err)
	}
	return a, nil
}

func (c Checker) artefact(ctx context.Context, sums Sums, platform string) (desired.Artefact, error) {
	from, err := parseSource(c.Source, c.Web)
	if err != nil {
		return desired.Artefact{}, err
	}
	archive, there := sums.archives[platform]
	if !there {
		return desired.Artefact{}, fmt.Errorf("there is no release for that platform; there are: %s", strings.Join(slices.Sorted(maps.Keys(sums.archives)), ", "))
	}
	folder, err := os.MkdirTemp("", "reconciler-lock-")
	if err != nil {
		return desired.Artefact{}, err
	}
	defer os.RemoveAll(folder)
	binary, err := wanted{sums.Version, platform, archive, saysSums}.take(ctx, from, folder, io.Discard)
	if err != nil {
		return desired.Artefact{}, err
	}
	return desired.Artefact{Archive: "sha256:" + archive, Binary: "sha256:" + binary}, nil
}
