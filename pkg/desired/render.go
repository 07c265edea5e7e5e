package desired

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Our own three files on a node are rendered here: vault.hcl, vault.env and the
// unit. The same spec gives the same bytes on every machine and on every day:
// nothing of the commit, the time or our own version stands in them, or each
// commit would look like drift on a whole fleet.
//
// What is rendered is read back with the parser that Vault uses before it is
// handed out: a file that Vault would read otherwise than it was meant does not
// leave this function.

// renderNode renders a node's own files and fills n.Config from the rendered
// vault.hcl. With problems there are no files: half a configuration is worse
// than the one that is in force.
func renderNode(c *Cluster, n *Node, in nodeInput) (puts []rendered, problems []Problem) {
	r := &renderer{cluster: c, node: n}
	config := r.config(in)
	environment := r.environment(in.Environment)
	unit := r.unit(disablesMlock(in))
	if len(r.problems) > 0 {
		return nil, r.problems
	}
	flat, err := Flatten(config)
	if err != nil {
		r.problem("render", "vault.hcl of node "+n.Name+" does not read back: "+err.Error(),
			"this is an error of the reconciler: report it with the cluster's config")
		return nil, r.problems
	}
	n.Config = flat
	return []rendered{
		r.put(RoleConfig, c.Service.ConfigPath, "0640", c.Service.Group, config),
		r.put(RoleEnvironment, c.Service.EnvironmentPath, "0640", c.Service.Group, environment),
		r.put(RoleUnit, c.Service.UnitPath, "0644", "root", unit),
	}, nil
}

// renderer collects the problems of one node's files.
type renderer struct {
	cluster  *Cluster
	node     *Node
	problems []Problem
}

// put owns by root what Vault may read and must not write. OnChange is the most
// that a change may ask for: ChangeOf knows when a configuration asks less.
func (r *renderer) put(role Role, at, mode, group string, body []byte) rendered {
	sum := sha256.Sum256(body)
	return rendered{
		Put: Put{
			Path: at, Owner: "root", Group: group, Mode: mode,
			Digest: "sha256:" + hex.EncodeToString(sum[:]),
			Role:   role, OnChange: OnChangeRestart,
		},
		Body: body,
	}
}

// problem notes an error in what this node is rendered from.
func (r *renderer) problem(rule, text, hint string) {
	r.problems = append(r.problems, Problem{
		Place: Place{File: specPath(r.cluster.Name)}, Severity: SeverityError,
		Rule: rule, Cluster: r.cluster.Name, Text: text, Hint: hint,
	})
}

// specPath is the repo path of a cluster's spec.
func specPath(cluster string) string {
	return path.Join("clusters", cluster, "cluster.yaml")
}

// header opens each file that we render. It tells whoever finds the file where
// to change it, and nothing that changes from one commit to the next.
func (r *renderer) header() string {
	return "# Managed by reconciler: fleet " + r.cluster.Fleet + ", " + specPath(r.cluster.Name) + ".\n" +
		"# Change it there: what is changed here is drift, and is put back.\n\n"
}

// config is vault.hcl. The whole file is one map, so that it is sorted and free
// of duplicates by construction.
func (r *renderer) config(in nodeInput) []byte {
	r.reserved(in.Config)
	doc := maps.Clone(in.Config)
	if doc == nil {
		doc = map[string]any{}
	}
	if r.node.APIAddr != "" {
		doc["api_addr"] = r.node.APIAddr
	}
	if r.node.ClusterAddr != "" {
		doc["cluster_addr"] = r.node.ClusterAddr
	}
	doc["storage"] = map[string]any{r.cluster.Storage.Kind: r.storage(in)}
	if listeners := listenerBlocks(in.Listeners); len(listeners) > 0 {
		doc["listener"] = listeners
	}
	body, err := encodeHCL(doc)
	if err != nil {
		r.problem("config", "node "+r.node.Name+": "+err.Error(), "")
		return nil
	}
	return append([]byte(r.header()), body...)
}

// reserved refuses the keys of config: that other keys of the spec write, and a
// seal that the file would not have: Vault without a seal block is a Shamir
// Vault, and starting an auto-unsealed node as one strands it.
func (r *renderer) reserved(config map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(config)) {
		switch strings.ToLower(key) {
		case "listener", "storage", "backend", "api_addr", "cluster_addr":
			r.problem("config", "config."+key+" is written from the spec's own keys",
				"take it out of config: and use listener, storage, or the node's api_addr and cluster_addr")
		}
	}
	seal, given := config["seal"].(map[string]any)
	switch kind := r.cluster.Seal.Kind; {
	case kind == "" || kind == "shamir":
		if _, any := config["seal"]; any {
			r.problem("explicit-seal", "config.seal stands beside seal: shamir", "name the seal under seal: only")
		}
	case !given || len(seal) != 1 || seal[kind] == nil:
		r.problem("explicit-seal", "seal "+kind+" has no settings to render", "write seal: {"+kind+": {…}}")
	}
}

