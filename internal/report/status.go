package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// unknown stands for what could not be read. It is never empty and never zero.
const unknown = "?"

// NodeStatus is one node in a row, in words. "?" is Unknown.
type NodeStatus struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Service string `json:"service"` // as systemd says
	Seal    string `json:"seal"`    // sealed unsealed uninitialized silent
	Role    string `json:"role"`    // leader follower none
	Voter   string `json:"voter"`   // yes no
	Health  string `json:"health"`  // autopilot's view, else the status of sys/health
	// CertificateDays is how long the served certificate is still valid; "-"
	// where nothing is served, or its problem ("expired").
	CertificateDays string            `json:"certificateDays"`
	Spec            string            `json:"spec"` // in-sync drift commit release blocked waits
	Unknown         map[string]string `json:"unknown,omitempty"`
}

// ClusterStatus is one cluster and its nodes.
type ClusterStatus struct {
	Name      string       `json:"name"`
	State     string       `json:"state"`
	ClusterID string       `json:"clusterID,omitempty"`
	Birth     string       `json:"birth,omitempty"` // phase of its birth ceremony
	Commit    string       `json:"commit,omitempty"`
	InSync    string       `json:"inSyncSince,omitempty"` // RFC 3339
	Nodes     []NodeStatus `json:"nodes"`
	Blocks    []diff.Block `json:"blocks"` // what is left alone and what would lift it, urgent ones first
	Waits     []diff.Wait  `json:"waits"`
	Approved  []string     `json:"approved,omitempty"` // who allowed what the spec asks for, in words
	Error     string       `json:"error,omitempty"`
}

// StatusDocument is the JSON of status.
type StatusDocument struct {
	Schema        Schema          `json:"schema"`
	FormatVersion string          `json:"formatVersion"`
	Source        Source          `json:"source"`
	Clusters      []ClusterStatus `json:"clusters"`
	Exit          Exit            `json:"exit"`
}

// NewStatus puts clusters into a status; now is what certificates are counted
// from.
func NewStatus(source Source, clusters []Cluster, now time.Time, code int) StatusDocument {
	d := StatusDocument{Schema: SchemaStatus, FormatVersion: formatVersion, Source: source, Clusters: []ClusterStatus{}, Exit: Exit{code, reason(code)}}
	for _, c := range sorted(clusters) {
		d.Clusters = append(d.Clusters, clusterStatus(c, now))
	}
	return d
}

func clusterStatus(c Cluster, now time.Time) ClusterStatus {
	state, _ := headline(c)
	s := ClusterStatus{Name: c.Name, State: state, ClusterID: c.Memory.ClusterID, Birth: string(c.Memory.Birth.Phase), Commit: c.Plan.Commit,
		Waits: append([]diff.Wait{}, c.Plan.Waits...), Approved: approvals(c),
		Nodes: []NodeStatus{}, Blocks: append([]diff.Block{}, slices.Concat(c.urgent(), c.blocked())...)}
	if c.Memory.Good.Digest == c.Plan.Digest && !c.Memory.Good.Since.IsZero() && c.Plan.Empty() {
		s.InSync = c.Memory.Good.Since.UTC().Format(time.RFC3339)
	}
	if c.Err != nil {
		s.Error = c.Err.Error()
	}
	raft := membership(c)
	for _, n := range c.Have {
		s.Nodes = append(s.Nodes, nodeStatus(c, n, raft, now))
	}
	return s
}

func nodeStatus(c Cluster, n actual.Node, raft *actual.Raft, now time.Time) NodeStatus {
	s := NodeStatus{Name: n.Name, Version: unknown, Service: unknown, Seal: unknown, Role: unknown,
		Voter: unknown, Health: unknown, CertificateDays: certificate(n, now), Spec: specState(c, n.Name)}
	if n.Service != nil {
		s.Service = n.Service.ActiveState
		if n.Service.LoadState == "not-found" {
			s.Service = absent
		}
	}
	switch {
	case n.Vault != nil:
		s.Version, s.Seal, s.Role, s.Health = n.Vault.Version, seal(*n.Vault), role(c, n), strconv.Itoa(n.Vault.Health)
	case n.Process != nil && n.Process.PID == 0:
		s.Seal, s.Role = "silent", "none" // nothing runs that could answer
	}
	if raft != nil {
		s.Voter = "no"
		for _, server := range raft.Servers {
			if server.ID == serverID(n) && server.Voter {
				s.Voter = "yes"
			}
		}
		if raft.Autopilot != nil && s.Voter == "yes" {
			s.Health = map[bool]string{true: "healthy", false: "unhealthy"}[raft.Autopilot.HealthyServers[serverID(n)]]
		}
	}
	for phase, why := range n.Unknown {
		if s.Unknown == nil {
			s.Unknown = map[string]string{}
		}
		s.Unknown[string(phase)] = why
	}
	return s
}

