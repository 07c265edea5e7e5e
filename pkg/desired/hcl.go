package desired

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/hcl/ast"
	hclparser "github.com/hashicorp/hcl/hcl/parser"
	"github.com/hashicorp/hcl/hcl/token"
	jsonparser "github.com/hashicorp/hcl/json/parser"
)

// vault.hcl is read with HCL 1, the parser that Vault has, because another one
// reads real files otherwise: HCL 2 refuses "storage" "raft" {…} with quotes and
// takes "${" for a template. What is read is brought into one shape, in which
// two files are equal when Vault decodes the same from them: comments, order,
// quotes, and block or attribute form are gone.

const (
	maxConfigBytes    = 1 << 20 // real files have a few KiB
	maxConfigBrackets = 2_000   // HCL 1 recurses for each, and copies all names above; a million of them end the process
	maxConfigDepth    = 32      // of blocks, labels and lists; Vault's own go to 5
)

// ConfigError is what is wrong with a vault.hcl. Line and Column count from 1;
// 0 is not known. The text never quotes the file, which may hold a credential.
type ConfigError struct {
	Line, Column int
	Text         string
	Duplicate    bool // an argument that is given twice: Vault ≥ 1.21 does not start
}

func (e *ConfigError) Error() string {
	if e.Line == 0 {
		return e.Text
	}
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Text)
}

// Flatten reads a vault.hcl (HCL 1, or JSON as HCL 1 reads it) into keys and
// values: "log_level", "storage.raft.path", "listener.tcp[0].tls_cert_file".
// Values are canonical JSON. Listeners and retry_join always carry their index,
// other blocks when there are several; keys that are no identifiers stand in
// quotes; an empty block has the value {}.
//
// A sensitive value is the JSON string "sha256:HEX", the digest of the value's
// canonical JSON: it can be compared, and not read. What is sensitive is told
// by sensitiveKey and sensitiveValue.
//
// Errors are *ConfigError. No input makes it panic.
func Flatten(config []byte) (map[string]string, error) {
	root, err := parseConfig(config)
	if err != nil {
		return nil, err
	}
	f := flattener{out: map[string]string{}}
	for _, key := range slices.Sorted(maps.Keys(root.entries)) {
		if err := f.top(key, root.entries[key]); err != nil {
			return nil, err
		}
	}
	return f.out, nil
}

// parseConfig chooses between HCL and JSON as Vault does. Duplicates are left
// to addItem, which sees those that differ in quotes and those in JSON too.
func parseConfig(config []byte) (*configBlock, error) {
	if len(config) > maxConfigBytes {
		return nil, &ConfigError{Text: fmt.Sprintf("the file has %d bytes, more than the %d that a configuration may have", len(config), maxConfigBytes)}
	}
	if bytes.Count(config, []byte{'['})+bytes.Count(config, []byte{'{'}) > maxConfigBrackets {
		return nil, &ConfigError{Text: fmt.Sprintf("the file opens more than %d brackets", maxConfigBrackets)}
	}
	isJSON := bytes.HasPrefix(bytes.TrimLeftFunc(config, unicode.IsSpace), []byte{'{'})
	file, err := parseHCL1(config, isJSON)
	if err != nil {
		return nil, err
	}
	list, ok := file.Node.(*ast.ObjectList)
	if !ok {
		return nil, &ConfigError{Text: "the file is no list of settings"}
	}
	return configReader{isJSON}.block(list, 0)
}

// parseHCL1 keeps the parser's place and drops its words, which quote the file.
// The parser panics on some of what it cannot read; here that is an error.
func parseHCL1(config []byte, isJSON bool) (file *ast.File, err error) {
	defer func() {
		if recover() != nil {
			file, err = nil, &ConfigError{Text: "the file is not HCL"}
		}
	}()
	if isJSON {
		file, err = jsonparser.Parse(config)
	} else {
		file, err = hclparser.ParseDontErrorOnDuplicateKeys(config)
	}
	if err == nil {
		return file, nil
	}
	broken := &ConfigError{Text: "this is not HCL: a name, =, {, } or a closing quote is missing or misplaced here or just above"}
	if at, ok := err.(*hclparser.PosError); ok {
		broken.Line, broken.Column = at.Pos.Line, at.Pos.Column
	}
	return nil, broken
}

// configBlock is the content of a block, or of the file.
type configBlock struct {
	entries map[string]*configEntry
}