func listenerBlocks(listeners []Listener) []any {
	blocks := make([]any, 0, len(listeners))
	for _, l := range listeners {
		options := l.Options
		if options == nil {
			options = map[string]any{}
		}
		blocks = append(blocks, map[string]any{l.Type: options})
	}
	return blocks
}

// storage is the storage block's content.
func (r *renderer) storage(in nodeInput) map[string]any {
	s := maps.Clone(in.StorageOptions)
	if s == nil {
		s = map[string]any{}
	}
	r.set(s, "path", r.cluster.Storage.Path)
	if r.cluster.Storage.Kind != "raft" {
		return s
	}
	r.set(s, "node_id", r.node.ID)
	if joins := r.retryJoin(in.Peers); in.RetryJoin && len(joins) > 0 {
		if _, there := s["retry_join"]; there {
			r.problem("storage", "storage.raft.retry_join is both written and derived", "take one of the two away")
			return s
		}
		s["retry_join"] = joins
	}
	return s
}

// set writes what the spec says elsewhere; the options may repeat it, not
// contradict it. An empty value writes nothing.
func (r *renderer) set(options map[string]any, key, value string) {
	if value == "" {
		return
	}
	if old, there := options[key]; there && old != value {
		r.problem("storage", fmt.Sprintf("storage.%s.%s is %v in one place and %q in another", r.cluster.Storage.Kind, key, old, value),
			"say it once")
		return
	}
	options[key] = value
}

// retryJoin has a block for each other member, by name: a node that lists
// itself logs an error at every start and learns nothing.
func (r *renderer) retryJoin(peers []Node) []any {
	members := slices.SortedFunc(slices.Values(peers), func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	var joins []any
	for _, p := range members {
		if p.Name == r.node.Name || p.Absent {
			continue
		}
		join := map[string]any{"leader_api_addr": p.APIAddr}
		if r.cluster.CAPath != "" {
			join["leader_ca_cert_file"] = r.cluster.CAPath
		}
		if p.TLSServerName != "" {
			join["leader_tls_servername"] = p.TLSServerName
		}
		joins = append(joins, join)
	}
	return joins
}

// disablesMlock says whether Vault will not lock its memory: true needs no
// capability. The environment wins over the file, as it does in Vault.
func disablesMlock(in nodeInput) bool {
	if v, there := in.Environment["VAULT_DISABLE_MLOCK"]; there && v != "" {
		return isTrue(v)
	}
	return isTrue(in.Config["disable_mlock"])
}

// isTrue reads a bool as Vault does: as a bool, a number or a word.
func isTrue(v any) bool {
	switch strings.ToLower(fmt.Sprint(v)) {
	case "true", "t", "1":
		return true
	}
	return false
}

// encodeHCL writes a document as HCL that Vault's parser (HCL 1) and HCL 2 read
// alike: attributes before blocks, each sorted. Maps become blocks, lists of
// maps repeated blocks; maps with keys that no block can have (response headers
// such as "2xx") become quoted objects.
func encodeHCL(doc map[string]any) ([]byte, error) {
	f := hclwrite.NewEmptyFile()
	if err := fillBody(f.Body(), doc, ""); err != nil {
		return nil, err
	}
	return f.Bytes(), nil
}

// fillBody writes a map as the body of a block, or of the file where at is
// empty.
func fillBody(body *hclwrite.Body, m map[string]any, at string) error {
	keys := slices.Sorted(maps.Keys(m))
	begun := false
	for _, key := range keys {
		if !isIdentifier(key) {
			return fmt.Errorf("%s is no name that vault.hcl can have here", quoteText(at+key))
		}
		if asBlocks(m[key]) != nil {
			continue
		}
		tokens, err := literal(m[key], at+key)
		if err != nil {
			return err
		}
		body.SetAttributeRaw(key, tokens)
		begun = true
	}
	for _, key := range keys {
		for _, block := range written(key, asBlocks(m[key]), at == "") {
			if begun {
				body.AppendNewline()
			}
			begun = true
			inner := body.AppendNewBlock(key, block.labels).Body()
			if err := fillBody(inner, block.content, at+strings.Join(append([]string{key}, block.labels...), ".")+"."); err != nil {
				return err
			}
		}
	}
	return nil
}

// writtenBlock is a block as it stands in the file.
type writtenBlock struct {
	labels  []string
	content map[string]any
}

// written gives the blocks that Vault knows by a type at the top of the file
// (listener "tcp") their label. Either all blocks of a key have one or none:
// HCL 1 decodes no mixture.
func written(key string, blocks []map[string]any, top bool) []writtenBlock {
	labelled := top && isLabelled(key)
	for _, block := range blocks {
		labelled = labelled && allBlocks(block)
	}
	var out []writtenBlock
	for _, block := range blocks {
		if !labelled {
			out = append(out, writtenBlock{content: block})
			continue
		}
		for _, label := range slices.Sorted(maps.Keys(block)) {
			for _, inner := range asBlocks(block[label]) {
				out = append(out, writtenBlock{[]string{label}, inner})
			}
		}
	}
	return out
}

// isLabelled names the blocks that Vault reads by type.
func isLabelled(key string) bool {
	switch strings.ToLower(key) {
	case "listener", "storage", "backend", "ha_storage", "ha_backend", "seal",
		"service_registration", "user_lockout", "kms_library", "entropy":
		return true
	}
	return false
}

// asBlocks is a value as blocks; nil: it can only be an attribute.
func asBlocks(v any) []map[string]any {
	var items []any
	switch v := v.(type) {
	case map[string]any:
		items = []any{v}
	case []any:
		items = v
	}
	var blocks []map[string]any
	for _, item := range items {
		m, ok := item.(map[string]any)
		if !ok {
			return nil
		}
		for key := range m {
			if !isIdentifier(key) {
				return nil
			}
		}
		blocks = append(blocks, m)
	}
	return blocks
}

// allBlocks says that each value of a map is one block or more, so that its
// keys can be labels.
func allBlocks(m map[string]any) bool {
	for _, v := range m {
		if asBlocks(v) == nil {
			return false
		}
	}
	return len(m) > 0
}

// isIdentifier says that a key can stand unquoted: true and false would be
// read as bools.
func isIdentifier(s string) bool {
	if s == "" || s == "true" || s == "false" || s[0] == '-' || '0' <= s[0] && s[0] <= '9' {
		return false
	}
	return harmless(s, "_-")
}

// literal is a value as an expression; at is its place, for people.
func literal(v any, at string) (hclwrite.Tokens, error) {
	switch v := v.(type) {
	case string:
		return quoted(v, at)
	case bool:
		return raw(strconv.FormatBool(v)), nil
	case int:
		return raw(strconv.Itoa(v)), nil
	case int64:
		return raw(strconv.FormatInt(v, 10)), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%s: vault.hcl has no number %v", at, v)
		}
		return raw(floatText(v)), nil
	case []any:
		return tuple(v, at)
	case map[string]any:
		return object(v, at)
	}
	return nil, fmt.Errorf("%s: a value of type %T cannot stand in vault.hcl; use a string, a number, a bool, a list or a map", at, v)
}