// membership is raft's configuration as the leader tells it, else as any node
// does; nil is Unknown.
func membership(c Cluster) *actual.Raft {
	var raft *actual.Raft
	leader := c.leader()
	for _, n := range c.Have {
		if n.Raft != nil && (raft == nil || n.Name == leader) {
			raft = n.Raft
		}
	}
	return raft
}

func serverID(n actual.Node) string {
	if n.ID != "" {
		return n.ID
	}
	return n.Name
}

func seal(v actual.Vault) string {
	switch {
	case !v.Initialized:
		return "uninitialized"
	case v.Sealed:
		return "sealed"
	}
	return "unsealed"
}

// role is what a node is by its own words. Two that both say they lead are
// shown as they say.
func role(c Cluster, n actual.Node) string {
	switch {
	case n.Vault.Sealed || !n.Vault.Initialized:
		return "none"
	case n.Vault.Leader:
		return "leader"
	case n.Vault.LeaderAddress != "" && c.leader() != "":
		return "follower"
	}
	return "none"
}

func certificate(n actual.Node, now time.Time) string {
	switch {
	case n.Process == nil || (n.Process.Served == nil && n.Process.PID != 0):
		return unknown
	case n.Process.Served == nil:
		return "-"
	case n.Process.Served.Problem != "":
		return n.Process.Served.Problem
	case n.Process.Served.NotAfter.IsZero():
		return unknown
	}
	days := math.Floor(n.Process.Served.NotAfter.Sub(now).Hours() / 24)
	if days < 0 {
		return "expired"
	}
	return fmt.Sprintf("%.0f", days)
}

// specState says whether a node is what the spec says.
func specState(c Cluster, node string) string {
	for _, b := range c.Plan.Blocks {
		if b.Node == node {
			return "blocked"
		}
	}
	for _, s := range c.steps() {
		if s.Node == node && s.Cause != "" {
			return string(s.Cause)
		}
	}
	for _, w := range c.Plan.Waits {
		if w.Node == node {
			return "waits"
		}
	}
	if slices.Contains(c.unseenNodes(), node) {
		return unknown
	}
	for _, d := range c.Drift.Open() {
		if slices.Contains(d.Nodes, node) {
			return string(diff.CauseDrift)
		}
	}
	return "in-sync"
}

// Status writes the table of clusters and nodes.
func Status(w io.Writer, o Options, d StatusDocument) error {
	p := &page{w: w, o: o}
	for _, c := range d.Clusters {
		line := fmt.Sprintf("%s   %s", p.paint(bold, clean(c.Name)), clean(c.State))
		if c.InSync != "" {
			line += " since " + c.InSync
		}
		p.line("%s", line)
		if c.Error != "" {
			p.wrapped("  error  ", red, c.Error)
		}
		p.nodes(c.Nodes)
		urgent := slices.IndexFunc(c.Blocks, func(b diff.Block) bool { return !b.Urgent() })
		if urgent < 0 {
			urgent = len(c.Blocks)
		}
		p.blocks(c.Blocks[:urgent], red)
		p.blocks(c.Blocks[urgent:], yellow)
		p.waits(c.Waits)
		for _, a := range c.Approved {
			p.wrapped("  approved ", green, a)
		}
		p.line("")
	}
	if len(d.Clusters) == 0 {
		p.line("No cluster.")
	}
	return p.err
}

func (p *page) nodes(nodes []NodeStatus) {
	if len(nodes) == 0 {
		return
	}
	cells, styles := [][]string{{"NODE", "VERSION", "SERVICE", "SEAL", "ROLE", "VOTER", "HEALTH", "CERT DAYS", "SPEC", "NOT SEEN"}}, []style{faint}
	for _, n := range nodes {
		cells = append(cells, []string{n.Name, n.Version, n.Service, n.Seal, n.Role, n.Voter, n.Health, n.CertificateDays, n.Spec, phases(n)})
		styles = append(styles, nodeStyle(n))
	}
	p.table("  ", cells, styles)
	for _, n := range nodes {
		for _, phase := range actual.Phases() {
			if why, ok := n.Unknown[string(phase)]; ok {
				p.wrapped("  ? "+n.Name+" "+string(phase)+": ", yellow, strings.TrimPrefix(why, string(phase)+": "))
			}
		}
	}
}

func nodeStyle(n NodeStatus) style {
	switch {
	case n.Seal == "sealed" || n.Service == "failed" || n.Health == "unhealthy" || n.CertificateDays == "expired":
		return red
	case n.Spec != "in-sync" || len(n.Unknown) > 0:
		return yellow
	}
	return plain
}

func phases(n NodeStatus) string {
	var out []string
	for _, phase := range actual.Phases() {
		if _, ok := n.Unknown[string(phase)]; ok {
			out = append(out, string(phase))
		}
	}
	return strings.Join(out, " ")
}
