package metrics

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// canary stands in every text that a node, a forge or a commit may choose, and in no
// series.
const canary = "canary"

func quiet(t testing.TB, late ...string) *Metrics {
	t.Helper()
	return New(Ports{Version: "0.3.0", Late: func() []string { return late }, Log: slog.New(slog.NewTextHandler(tell{t}, nil))})
}

// tell has whatever is logged fail the test: nothing that is told may be left out of
// the page.
type tell struct{ t testing.TB }

func (l tell) Write(p []byte) (int, error) {
	l.t.Errorf("%s", p)
	return len(p), nil
}

// clusterOf is a spec of nodes.
func clusterOf(name string, nodes ...string) desired.Cluster {
	c := desired.Cluster{Name: name, Mode: desired.ModeEnforce, Vault: desired.Vault{Version: "1.21.0"}, Storage: desired.Storage{Kind: "raft"},
		Artefacts: map[string]desired.Artefact{"linux_amd64": {Binary: "sha256:new"}}}
	for _, n := range nodes {
		c.Nodes = append(c.Nodes, desired.Node{Name: n, ID: n, Address: n + "." + canary})
	}
	return c
}

// well is a turn of a cluster that is as it should be; the first node leads.
func well(c desired.Cluster) loop.Turned {
	t := loop.Turned{Cluster: c.Name, Want: c, At: noon, Took: 120 * time.Millisecond,
		Memory: diff.Memory{Known: true, ClusterID: "id", Newest: "1.21.0", Birth: diff.Birth{Phase: diff.BirthDone}},
		Plan:   diff.Plan{Cluster: c.Name, Commit: canary, Mode: "enforce"}}
	raft := &actual.Raft{Autopilot: &actual.Autopilot{Healthy: true}}
	for i, n := range c.Nodes {
		raft.Servers = append(raft.Servers, actual.Server{ID: n.ID, Address: n.Address, Voter: true, Leader: i == 0})
		t.Have = append(t.Have, actual.Node{
			Name: n.Name, ID: n.ID, At: noon,
			Machine: &actual.Machine{MachineID: canary, BootID: canary, Platform: "linux_amd64", Clock: noon.Add(-80 * time.Millisecond),
				FreeBytes: map[string]uint64{"/opt/vault/data": 42 << 30, "/var/log/vault": 7_215_443_968}},
			Process: &actual.Process{PID: 1, Binary: "sha256:new", Served: &actual.Certificate{NotAfter: noon.Add(60 * 24 * time.Hour)}},
			Vault: &actual.Vault{Initialized: true, Version: "1.21.0", ClusterID: "id", Health: 200, StorageType: "raft", Leader: i == 0,
				LeaderAddress: "https://" + c.Nodes[0].Address},
		})
	}
	for i := range t.Have {
		t.Have[i].Raft = raft
	}
	return t
}

// sick is a fleet in which everything that can be told is so, some of it twice.
func sick(t testing.TB) *Metrics {
	t.Helper()
	m := quiet(t, "the turns of prod-eu")
	m.Keep([]string{"fleet@main", "labs@main"})
	m.Follow("fleet@main", Following{Commit: noon.Add(-48 * time.Hour), Clusters: map[string]bool{"prod-ap": false, "prod-eu": false, "prod-us": true}})
	m.Follow("labs@main", Following{Commit: noon.Add(-time.Hour), Clusters: map[string]bool{"lab": false}})
	m.Polled("fleet@main", Poll{Result: Held, Hold: HoldUnsigned, Head: noon.Add(-time.Hour), At: noon.Add(-3 * time.Hour)})
	m.Polled("fleet@main", Poll{Result: Silent, At: noon})
	m.Polled("labs@main", Poll{Result: Bad, Hold: HoldRewound, Head: noon, At: noon.Add(-time.Minute)})
	m.Reloaded(false)
	m.Recovered()
	m.Webhook("github", "hint")
	m.Proposal("planned")
	for range 10 {
		m.Webhook("gitea", "bad_signature")
		m.Proposal("failed")
	}

	before := well(clusterOf("prod-eu", "eu-1", "eu-2", "eu-3"))
	before.At = noon.Add(-2 * time.Minute)
	m.Turned(before)
	m.Turned(sickTurn())
	m.Turned(loop.Turned{Cluster: "prod-eu", Err: errors.New(canary)})
	for _, o := range []diff.Outcome{diff.OutcomeDone, diff.OutcomeFailed, diff.OutcomeUnknown, diff.OutcomeStale} {
		for _, e := range []apply.Event{{Kind: apply.EventBegan, At: noon}, {Kind: apply.EventWaiting, Detail: canary}, {Kind: apply.EventEnded, At: noon.Add(2 * time.Second), Outcome: o, Detail: canary}} {
			e.Step = diff.Step{ID: string(o), Node: "eu-1", Action: diff.ActionRestart, Why: canary}
			m.Event("prod-eu", e)
		}
	}
	weak := well(clusterOf("prod-us", "us-1", "us-2", "us-3"))
	weak.Have[1].Vault.Sealed = true
	weak.Have[2].Process.Served.NotAfter = noon.Add(10 * 24 * time.Hour)
	weak.Plan.Blocks = []diff.Block{{Reason: diff.ReasonInitLost, Detail: canary}}
	m.Turned(weak)
	lost := well(clusterOf("prod-ap", "ap-1", "ap-2", "ap-3"))
	for i := range lost.Have {
		lost.Have[i].Vault, lost.Have[i].Unknown = nil, map[actual.Phase]string{actual.PhaseVaultAPI: canary}
	}
	m.Turned(lost)
	other := well(clusterOf("lab", "lab-1"))
	other.Err = busy{}
	m.Turned(other)
	m.Drift("prod-eu", map[string]int{"high": 2, "low": 0}, noon)
	return m
}