// floatText keeps a whole float a float: HCL 1 tells 1.0 from 1.
func floatText(v float64) string {
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

func raw(text string) hclwrite.Tokens {
	return hclwrite.Tokens{{Type: hclsyntax.TokenNumberLit, Bytes: []byte(text)}}
}

func tuple(list []any, at string) (hclwrite.Tokens, error) {
	elements := make([]hclwrite.Tokens, 0, len(list))
	for i, v := range list {
		t, err := literal(v, fmt.Sprintf("%s[%d]", at, i))
		if err != nil {
			return nil, err
		}
		elements = append(elements, t)
	}
	return hclwrite.TokensForTuple(elements), nil
}

func object(m map[string]any, at string) (hclwrite.Tokens, error) {
	attributes := make([]hclwrite.ObjectAttrTokens, 0, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		name, err := quoted(key, at)
		if err != nil {
			return nil, err
		}
		value, err := literal(m[key], at+"."+key)
		if err != nil {
			return nil, err
		}
		attributes = append(attributes, hclwrite.ObjectAttrTokens{Name: name, Value: value})
	}
	return hclwrite.TokensForObject(attributes), nil
}

// quoted is a string literal. hclwrite's own quoting doubles the sign of "${"
// and "%{", which HCL 1 keeps doubled, and HCL 1 left to itself takes "${" for
// the beginning of an interpolation; the sign as \u0024 or \u0025 is read as
// itself by both.
func quoted(s, at string) (hclwrite.Tokens, error) {
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("%s is not valid UTF-8", at)
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case (r == '$' || r == '%') && strings.HasPrefix(s[i+1:], "{"):
			fmt.Fprintf(&b, `\u%04x`, r)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return hclwrite.Tokens{
		{Type: hclsyntax.TokenOQuote, Bytes: []byte{'"'}},
		{Type: hclsyntax.TokenQuotedLit, Bytes: []byte(b.String())},
		{Type: hclsyntax.TokenCQuote, Bytes: []byte{'"'}},
	}, nil
}
