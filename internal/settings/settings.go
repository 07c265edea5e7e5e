package settings

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"time"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// Settings is reconciler.yaml. Paths of files are absolute; those written
// relative were taken from the folder of the file.
type Settings struct {
	File       string // where it was read from, absolute
	Fleets     []Fleet
	Trust      Trust
	SSH        SSH
	Identities []string          // files with age identities
	Holders    map[string]string // name → age recipient
	Secrets    map[string]Secret // by name
	State      string            // folder
	KeyStores  []string          // folders
	Releases   Releases
	Webhook    Webhook
	HTTP       HTTP
	Notify     map[string]Sink // by name

	DriftReports []DriftReport
	History      History
}

// Fleet is a repo that is followed.
type Fleet struct {
	Repo     string // folder, or URL without a password
	Branch   string
	Path     string // folder of the fleet in the repo, "." for its root
	Interval time.Duration
	Clusters []string // globs of those that are kept here; none: all of them

	Host       Host   // zero: the repo is a folder of this host
	SSHKey     string // file of ssh
	KnownHosts string // file: who the host of ssh is
	TokenFile  string // file of https; empty: nobody in particular
	Username   string // that goes with the token; empty: git
	CA         string // PEM file that the certificate of https must be of; empty: those of this host

	Signatures Signatures
	Forge      Forge
}

// Keeps says whether a cluster of the fleet is kept here. One that is not may be
// kept by another process: nothing at all follows for it.
func (f Fleet) Keeps(cluster string) bool {
	return len(f.Clusters) == 0 || slices.ContainsFunc(f.Clusters, func(glob string) bool { return Match(glob, cluster) })
}

// Words name a fleet to people who have several.
func (f Fleet) Words() string {
	words := f.Repo
	if f.Path != "." {
		words = f.Path + " of " + words
	}
	return words + ", branch " + f.Branch
}

// Webhook says where forges may hint that somebody pushed. Without Listen nobody
// is heard.
type Webhook struct {
	Listen     string // address and port, or only :PORT for all addresses
	SecretFile string // what is shared with the forge
}

// HTTP says where the daemon tells how it is, and who may ask. Without Listen it tells
// nobody. Without a token and a proxy it is a loopback address, and nobody is asked who
// he is.
type HTTP struct {
	Listen    string // address and port, or only :PORT for all addresses
	URL       string // where people reach it, without a slash at the end; empty: nobody said
	TokenFile string // what people and programs show
	Proxy     TrustedProxy
	TLS       TLS
}

// History says how long it is remembered what was done.
type History struct{ Keep time.Duration }

// TrustedProxy is one in front of us that asks people who they are. Without networks
// there is none.
type TrustedProxy struct {
	Networks []netip.Prefix // that it asks from
	Header   string         // in which it says who asks
}

// TLS are the files of a certificate and its key, PEM. Without them all is in the clear.
type TLS struct{ Cert, Key string }

// Signatures say which commits have to be signed, and by whom.
type Signatures struct {
	Policy         string   // none, head, every-commit or forge
	AllowedSigners string   // file, as ssh-keygen(1) describes it
	Keys           []string // files of armored OpenPGP keys

	// These are of forge.
	ForgeKeys []string // files of what the forge signs with: armored OpenPGP keys, or SSH keys
	Reviews   int64    // approvals that a pull request needs
	Reviewers []string // whose count: users, and teams by the / in their names
}

// Trust says who a node is and how far a spec may go.
type Trust struct {
	KnownHosts string         // file
	Networks   []netip.Prefix // where a node may live; none: nowhere
	VaultCA    []string       // PEM files; none: any CA that the repo names
	Roots      []string       // folders on nodes below which we may write
	Services   []string
	Users      []string
	Releases   []string // local folders that file:// sources may lie in
	Modes      []Mode   // the first that matches a cluster is the most that it may have
	Folders    bool     // act on a folder that is no trusted commit
}

// Releases says whose releases of Vault are locked.
type Releases struct {
	Keys []string // files of armored OpenPGP keys that count besides HashiCorp's own
}

// Mode is the most that the clusters of a glob may have.
type Mode struct {
	Clusters string // glob
	Most     desired.Mode
}

// SSH is our own identity towards nodes.
type SSH struct {
	Key string // OpenSSH private key file; KEY-cert.pub beside it is used when there
}

// Secret says where the value of secret:NAME comes from, and for which
// clusters. Exactly one of the sources is set.
type Secret struct {
	Clusters string   // glob
	File     string   // the value is the file's content
	Env      string   // the value is this variable of our environment
	Exec     []string // the value is what this command prints; no shell
	Age      string   // the value is this file, decrypted with Identities
}

// Secret finds a secret that a cluster may use. False means that there is no
// such name, or that it is not for this cluster: to the cluster both are the
// same.
func (s Settings) Secret(cluster, name string) (Secret, bool) {
	secret, ok := s.Secrets[name]
	if !ok || !Match(secret.Clusters, cluster) {
		return Secret{}, false
	}
	return secret, true
}

// Match says whether a cluster's name is of a glob, in the notation of
// [path.Match]. A glob that cannot be read matches nothing; Load refuses it.
func Match(glob, cluster string) bool {
	ok, err := path.Match(glob, cluster)
	return err == nil && ok
}

// Contents are those of the files that say who may sign.
func (s Signatures) Contents() (allowedSigners, keys, forgeKeys [][]byte, err error) {
	if s.AllowedSigners != "" {
		if allowedSigners, err = readAll("signatures.allowed_signers", []string{s.AllowedSigners}); err != nil {
			return nil, nil, nil, err
		}
	}
	if keys, err = readAll("signatures.keys", s.Keys); err != nil {
		return nil, nil, nil, err
	}
	forgeKeys, err = readAll("signatures.forge_keys", s.ForgeKeys)
	return allowedSigners, keys, forgeKeys, err
}

// VaultCAs are the contents of the files of trust.vault_ca.
func (s Settings) VaultCAs() ([][]byte, error) { return readAll("trust.vault_ca", s.Trust.VaultCA) }

// ReleaseKeys are the contents of the files of releases.keys.
func (s Settings) ReleaseKeys() ([][]byte, error) { return readAll("releases.keys", s.Releases.Keys) }

func readAll(setting string, paths []string) ([][]byte, error) {
	var all [][]byte
	for _, path := range paths {
		text, err := read(path)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", setting, err)
		}
		all = append(all, text)
	}
	return all, nil
}
