package signature

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
)

// Kind is how a commit was signed.
type Kind string

// The kinds of signatures that are read.
const (
	SSH     Kind = "ssh"
	OpenPGP Kind = "openpgp"
)

// Signer is whose signature was found good.
type Signer struct {
	Kind        Kind
	Fingerprint string   // ssh: SHA256:…, as ssh-keygen -l prints it; openpgp: of the primary key, upper-case hex
	Principals  []string // ssh: as the allowed signers have them, which may be patterns; openpgp: the key's user IDs
}

func (s Signer) String() string {
	return fmt.Sprintf("%s (%.100q)", s.Fingerprint, strings.Join(s.Principals, ","))
}

// Signers are whose signatures count. The zero value trusts nobody.
type Signers struct {
	lines []line
	keys  openpgp.EntityList
}

// And are the signers of both.
func (s Signers) And(more Signers) Signers {
	return Signers{lines: slices.Concat(s.lines, more.lines), keys: slices.Concat(s.keys, more.keys)}
}

// Fault is why a signature does not count. Each has another way out.
type Fault string

// The faults.
const (
	FaultUnsigned    Fault = "unsigned"    // there is no signature
	FaultMalformed   Fault = "malformed"   // the commit or its signature cannot be read, or in more than one way
	FaultUnsupported Fault = "unsupported" // it is of a kind that is not read here
	FaultUnknown     Fault = "unknown"     // nobody who is trusted made it
	FaultBad         Fault = "bad"         // a key of ours is named, and did not sign this as a commit
	FaultWeak        Fault = "weak"        // it can be forged
	FaultExpired     Fault = "expired"     // it would be good, had the key's time not ended, or begun
	FaultRevoked     Fault = "revoked"     // it would be good, had the key not been revoked
)

// Error says why the signature of a commit does not count, and what would make
// it count.
type Error struct {
	Fault Fault
	text  string
}

func (e *Error) Error() string { return e.text }

func refuse(fault Fault, format string, args ...any) error {
	return &Error{fault, fmt.Sprintf(format, args...)}
}

// Verify says who signed a commit, given as the raw content of its object;
// otherwise the error is an [Error].
//
// A key has to be valid now, by the clock of this machine, and an SSH key also
// at the date of the committer, by which alone git judges it. That date is
// whatever the signer wrote: whoever finds an old key could sign for the time
// in which it was valid. So a commit that was good turns bad when its key
// expires. OpenPGP keys are judged now alone, as gpg does.
func (s Signers) Verify(commit []byte, now time.Time) (Signer, error) {
	o, err := parse(commit)
	if err != nil {
		return Signer{}, err
	}
	begin, _, _ := strings.Cut(string(o.signature), "\n")
	switch begin {
	case "-----BEGIN SSH SIGNATURE-----":
		return s.verifySSH(o, now)
	case "-----BEGIN PGP SIGNATURE-----":
		return s.verifyOpenPGP(o, now)
	case "-----BEGIN SIGNED MESSAGE-----":
		return Signer{}, refuse(FaultUnsupported, "it is signed with an X.509 certificate (gpgsm), which is not supported; sign with an SSH or an OpenPGP key")
	}
	return Signer{}, refuse(FaultMalformed, "its gpgsig header begins with %.40q, which is neither an SSH nor an OpenPGP signature; sign it again", begin)
}
