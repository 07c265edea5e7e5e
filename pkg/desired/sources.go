package desired

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"path"
	"slices"
	"strings"
)

// A file's source is one of three: a path in the cluster's own folder, the
// path of a file that age encrypted there, or the name of a secret that
// reconciler.yaml defines. A commit can name a secret and hold a ciphertext;
// it can never hold or reach anything else.
const (
	agePrefix    = "age:"
	secretPrefix = "secret:"
)

// isReference says whether a text refers to a secret instead of being one.
func isReference(s string) bool {
	return strings.HasPrefix(s, agePrefix) || strings.HasPrefix(s, secretPrefix)
}

// source resolves where content comes from; an empty digest says that it was
// told as a problem. The body of a secret is nil: it is not the repo's.
func (b *builder) source(at Place, text string) (digest string, body []byte) {
	if strings.HasPrefix(text, secretPrefix) {
		return text, nil
	}
	file, encrypted := strings.CutPrefix(text, agePrefix)
	full := path.Join(clustersFolder, b.draft.cluster.Name, file)
	body, wrong, hint := b.l.repo.read(full)
	if wrong != "" {
		b.fail(at, wrong, hint)
		return "", nil
	}
	sum := sha256.Sum256(body)
	digest = "sha256:" + hex.EncodeToString(sum[:])
	switch {
	case encrypted && !isAge(body):
		b.fail(at, full+" is not a file that age encrypted", "encrypt it: age -r RECIPIENT -o "+path.Base(file)+" PLAINTEXT, and remove the plaintext from the repo's history")
		return "", nil
	case encrypted:
		return agePrefix + digest, body
	case isAge(body):
		b.fail(at, full+" is encrypted, and would lie on the node as it is", "write source: \"age:"+file+"\"")
		return "", nil
	case len(body) == 0:
		b.fail(at, full+" is empty", "fill it, or take the item out")
		return "", nil
	}
	return digest, body
}

// readCA reads the certificates that Vault's own are checked against.
func (b *builder) readCA() {
	v := b.spec.child("ca")
	if v == nil {
		return
	}
	c := &b.draft.cluster
	if isReference(v.text) {
		b.fail(v.place, "`ca` refers to a secret, and certificates are none", "put the PEM file into the cluster's folder and name it")
		return
	}
	digest, body := b.source(v.place, v.text)
	if digest == "" {
		return
	}
	if wrong := notCertificates(body); wrong != "" {
		b.fail(v.place, "`ca`: "+wrong, "name a PEM file of certificates alone")
		return
	}
	c.CA, c.CASource = body, path.Join(clustersFolder, c.Name, v.text)
}

// notCertificates says why bytes are not PEM certificates; empty when they
// are.
func notCertificates(body []byte) string {
	count := 0
	for rest := body; ; count++ {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		switch {
		case block == nil && count == 0:
			return "the file holds no PEM certificate"
		case block == nil:
			return ""
		case block.Type != "CERTIFICATE":
			return fmt.Sprintf("the file holds a PEM block of type %q", printable(block.Type))
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Sprintf("certificate %d of the file cannot be read: %v", count+1, err)
		}
	}
}

// nodeFiles turns files: into Puts, with the bytes of each.
func (b *builder) nodeFiles(n *builtNode) []rendered {
	var files []rendered
	seen := map[string]bool{}
	for _, item := range n.spec.list("files") {
		at := b.need(item, "write where the file lies on the node", "path")
		source := b.need(item, "write where its content comes from, as in source: tls/vault.crt", "source")
		if at == "" || source == "" {
			continue
		}
		if seen[at] {
			b.fail(item.at("path"), "two items of files write "+at+" on node "+n.Name, "give each its own path")
			continue
		}
		seen[at] = true
		b.checkFilePath(item.at("path"), at)
		digest, body := b.source(item.at("source"), source)
		if digest == "" {
			continue
		}
		b.checkFileMode(item, source)
		files = append(files, rendered{Body: body, Put: Put{
			Path: at, Owner: item.str("owner"), Group: item.str("group"), Mode: item.str("mode"),
			Digest: digest, Role: RoleFile, OnChange: OnChange(item.str("on_change")), Source: b.sourcePath(source),
		}})
	}
	return b.pairTLS(n, files)
}

// sourcePath is a source as a person looks for it in the repo.
func (b *builder) sourcePath(source string) string {
	folder := path.Join(clustersFolder, b.draft.cluster.Name)
	if file, ok := strings.CutPrefix(source, agePrefix); ok {
		return agePrefix + path.Join(folder, file)
	}
	if isReference(source) {
		return source
	}
	return path.Join(folder, source)
}

// checkFileMode keeps what was secret in the repo secret on the node.
func (b *builder) checkFileMode(item *value, source string) {
	mode := item.str("mode")
	if isReference(source) && strings.HasSuffix(mode, "0") || !isReference(source) || len(mode) != 4 {
		return
	}
	b.fail(item.at("mode"), "a secret would lie on the node with mode "+mode+", which everybody can read",
		"write mode: \"0640\" and the group that Vault runs as")
}