// configEntry is what a key holds: one value, or blocks in their order.
type configEntry struct {
	value    string // canonical JSON; empty: blocks
	blocks   []*configBlock
	assigned bool // with "=", which may be written once
}

// configReader turns what the parser gives into blocks.
type configReader struct {
	isJSON bool // in JSON a list may stand for repeated blocks with one "="
}

func (r configReader) block(list *ast.ObjectList, depth int) (*configBlock, error) {
	b := &configBlock{entries: map[string]*configEntry{}}
	for _, item := range list.Items {
		if err := r.addItem(b, item, depth); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// addItem adds an item; further keys are labels and open blocks of their own:
// listener "tcp" {…} means listener { tcp {…} }.
func (r configReader) addItem(b *configBlock, item *ast.ObjectItem, depth int) error {
	if len(item.Keys) == 0 {
		return &ConfigError{Text: "a value without a name"}
	}
	value, err := r.entry(item.Val, depth+len(item.Keys))
	if err != nil {
		return err
	}
	for _, label := range slices.Backward(item.Keys[1:]) {
		name, err := tokenText(label.Token)
		if err != nil {
			return err
		}
		value = &configEntry{blocks: []*configBlock{{entries: map[string]*configEntry{name: value}}}}
	}
	value.assigned = item.Assign.IsValid() && !r.isJSON
	name, err := tokenText(item.Keys[0].Token)
	if err != nil {
		return err
	}
	have := b.entries[name]
	switch {
	case have == nil:
		b.entries[name] = value
	case have.value != "" || value.value != "" || have.assigned && value.assigned:
		at := item.Keys[0].Token.Pos
		return &ConfigError{Line: at.Line, Column: at.Column, Duplicate: true, Text: name + " is given twice; keep one"}
	default:
		have.blocks = append(have.blocks, value.blocks...)
		have.assigned = have.assigned || value.assigned
	}
	return nil
}

// entry reads a value; a list of objects alone means repeated blocks.
func (r configReader) entry(node ast.Node, depth int) (*configEntry, error) {
	if depth > maxConfigDepth {
		at := node.Pos()
		return nil, &ConfigError{Line: at.Line, Column: at.Column, Text: fmt.Sprintf("blocks are nested more than %d deep", maxConfigDepth)}
	}
	var objects []ast.Node
	switch n := node.(type) {
	case *ast.ObjectType:
		objects = []ast.Node{n}
	case *ast.ListType:
		objects = n.List
	}
	e := &configEntry{}
	for _, o := range objects {
		object, ok := o.(*ast.ObjectType)
		if !ok {
			e.blocks = nil
			break
		}
		block, err := r.block(object.List, depth)
		if err != nil {
			return nil, err
		}
		e.blocks = append(e.blocks, block)
	}
	if e.blocks != nil {
		return e, nil
	}
	plain, err := r.plain(node, depth)
	if err != nil {
		return nil, err
	}
	e.value, err = canonicalJSON(plain)
	return e, err
}

// plain is a node as plain Go values.
func (r configReader) plain(node ast.Node, depth int) (any, error) {
	switch n := node.(type) {
	case *ast.LiteralType:
		return tokenValue(n.Token)
	case *ast.ListType:
		list := make([]any, 0, len(n.List))
		for _, item := range n.List {
			v, err := r.plain(item, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case *ast.ObjectType:
		block, err := r.block(n.List, depth)
		if err != nil {
			return nil, err
		}
		return block.plain(), nil
	}
	return nil, &ConfigError{Text: "a value of a kind that HCL does not have"}
}

// plain is a block inside a list of mixed values.
func (b *configBlock) plain() map[string]any {
	m := make(map[string]any, len(b.entries))
	for key, e := range b.entries {
		if e.value != "" {
			m[key] = json.RawMessage(e.value)
			continue
		}
		blocks := make([]any, 0, len(e.blocks))
		for _, inner := range e.blocks {
			blocks = append(blocks, inner.plain())
		}
		m[key] = blocks
	}
	return m
}

func canonicalJSON(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", &ConfigError{Text: "a value that has no JSON form"}
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// tokenValue is a literal's value: HCL 1 panics on numbers and strings that it
// has scanned and cannot read.
func tokenValue(t token.Token) (v any, err error) {
	defer func() {
		if recover() != nil {
			v, err = nil, &ConfigError{Line: t.Pos.Line, Column: t.Pos.Column, Text: "a value that HCL cannot read"}
		}
	}()
	return t.Value(), nil
}

func tokenText(t token.Token) (string, error) {
	v, err := tokenValue(t)
	if err != nil {
		return "", err
	}
	if s, ok := v.(string); ok {
		return s, nil
	}
	return "", &ConfigError{Line: t.Pos.Line, Column: t.Pos.Column, Text: "a name that HCL cannot read"}
}

// flattener collects the keys of one file.
type flattener struct {
	out map[string]string
}

// top is a setting of the file. Blocks that Vault reads by type are gathered by
// it, so that listener "tcp" {…} and listener { type = "tcp" … } are one thing.
func (f flattener) top(key string, e *configEntry) error {
	if e.value != "" || !isLabelled(key) {
		return f.entry(keyText(key), e, secrecy{top: key, leaf: key})
	}
	labels, rest := byLabel(e.blocks)
	for _, label := range slices.Sorted(maps.Keys(labels)) {
		at := keyText(key) + "." + keyText(label)
		if err := f.blocks(at, labels[label], strings.EqualFold(key, "listener"), secrecy{top: key, leaf: label}); err != nil {
			return err
		}
	}
	return f.blocks(keyText(key), rest, false, secrecy{top: key, leaf: key})
}

// byLabel sorts blocks by type; rest are those that tell none.
func byLabel(blocks []*configBlock) (labels map[string][]*configBlock, rest []*configBlock) {
	labels = map[string][]*configBlock{}
	for _, b := range blocks {
		if kind := b.kind(); kind != "" {
			without := maps.Clone(b.entries)
			delete(without, "type")
			labels[kind] = append(labels[kind], &configBlock{entries: without})
			continue
		}
		if !b.onlyBlocks() {
			rest = append(rest, b)
			continue
		}
		for label, e := range b.entries {
			labels[label] = append(labels[label], e.blocks...)
		}
	}
	return labels, rest
}

// kind is a block's type = "…", or empty.
func (b *configBlock) kind() string {
	e := b.entries["type"]
	if e == nil {
		return ""
	}
	var kind string
	if json.Unmarshal([]byte(e.value), &kind) != nil {
		return ""
	}
	return kind
}

func (b *configBlock) onlyBlocks() bool {
	for _, e := range b.entries {
		if e.value != "" {
			return false
		}
	}
	return len(b.entries) > 0
}

func (f flattener) entry(at string, e *configEntry, s secrecy) error {
	if e.value == "" {
		return f.blocks(at, e.blocks, s.leaf == "retry_join", s)
	}
	value := e.value
	if s.hides(value) {
		sum := sha256.Sum256([]byte(value))
		value = `"sha256:` + hex.EncodeToString(sum[:]) + `"`
	}
	return f.set(at, value)
}

func (f flattener) blocks(at string, blocks []*configBlock, indexed bool, s secrecy) error {
	for i, b := range blocks {
		here := at
		if indexed || len(blocks) > 1 {
			here += "[" + strconv.Itoa(i) + "]"
		}
		if len(b.entries) == 0 {
			if err := f.set(here, "{}"); err != nil {
				return err
			}
		}
		for _, key := range slices.Sorted(maps.Keys(b.entries)) {
			if err := f.entry(here+"."+keyText(key), b.entries[key], s.under(key)); err != nil {
				return err
			}
		}
	}
	return nil
}

// set refuses the odd file in which two spellings of one block meet.
func (f flattener) set(at, value string) error {
	if _, there := f.out[at]; there {
		return &ConfigError{Duplicate: true, Text: at + " is given twice; keep one"}
	}
	f.out[at] = value
	return nil
}

// keyText keeps keys apart whatever they are made of.
func keyText(key string) string {
	if isIdentifier(key) {
		return key
	}
	return strconv.Quote(key)
}

// secrecy is where a value stands, as far as it matters for keeping it secret.
// What is not known to be harmless inside seal and storage blocks is secret:
// plans are read by more people than may read credentials.
type secrecy struct {
	top    string // the file's setting that it belongs to
	leaf   string // the innermost key
	secret bool   // a block above is named like a secret
}

func (s secrecy) under(key string) secrecy {
	return secrecy{top: s.top, leaf: key, secret: s.secret || !guarded(s.top) && namesSecret(s.leaf)}
}

// hides says whether a value is shown as its digest only.
func (s secrecy) hides(value string) bool {
	return s.secret || sensitiveKey(s.top, s.leaf) || sensitiveValue(value)
}

// guarded names the blocks whose unknown keys are secret.
func guarded(top string) bool {
	switch strings.ToLower(top) {
	case "seal", "storage", "backend", "ha_storage", "ha_backend":
		return true
	}
	return false
}

// sensitiveKey says whether a key of a block holds a secret. True for all that
// seal and storage may hold, the lists below apart.
func sensitiveKey(top, leaf string) bool {
	switch {
	case strings.EqualFold(top, "seal"):
		return !harmlessInSeal(strings.ToLower(leaf))
	case guarded(top):
		return !harmlessInStorage(strings.ToLower(leaf))
	}
	return namesSecret(leaf)
}

// harmlessInSeal are the parameters of Vault's seals that name things and open
// nothing (docs/configuration/seal/*).
func harmlessInSeal(leaf string) bool {
	switch leaf {
	case "disabled", "name", "priority", "key_id_prefix",
		"address", "key_name", "mount_path", "namespace", "disable_renewal", // transit
		"tls_ca_cert", "tls_client_cert", "tls_client_key", "tls_server_name", "tls_skip_verify", // paths, not PEM
		"region", "kms_key_id", "endpoint", // awskms
		"project", "key_ring", "crypto_key", // gcpckms
		"tenant_id", "client_id", "environment", "vault_name", "resource", // azurekeyvault
		"key_id", "crypto_endpoint", "management_endpoint", "auth_type_api_key", // ocikms: the last is a bool
		"lib", "slot", "token_label", "key_label", "hmac_key_label", "hmac_key_id", "mechanism", "hmac_mechanism",
		"generate_key", "force_rw_session", "max_parallel", "disable_software_encryption", "rsa_encrypt_local", "rsa_oaep_hash": // pkcs11
		return true
	}
	return false
}

// harmlessInStorage are the parameters of the storage kinds that this tool
// knows (docs/configuration/storage/{raft,consul,filesystem}). auto_join is not
// among them: cloud credentials stand in it.
func harmlessInStorage(leaf string) bool {
	switch leaf {
	case "path", "node_id", "performance_multiplier", "trailing_logs", "snapshot_threshold", "snapshot_interval",
		"max_entry_size", "max_mount_and_namespace_table_entry_size", "max_trailing_logs", "retry_join_as_non_voter",
		"raft_wal", "raft_log_verifier_enabled", "raft_log_verification_interval",
		"autopilot_reconcile_interval", "autopilot_update_interval", "autopilot_upgrade_version", "autopilot_redundancy_zone",
		"retry_join", "leader_api_addr", "leader_tls_servername", "leader_ca_cert_file", "leader_client_cert_file",
		"leader_client_key_file", "leader_ca_cert", "leader_client_cert", "auto_join_scheme", "auto_join_port",
		"address", "scheme", "check_timeout", "consistency_mode", "disable_registration", "max_parallel", "service",
		"service_tags", "service_address", "session_ttl", "lock_wait_time", "tls_ca_file", "tls_cert_file", "tls_key_file",
		"tls_min_version", "tls_skip_verify":
		return true
	}
	return false
}

// namesSecret goes by what people call secrets. Names of files, labels and
// durations are not secret; their values are still looked at.
func namesSecret(key string) bool {
	k := strings.ToLower(key)
	for _, harmless := range []string{"_file", "_path", "_dir", "_label", "_ttl", "_period", "_interval"} {
		if strings.HasSuffix(k, harmless) {
			return false
		}
	}
	for _, word := range []string{"token", "password", "passwd", "passphrase", "secret", "credential", "private", "api_key", "apikey", "access_key", "license"} {
		if strings.Contains(k, word) {
			return true
		}
	}
	return k == "pin" || k == "key" || strings.HasSuffix(k, "_pin") || strings.HasSuffix(k, "_key")
}

// sensitiveValue recognises secrets under any name: a private key, a Vault
// token, a password in a URL. The value is JSON.
func sensitiveValue(value string) bool {
	for _, mark := range []string{"PRIVATE KEY", `"hvs.`, `"hvb.`, `"hvr.`} {
		if strings.Contains(value, mark) {
			return true
		}
	}
	for rest := value; ; {
		_, after, found := strings.Cut(rest, "://")
		if !found {
			return false
		}
		authority := after
		if end := strings.IndexAny(after, `/?#" `); end >= 0 {
			authority = after[:end]
		}
		if strings.Contains(authority, "@") {
			return true
		}
		rest = after
	}
}