// sickTurn is of three nodes: one is sealed, one is a stranger's, one leads with what
// is not wanted and a clock that is wrong.
func sickTurn() loop.Turned {
	t := well(clusterOf("prod-eu", "eu-1", "eu-2", "eu-3"))
	leads, sealed, gone := &t.Have[0], &t.Have[1], &t.Have[2]
	leads.Machine.Clock = noon.Add(5 * time.Minute)
	leads.Machine.FreeBytes["/opt/vault/data"] = 100 << 20
	leads.Process.Binary, leads.Vault.Version = "sha256:"+canary, canary
	leads.Process.Served.NotAfter = noon.Add(24 * time.Hour)
	leads.Raft.Autopilot.Healthy = false
	sealed.Vault.Sealed = true
	*gone = actual.Node{Name: "eu-3", ID: "eu-3", At: noon, Unknown: map[actual.Phase]string{actual.PhaseHostKey: canary, actual.PhaseVaultAPI: canary}}
	t.Plan.Waves = []diff.Wave{{{Node: "eu-1", Action: diff.ActionInstall}, {Node: "eu-2", Action: diff.ActionInstall}}, {{Node: "eu-1", Action: diff.ActionRestart}}}
	t.Plan.Blocks = []diff.Block{
		{Node: "eu-2", Reason: diff.ReasonSealedByHand, Detail: canary},
		{Node: "eu-1", Reason: diff.ReasonQuorum, Detail: canary},
		{Reason: diff.ReasonQuorumLost}, {Reason: diff.ReasonForeign}, {Reason: diff.ReasonHeld, Detail: canary},
		{Reason: diff.ReasonConfirm, Later: true},
	}
	t.Plan.Waits = []diff.Wait{{Node: "eu-1", Reason: diff.WaitSettling, Detail: canary}}
	t.Plan.Unseen = []diff.Unseen{{Node: "eu-3", Phase: "hostkey", Error: canary}}
	return t
}

// sickEvent is the end of a step that had nothing to do.
var sickEvent = apply.Event{Kind: apply.EventEnded, Step: diff.Step{ID: "stale", Action: diff.ActionRestart}, Outcome: diff.OutcomeDone}

type busy struct{}

func (busy) Error() string { return canary }
func (busy) Busy() string  { return canary }

// page is what somebody reads.
func page(t testing.TB, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", Path, nil))
	body, err := io.ReadAll(w.Body)
	if err != nil || w.Code != 200 {
		t.Fatalf("the page is answered %d: %v\n%s", w.Code, err, body)
	}
	return string(body)
}

// says holds lines against the page, and what no line of it may begin with.
func says(t *testing.T, m *Metrics, there []string, gone ...string) {
	t.Helper()
	all := page(t, m)
	for _, line := range there {
		if !strings.Contains("\n"+all, "\n"+prefix+line+"\n") {
			t.Errorf("the page does not say %s\n%s", line, of(all, line))
		}
	}
	for _, begin := range gone {
		if strings.Contains("\n"+all, "\n"+prefix+begin) {
			t.Errorf("the page still says %s", begin)
		}
	}
}

// of are the lines of the same name.
func of(page, line string) string {
	name, _, _ := strings.Cut(line, "{")
	name, _, _ = strings.Cut(name, " ")
	var same []string
	for one := range strings.Lines(page) {
		if strings.HasPrefix(one, prefix+name) {
			same = append(same, one)
		}
	}
	return fmt.Sprint(same)
}