// pairTLS marks the certificate and key that a listener serves: they change
// together or not at all.
func (b *builder) pairTLS(n *builtNode, files []rendered) []rendered {
	for _, l := range n.listeners {
		cert, _ := l.Options["tls_cert_file"].(string)
		key, _ := l.Options["tls_key_file"].(string)
		for i := range files {
			switch put := &files[i].Put; put.Path {
			case cert:
				put.TLS, put.Pair = "cert", key
				if wrong := notCertificates(files[i].Body); wrong != "" && files[i].Body != nil && !strings.HasPrefix(put.Digest, agePrefix) {
					b.fail(b.itemPlace(n, put.Path), put.Source+": "+wrong, "a listener serves this file: name a PEM certificate")
				}
			case key:
				put.TLS, put.Pair = "key", cert
			}
		}
	}
	return files
}

// itemPlace is where the files item of a path is written.
func (b *builder) itemPlace(n *builtNode, at string) Place {
	for _, item := range n.spec.list("files") {
		if item.str("path") == at {
			return item.at("source")
		}
	}
	return n.spec.at("files")
}

// placeCA finds where `ca` lies on the nodes: the path of the files item that
// has the same source.
func (b *builder) placeCA(n *builtNode, files []rendered) {
	c := &b.draft.cluster
	if c.CASource == "" {
		return
	}
	i := slices.IndexFunc(files, func(f rendered) bool { return f.Source == c.CASource })
	switch {
	case i < 0:
		if b.joinsByTLS() {
			b.fail(b.placeOf(b.spec, "ca"), "no item of files puts "+b.spec.str("ca")+" on node "+n.Name+", and its retry_join needs it there",
				"add it to files, as in {path: /etc/vault.d/tls/ca.crt, source: "+b.spec.str("ca")+"}")
		}
	case c.CAPath == "":
		c.CAPath = files[i].Path
	case c.CAPath != files[i].Path:
		b.fail(b.placeOf(b.spec, "ca"), "`ca` lies at "+c.CAPath+" on one node and at "+files[i].Path+" on another", "give it the same path everywhere")
	}
}

// joinsByTLS says whether nodes find each other through TLS, by a retry_join
// of ours.
func (b *builder) joinsByTLS() bool {
	return b.derivesJoin() && len(b.nodes) > 1 &&
		slices.ContainsFunc(b.nodes, func(n *builtNode) bool { return strings.HasPrefix(n.APIAddr, "https://") })
}

// render fills each node's files, folders and configuration.
func (b *builder) render() {
	c := &b.draft.cluster
	c.contents = map[string][]byte{}
	files := make([][]rendered, len(b.nodes))
	for i, n := range b.nodes {
		files[i] = b.nodeFiles(n)
	}
	for i, n := range b.nodes {
		if !b.draft.broken() { // else it may be told missing where its own item was told wrong
			b.placeCA(n, files[i])
		}
	}
	if b.joinsByTLS() && c.CASource == "" {
		b.fail(b.placeOf(b.spec, "ca"), "`ca` is missing, and retry_join needs to know who the other nodes' certificates are checked against",
			"write ca: tls/ca.crt, and an item of files that puts it on the nodes")
	}
	b.readVerbatim()
	if b.draft.broken() || b.verbatim() {
		return
	}
	for i, n := range b.nodes {
		b.renderOne(n, &c.Nodes[i], files[i])
	}
}

// renderOne gives one node its files.
func (b *builder) renderOne(n *builtNode, node *Node, files []rendered) {
	c := &b.draft.cluster
	puts, problems := renderNode(c, node, nodeInput{
		Config: b.configWithSeal(n), Listeners: n.listeners, RetryJoin: b.derivesJoin(),
		Environment: n.environment, StorageOptions: n.storage, Peers: c.Nodes,
	})
	b.draft.add(b.placed(problems)...)
	for _, r := range append(puts, files...) {
		node.Puts = append(node.Puts, r.Put)
		if r.Body != nil {
			c.contents[r.Digest] = r.Body
		}
	}
	slices.SortFunc(node.Puts, func(x, y Put) int { return cmp.Compare(x.Path, y.Path) })
	node.Folders = folders(*c, node.Puts)
	b.draft.add(b.placed(Preflight(*c, *node))...)
}

// configWithSeal is the node's config with the seal's stanza, which Vault does
// not have for Shamir.
func (b *builder) configWithSeal(n *builtNode) map[string]any {
	kind, options := n.spec.child("seal").only()
	if kind != "" && kind != "shamir" {
		n.config["seal"] = map[string]any{kind: options.plainMap()}
	}
	return n.config
}

// placed gives the line of the version to problems that know only their file.
func (b *builder) placed(problems []Problem) []Problem {
	for i, p := range problems {
		if p.Place.Line != 0 {
			continue
		}
		problems[i].Place = b.placeOf(b.spec, "config")
		if p.Rule == "preflight" {
			problems[i].Place = b.placeOf(b.spec, "vault", "version")
		}
	}
	return problems
}

// readVerbatim sees to it that the operator's own files are there.
func (b *builder) readVerbatim() {
	for _, n := range b.nodes {
		for _, at := range [][]string{{"config_file"}, {"service", "unit"}} {
			v := n.spec.get(at...)
			if v == nil {
				continue
			}
			if isReference(v.text) {
				b.fail(v.place, "`"+dotted(at)+"` refers to a secret", "name a file in the cluster's folder; what is secret in it belongs into files or the environment")
				continue
			}
			b.source(v.place, v.text)
		}
	}
}
