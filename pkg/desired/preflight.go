package desired

import (
	"bytes"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/go-version"
)

// Preflight tells before anything is touched that a node would not start on the
// wanted version: found out by the first follower, it would cost the cluster
// that follower, and a fleet the evening. A row is here only when Vault's source
// or upgrade notes show it. Arguments given twice, which Vault ≥ 1.21 refuses,
// are not: Flatten refuses them for every version.

// preflightRule is one reason not to start.
type preflightRule struct {
	since string // first version that has it, pre-releases included; empty: all
	// broken says that the node would not start.
	broken func(p preflight) bool
	text   string
	hint   string
}

// preflight is what the rules look at.
type preflight struct {
	cluster     Cluster
	config      map[string]string // flattened
	environment map[string]string // filled in the environment file, as far as it needs no unescaping
	version     *version.Version
}

func preflightRules() []preflightRule {
	return []preflightRule{
		{
			// server.go: "disable_mlock must be configured 'true' or 'false'".
			since:  "1.20.0",
			broken: func(p preflight) bool { return p.raft() && !p.has("disable_mlock", "VAULT_DISABLE_MLOCK") },
			text:   "raft storage needs disable_mlock written out, true or false",
			hint:   "write disable_mlock: true under config:, and keep the hosts free of unencrypted swap",
		},
		{
			// Upgrade notes of 1.20.1: such a device keeps Vault sealed.
			since:  "1.20.1",
			broken: func(p preflight) bool { return slices.ContainsFunc(p.cluster.Audit, executable) },
			text:   "an audit file with an executable mode keeps Vault from unsealing",
			hint:   `give the audit device a mode without x, such as "0600"`,
		},
		{
			since:  "1.20.1",
			broken: func(p preflight) bool { return slices.ContainsFunc(p.cluster.Audit, prefixed) && !p.allowsPrefix() },
			text:   "an audit device with a prefix is refused",
			hint:   "write allow_audit_log_prefixing: true under config:, or take the prefix away",
		},
		{
			// server.go: ParseLogLevel. A reload takes such a level without a
			// word on the API, and the next start fails.
			broken: func(p preflight) bool { return !oneOf(p.setting("log_level", "VAULT_LOG_LEVEL"), logLevels()) },
			text:   "log_level is no level that Vault knows",
			hint:   "write one of " + strings.Join(logLevels(), ", "),
		},
		{
			broken: func(p preflight) bool { return !oneOf(p.setting("log_format", "VAULT_LOG_FORMAT"), logFormats()) },
			text:   "log_format is no format that Vault knows",
			hint:   "write one of " + strings.Join(logFormats(), ", "),
		},
		{
			// parseStorage: "only one "storage" block is permitted"; without one
			// Vault has nothing to start on.
			broken: func(p preflight) bool { return p.storages() != 1 },
			text:   "the configuration must have exactly one storage block",
			hint:   "keep one of raft, consul and file",
		},
		{
			// server.go: "service_registration is configured, but storage does
			// not support HA".
			broken: func(p preflight) bool {
				return hasBelow(p.config, "service_registration") && hasBelow(p.config, "storage.file")
			},
			text: "service_registration needs a storage that supports high availability, which file does not",
			hint: "take service_registration away, or use raft",
		},
		{
			// EntCheckLicense: an Enterprise server without a licence exits.
			since:  "1.8.0",
			broken: func(p preflight) bool { return p.enterprise() && !p.licensed() },
			text:   "an Enterprise version needs a licence",
			hint:   "write license_path under config:, or VAULT_LICENSE_PATH into environment_file",
		},
	}
}

// Preflight says why a node would not start on the wanted version; empty: no
// reason is known. It wants n.Config, and sees the environment file when the
// cluster has its content. A node without n.Config has no configuration to
// judge, and a version that cannot be read is not judged here.
func Preflight(c Cluster, n Node) []Problem {
	v, err := version.NewVersion(c.Vault.Version)
	if err != nil || n.Config == nil {
		return nil
	}
	p := preflight{cluster: c, config: n.Config, environment: environmentValues(c, n), version: v}
	var problems []Problem
	for _, rule := range preflightRules() {
		if !p.reached(rule.since) || !rule.broken(p) {
			continue
		}
		problems = append(problems, Problem{
			Place: Place{File: specPath(c.Name)}, Severity: SeverityError, Rule: "preflight", Cluster: c.Name,
			Text: "node " + n.Name + " would not start on Vault " + c.Vault.Version + ": " + rule.text,
			Hint: rule.hint,
		})
	}
	return problems
}

// reached counts a pre-release as its release: 1.20.0-rc1 refuses what 1.20.0
// refuses.
func (p preflight) reached(since string) bool {
	if since == "" {
		return true
	}
	v, err := version.NewVersion(since)
	return err == nil && p.version.Core().GreaterThanOrEqual(v)
}

// has says that a setting stands in the file or, not empty, in the environment.
func (p preflight) has(key, variable string) bool {
	_, there := p.config[key]
	return there || p.environment[variable] != ""
}

// setting is a text of the file or, when that has none, of the environment.
func (p preflight) setting(key, variable string) string {
	if text, err := strconv.Unquote(p.config[key]); err == nil && text != "" {
		return text
	}
	if _, there := p.config[key]; there && p.config[key] != `""` {
		return p.config[key] // no text: a number, a bool
	}
	return p.environment[variable]
}

// oneOf compares as Vault does, which takes nothing for its own choice.
func oneOf(text string, choices []string) bool {
	text = strings.ToLower(strings.TrimSpace(text))
	return text == "" || slices.Contains(choices, text)
}

func (p preflight) raft() bool { return hasBelow(p.config, "storage.raft") }

func (p preflight) allowsPrefix() bool {
	return isTrue(strings.Trim(p.config["allow_audit_log_prefixing"], `"`))
}

func (p preflight) enterprise() bool { return strings.Contains(p.version.Metadata(), "ent") }

func (p preflight) licensed() bool {
	return p.has("license_path", "VAULT_LICENSE_PATH") || p.environment["VAULT_LICENSE"] != ""
}

// storages counts storage blocks, under either of the names that Vault takes.
func (p preflight) storages() int {
	blocks := map[string]bool{}
	for key := range maps.Keys(p.config) {
		top, rest := cutSegment(key)
		if top == "storage" || top == "backend" {
			kind, _, _ := strings.Cut(rest, ".")
			blocks[top+"."+kind] = true
		}
	}
	return len(blocks)
}

// executable says that a file audit device asks for an executable file.
func executable(a Audit) bool {
	mode, err := strconv.ParseUint(a.Options["mode"], 8, 32)
	return a.Type == "file" && err == nil && mode&0o111 != 0
}

func prefixed(a Audit) bool { return a.Options["prefix"] != "" }

// environmentValues are the variables that a node's environment file fills.
func environmentValues(c Cluster, n Node) map[string]string {
	values := map[string]string{}
	for _, put := range n.Puts {
		body, known := c.Content(put.Digest)
		if put.Role != RoleEnvironment || !known {
			continue
		}
		for line := range bytes.Lines(body) {
			name, value, found := strings.Cut(strings.TrimSpace(string(line)), "=")
			if found && isVariable(name) && value != "" && value != `""` {
				values[name] = strings.Trim(value, `"`)
			}
		}
	}
	return values
}
