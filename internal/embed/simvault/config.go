package simvault

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl"
	"github.com/hashicorp/hcl/hcl/parser"

	"github.com/vaultfleet/reconciler/internal/sim"
)

// configuration is a vault.hcl as the simulator obeys it.
type configuration struct {
	data      string // folder of raft, on this machine
	nodeID    string
	joins     []string // API addresses of retry_join
	listen    string   // host:port
	certFile  string
	keyFile   string
	plain     bool // tls_disable
	api       string
	cluster   string
	level     string
	clusterIs string // cluster_name
}

// levels are those of log_level.
var levels = []string{"trace", "debug", "info", "notice", "warn", "warning", "error", "err"}

// readConfiguration reads a vault.hcl with Vault's own parser. It refuses one that
// does not parse, no storage, no such log level and, from 1.20 on, no
// word about mlock; other things that Vault refuses it takes.
func readConfiguration(path, root, version string) (configuration, error) {
	var c configuration
	body, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	var raw map[string]any
	if err := parse(body, version, &raw); err != nil {
		return c, fmt.Errorf("error loading configuration from %s: %w", path, err)
	}
	raft := block(raw, "storage", "raft")
	if raft == nil {
		return c, errors.New("A storage backend must be specified") //lint:ignore ST1005 Vault's own words
	}
	if raw["disable_mlock"] == nil && sim.AtLeast(version, "1.20.0") {
		return c, errors.New("disable_mlock must be configured 'true' or 'false': Mandatory for integrated storage")
	}
	tcp := block(raw, "listener", "tcp")
	if tcp == nil {
		return c, errors.New("the simulator needs a listener: Vault starts without one, and answers nobody")
	}
	disabled := textOf(tcp["tls_disable"])
	c = configuration{data: filepath.Join(root, textOf(raft["path"])), nodeID: textOf(raft["node_id"]), listen: textOf(tcp["address"]),
		certFile: textOf(tcp["tls_cert_file"]), keyFile: textOf(tcp["tls_key_file"]), plain: disabled == "true" || disabled == "1",
		api: textOf(raw["api_addr"]), cluster: textOf(raw["cluster_addr"]), level: textOf(raw["log_level"]), clusterIs: textOf(raw["cluster_name"])}
	joins, _ := raft["retry_join"].([]map[string]any) // none is none
	for _, j := range joins {
		c.joins = append(c.joins, textOf(j["leader_api_addr"]))
	}
	if c.level != "" && !slices.Contains(levels, strings.ToLower(c.level)) {
		return c, fmt.Errorf("unknown log level: %s", c.level)
	}
	return c, nil
}

// parse reads HCL. What is given twice is refused from 1.21 on; before, the last
// one counts.
func parse(body []byte, version string, to *map[string]any) error {
	read := parser.Parse
	if !sim.AtLeast(version, "1.21.0") {
		read = parser.ParseDontErrorOnDuplicateKeys
	}
	file, err := read(body)
	if err != nil {
		return err
	}
	return hcl.DecodeObject(to, file)
}

// block is the first block of a kind with a label, or nil.
func block(raw map[string]any, kind, label string) map[string]any {
	all, _ := raw[kind].([]map[string]any)
	for _, b := range all {
		if found, _ := b[label].([]map[string]any); len(found) > 0 {
			return found[0]
		}
	}
	return nil
}

// textOf is a value as a text; of none it is empty.
func textOf(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// keyPair is the certificate that a listener serves.
func (c configuration) keyPair(root string) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(root, c.certFile), filepath.Join(root, c.keyFile))
	if err != nil {
		return nil, err
	}
	return &pair, nil
}
