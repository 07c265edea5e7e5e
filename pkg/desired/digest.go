package desired

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
)

// digest covers everything that the commit wants of the cluster: the keys as
// they hold after merging, whatever file they stand in, and through the Puts'
// digests every byte of every file. Places are not in it, so that a comment or
// a new line above changes nothing.
func (b *builder) digest() string {
	c := b.draft.cluster
	c.Digest, c.Unbuilt, c.Artefacts, c.Releases, c.Waivers = "", nil, nil, Releases{}, nil
	h := sha256.New()
	encoder := json.NewEncoder(h)
	for _, part := range []any{c, b.l.result.Render, b.spec.plain(), b.draft.cluster.Artefacts, b.verbatimDigests()} {
		if err := encoder.Encode(part); err != nil {
			panic("desired: the digest of a cluster is of plain data: " + err.Error()) // unreachable: no functions, channels or NaN
		}
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// verbatimDigests are those of the operator's own files, node by node.
func (b *builder) verbatimDigests() []string {
	var digests []string
	for _, n := range b.nodes {
		for _, at := range []string{n.spec.str("config_file"), n.spec.str("service", "unit")} {
			if at == "" {
				continue
			}
			digest, _ := b.source(Place{}, at)
			digests = append(digests, strings.Join([]string{n.Name, at, digest}, " "))
		}
	}
	return digests
}
