package metrics

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// prefix is that of all names but those of Go and of the process.
const prefix = "reconciler_"

// Labels. None may take a value that a node, a forge or a person thinks up: a
// server that answers something else each time would fill whoever stores it.
const (
	labelFleet    = "fleet"
	labelCluster  = "cluster"
	labelNode     = "node"
	labelAction   = "action"
	labelOutcome  = "outcome"
	labelPhase    = "phase"
	labelProvider = "provider"
	labelReason   = "reason"
	labelResult   = "result"
	labelSeverity = "severity"
	labelVersion  = "version"
)

// family are the series of one name.
type family struct {
	name   string
	help   string
	labels []string
	kind   prometheus.ValueType
	desc   *prometheus.Desc
}

// of is one series. A name of the repo may be no UTF-8, and one that is not would
// take the whole page with it.
func (f *family) of(value float64, labels ...string) prometheus.Metric {
	for i, l := range labels {
		labels[i] = strings.ToValidUTF8(l, "�")
	}
	return prometheus.MustNewConstMetric(f.desc, f.kind, value, labels...)
}

// truth is a series that says yes or no.
func (f *family) truth(value bool, labels ...string) prometheus.Metric {
	if value {
		return f.of(1, labels...)
	}
	return f.of(0, labels...)
}

// families are all that this package makes itself, in the order in which they are
// documented.
type families struct {
	all []*family

	build, late, settings, panics                      *family
	polls, polled, head, applied, held, invalid        *family
	turns, turned, converged, actions, blocked, waits  *family
	voters, spare, healthy                             *family
	steps                                              *family
	reachable, unknown                                 *family
	sealed, initialized, active, version, runs, unseen *family
	expires, skew, free                                *family
	webhooks, proposals                                *family
	drift, checked                                     *family
}

func (f *families) add(kind prometheus.ValueType, name, help string, labels ...string) *family {
	one := &family{name: prefix + name, help: help, labels: labels, kind: kind, desc: prometheus.NewDesc(prefix+name, help, labels, nil)}
	f.all = append(f.all, one)
	return one
}

func (f *families) gauge(name, help string, labels ...string) *family {
	return f.add(prometheus.GaugeValue, name, help, labels...)
}

func (f *families) counter(name, help string, labels ...string) *family {
	return f.add(prometheus.CounterValue, name, help, labels...)
}

func newFamilies() *families {
	f := &families{}
	f.build = f.gauge("build_info", "1; which reconciler this is.", labelVersion)
	f.late = f.gauge("loops_late", "Loops of the daemon that should have been heard of by now, as /healthz names them.")
	f.settings = f.gauge("settings_last_reload_successful", "1: reconciler.yaml was taken when it was read last. 0: what was read before stays in force.")
	f.panics = f.counter("panics_recovered_total", "Defects of reconciler that ended a poll, a turn, a webhook or an answer; please report them.")

	f.polls = f.counter("git_polls_total", "Polls of a fleet's repo: followed, held (the newest commit may not be acted on), bad (it cannot be read) or silent (the repo does not answer).", labelFleet, labelResult)
	f.polled = f.gauge("git_last_success_timestamp_seconds", "When the repo answered last.", labelFleet)
	f.head = f.gauge("git_head_commit_timestamp_seconds", "The author's date of the commit that the branch stands at.", labelFleet)
	f.applied = f.gauge("git_applied_commit_timestamp_seconds", "The author's date of the commit that is in force.", labelFleet)
	f.held = f.gauge("git_commit_held", "1 while the newest commit is held: rewound (it is no way forward) or unsigned (not as signatures asks).", labelFleet, labelReason)
	f.invalid = f.gauge("spec_invalid", "1 while the newest commit breaks the spec of a cluster. The one that was accepted last stays in force.", labelCluster)

	f.turns = f.counter("turns_total", "Turns of a cluster, by how it stood after them: urgent, failed, blocked, busy (another one acts there), changing, waiting or in-sync.", labelCluster, labelResult)
	f.turned = f.gauge("turn_last_success_timestamp_seconds", "When a turn last came to its end without an error, whatever it found.", labelCluster)
	f.converged = f.gauge("converged", "1: the last look found the cluster to be what is wanted, all of it seen.", labelCluster)
	f.actions = f.gauge("plan_actions", "Steps of the plan, by action; none where there is none to do.", labelCluster, labelAction)
	f.blocked = f.gauge("gate_blocked", "Differences that are left alone until somebody acts, by the reason of the plan. Holds are among them: held and hold-file.", labelCluster, labelReason)
	f.waits = f.gauge("waits", "Differences that are left to time, by the reason of the plan.", labelCluster, labelReason)
	f.voters = f.gauge("raft_voters", "Voters of the cluster; none before it is born.", labelCluster)
	f.spare = f.gauge("raft_failure_tolerance", "How many more voters may stop serving, as the gate counts: one that was not seen does not serve. Below 0 there is no quorum.", labelCluster)
	f.healthy = f.gauge("raft_healthy", "Whether Vault's autopilot calls all servers healthy; read with reconciler's credential.", labelCluster)

	f.steps = f.counter("steps_total", "Steps that came to an end, by action and outcome: done, failed, unknown (nobody knows what became of it) or stale (nothing was done).", labelCluster, labelAction, labelOutcome)

	f.reachable = f.gauge("node_reachable", "Whether the last look reached the node over SSH.", labelCluster, labelNode)
	f.unknown = f.gauge("node_unknown", "1 while something of the node cannot be read, by the phase in which the look ended.", labelCluster, labelNode, labelPhase)
	f.sealed = f.gauge("vault_sealed", "Whether the node's Vault says that it is sealed; none while it does not answer.", labelCluster, labelNode)
	f.initialized = f.gauge("vault_initialized", "Whether the node's Vault says that it is initialized.", labelCluster, labelNode)
	f.active = f.gauge("vault_active", "Whether the node's Vault says that it leads.", labelCluster, labelNode)
	f.version = f.gauge("vault_version_info", "1; the version that the node's Vault says it is.", labelCluster, labelNode, labelVersion)
	f.runs = f.gauge("vault_runs_wanted_binary", "Whether the process runs the binary that the spec and the lock want.", labelCluster, labelNode)
	f.unseen = f.counter("vault_unexpected_seals_total", "Nodes that were seen unsealed, and then sealed with no start or restart of ours between.", labelCluster)
	f.expires = f.gauge("certificate_not_after_timestamp_seconds", "When the certificate that the node's Vault serves ends.", labelCluster, labelNode)
	f.skew = f.gauge("node_clock_skew_seconds", "The node's clock less the one here; a look that takes long shows as that much below 0.", labelCluster, labelNode)
	f.free = f.gauge("node_disk_free_bytes", "Free bytes of the fullest of the file systems that Vault's folders of the node are on.", labelCluster, labelNode)

	f.webhooks = f.counter("webhooks_total", "Webhooks by whose they claim to be and what became of them, with the words of the log.", labelProvider, labelResult)
	f.proposals = f.counter("pull_request_plans_total", "Readings of pull requests: planned, refused (its author has to mend something) or failed.", labelResult)

	f.drift = f.gauge("drift_open", "Open drift, by severity.", labelCluster, labelSeverity)
	f.checked = f.gauge("drift_last_check_timestamp_seconds", "When drift was last looked for.", labelCluster)
	return f
}
