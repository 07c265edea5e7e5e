package host

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"slices"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// bodies remembers of one node what its configurations and its certificate say,
// by digest, so that an unchanged node sends no bodies. The bodies themselves
// are never kept: a configuration may hold a secret.
type bodies struct {
	configs map[string]map[string]string // flattened; nil: it cannot be parsed
	chains  map[string][][]byte          // DER, leaf first; public
}

// bodiesMax is how many of a kind are kept for a node: the one on disk and the
// one that the process was started with, and one to spare.
const bodiesMax = 3

// have are the digests whose bodies need not be sent. The wanted configuration
// is one: of a file that is as wanted nobody asks how it differs.
func (b *bodies) have(t actual.Target) []string {
	all := append(sortedKeys(b.configs), sortedKeys(b.chains)...)
	if wanted := t.Files[t.ConfigPath]; strings.HasPrefix(wanted, "sha256:") && isDigest(wanted[7:]) {
		all = append(all, wanted)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// take parses the bodies that came, and forgets those that are on the node no
// more.
func (b *bodies) take(t actual.Target, r *reading) {
	configs, chains := map[string]map[string]string{}, map[string][][]byte{}
	for key, text := range r.texts {
		kind, digest, _ := strings.Cut(key, " ")
		switch kind {
		case "body":
			sum := sha256.Sum256([]byte(text))
			if "sha256:"+hex.EncodeToString(sum[:]) != digest {
				r.problem("a configuration arrived that is not what its digest says")
				continue
			}
			flat, err := desired.Flatten([]byte(text))
			if err != nil {
				flat = nil // Vault would not read it either
			}
			configs[digest] = flat
		case "pem":
			chains[digest] = chainOf(text)
		}
	}
	for digest, flat := range b.configs {
		if _, ok := configs[digest]; !ok && len(configs) < bodiesMax && r.mentions(digest) {
			configs[digest] = flat
		}
	}
	if digest := r.shas[t.Certificate]; digest != "" {
		if chain, ok := b.chains[digest]; ok && chains[digest] == nil {
			chains[digest] = chain
		}
	}
	b.configs, b.chains = configs, chains
}

// mentions says that a file or the mark of the node has this digest.
func (r *reading) mentions(digest string) bool {
	return r.shas[r.target.ConfigPath] == digest || strings.Contains(r.single["mark"], strings.TrimPrefix(digest, "sha256:"))
}

// config is a flattened configuration; nil: Unknown, or as wanted.
func (b *bodies) config(digest string) map[string]string { return b.configs[digest] }

// certificate is the leaf of a file, judged now.
func (b *bodies) certificate(digest string, t actual.Target, now time.Time) *actual.Certificate {
	chain := b.chains[digest]
	if len(chain) == 0 {
		return nil
	}
	var parsed []*x509.Certificate
	for _, der := range chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil
		}
		parsed = append(parsed, c)
	}
	return judge(parsed, t, now)
}

// chainOf are the certificates of a PEM text, at most eight.
func chainOf(text string) [][]byte {
	var chain [][]byte
	rest := []byte(text)
	for len(chain) < 8 {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			chain = append(chain, block.Bytes)
		}
	}
	return chain
}

// judge says of a chain what a client of the listener would.
func judge(chain []*x509.Certificate, t actual.Target, now time.Time) *actual.Certificate {
	leaf := chain[0]
	sum := sha256.Sum256(leaf.Raw)
	c := &actual.Certificate{Digest: "sha256:" + hex.EncodeToString(sum[:]), NotAfter: leaf.NotAfter.UTC()}
	c.Names = append(c.Names, leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		c.Names = append(c.Names, ip.String())
	}
	slices.Sort(c.Names)
	c.Problem = problemOf(chain, t, now)
	return c
}

func problemOf(chain []*x509.Certificate, t actual.Target, now time.Time) string {
	leaf := chain[0]
	if now.After(leaf.NotAfter) || now.Before(leaf.NotBefore) {
		return "expired"
	}
	if len(t.CAs) > 0 {
		roots, between := x509.NewCertPool(), x509.NewCertPool()
		for _, ca := range t.CAs {
			roots.AppendCertsFromPEM(ca)
		}
		for _, c := range chain[1:] {
			between.AddCert(c)
		}
		_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
		if err != nil {
			return "unknown-authority"
		}
	}
	if t.ServerName != "" && leaf.VerifyHostname(t.ServerName) != nil {
		return "wrong-name"
	}
	return ""
}
