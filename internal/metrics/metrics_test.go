package metrics

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/pkg/apply"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

func TestASickFleetIsTold(t *testing.T) {
	says(t, sick(t), []string{
		`build_info{version="0.3.0"} 1`,
		`loops_late 1`,
		`settings_last_reload_successful 0`,
		`panics_recovered_total 1`,
		`git_polls_total{fleet="fleet@main",result="followed"} 0`,
		`git_polls_total{fleet="fleet@main",result="held"} 1`,
		`git_polls_total{fleet="fleet@main",result="silent"} 1`,
		`git_last_success_timestamp_seconds{fleet="fleet@main"} 1.79577e+09`,
		`git_head_commit_timestamp_seconds{fleet="labs@main"} 1.7957808e+09`,
		`git_applied_commit_timestamp_seconds{fleet="labs@main"} 1.7957772e+09`,
		`git_commit_held{fleet="fleet@main",reason="unsigned"} 1`,
		`git_commit_held{fleet="fleet@main",reason="rewound"} 0`,
		`git_commit_held{fleet="labs@main",reason="rewound"} 1`,
		`spec_invalid{cluster="prod-us"} 1`,
		`turns_total{cluster="prod-eu",result="in-sync"} 1`,
		`turns_total{cluster="prod-eu",result="urgent"} 1`,
		`turns_total{cluster="prod-eu",result="failed"} 1`,
		`turns_total{cluster="lab",result="busy"} 1`,
		`turn_duration_seconds_bucket{le="0.25"} 6`,
		`turn_last_success_timestamp_seconds{cluster="prod-eu"} 1.7957808e+09`,
		`converged{cluster="prod-eu"} 0`,
		`converged{cluster="lab"} 1`,
		`plan_actions{action="install",cluster="prod-eu"} 2`,
		`plan_actions{action="restart",cluster="prod-eu"} 1`,
		`gate_blocked{cluster="prod-eu",reason="quorum"} 1`,
		`gate_blocked{cluster="prod-eu",reason="held"} 1`,
		`waits{cluster="prod-eu",reason="settling"} 1`,
		`raft_voters{cluster="prod-eu"} 3`,
		`raft_failure_tolerance{cluster="prod-eu"} -1`,
		`raft_failure_tolerance{cluster="prod-ap"} -2`,
		`raft_failure_tolerance{cluster="prod-us"} 0`,
		`raft_failure_tolerance{cluster="lab"} 0`,
		`raft_healthy{cluster="prod-eu"} 0`,
		`steps_total{action="restart",cluster="prod-eu",outcome="unknown"} 1`,
		`step_duration_seconds_bucket{action="restart",le="2.5"} 4`,
		`node_reachable{cluster="prod-eu",node="eu-1"} 1`,
		`node_reachable{cluster="prod-eu",node="eu-3"} 0`,
		`node_unknown{cluster="prod-eu",node="eu-3",phase="hostkey"} 1`,
		`vault_sealed{cluster="prod-eu",node="eu-2"} 1`,
		`vault_initialized{cluster="prod-eu",node="eu-2"} 1`,
		`vault_active{cluster="prod-eu",node="eu-1"} 1`,
		`vault_version_info{cluster="prod-eu",node="eu-1",version="other"} 1`,
		`vault_version_info{cluster="prod-eu",node="eu-2",version="1.21.0"} 1`,
		`vault_runs_wanted_binary{cluster="prod-eu",node="eu-1"} 0`,
		`vault_runs_wanted_binary{cluster="prod-eu",node="eu-2"} 1`,
		`vault_unexpected_seals_total{cluster="prod-eu"} 1`,
		`certificate_not_after_timestamp_seconds{cluster="prod-eu",node="eu-1"} 1.7958672e+09`,
		`node_clock_skew_seconds{cluster="prod-eu",node="eu-1"} 300`,
		`node_clock_skew_seconds{cluster="prod-eu",node="eu-2"} -0.08`,
		`node_disk_free_bytes{cluster="prod-eu",node="eu-1"} 1.048576e+08`,
		`webhooks_total{provider="gitea",result="bad_signature"} 10`,
		`pull_request_plans_total{result="failed"} 10`,
		`drift_open{cluster="prod-eu",severity="high"} 2`,
		`drift_open{cluster="prod-eu",severity="low"} 0`,
		`drift_last_check_timestamp_seconds{cluster="prod-eu"} 1.7957808e+09`,
	},
		`gate_blocked{cluster="prod-eu",reason="confirm-keys"}`, // it may never come to that
		`node_unknown{cluster="prod-eu",node="eu-1"`,
		`vault_sealed{cluster="prod-eu",node="eu-3"}`, // it did not say
		`spec_invalid{cluster="prod-eu"}`,
		`drift_last_check_timestamp_seconds{cluster="lab"}`)
}

// TestEveryFamilyIsTold keeps the sick fleet whole: what the alerts and the
// dashboard are held against must be all that there is.
func TestEveryFamilyIsTold(t *testing.T) {
	all := page(t, sick(t))
	for _, d := range documented() {
		if !strings.Contains(all, "\n# TYPE "+d.name+" ") {
			t.Errorf("nothing of the sick fleet shows as %s", d.name)
		}
	}
}

func TestNamesAreAsPrometheusAsksForThem(t *testing.T) {
	problems, err := testutil.GatherAndLint(sick(t).registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", err, problems)
	}
}

// TestNothingThatOthersChooseIsALabel: a server, a commit or an error that says
// something else each time would make a series each time.
func TestNothingThatOthersChooseIsALabel(t *testing.T) {
	all := page(t, sick(t))
	if strings.Contains(all, canary) {
		t.Errorf("a text of others stands in the page: %s", regexp.MustCompile(".*"+canary+".*").FindString(all))
	}
	bounded := []string{labelFleet, labelCluster, labelNode, labelAction, labelOutcome, labelPhase, labelProvider, labelReason, labelResult, labelSeverity, labelVersion}
	for _, d := range documented() {
		for _, l := range d.labels {
			if !slices.Contains(bounded, l) {
				t.Errorf("%s has the label %s, which nothing bounds", d.name, l)
			}
		}
	}
	m := quiet(t)
	m.Keep([]string{"f"})
	m.Follow("f", Following{Clusters: map[string]bool{"a\xffb": true}})
	says(t, m, []string{`spec_invalid{cluster="a�b"} 1`})
}

func TestWhatLeavesTakesItsSeriesAlong(t *testing.T) {
	m := sick(t)
	smaller := well(clusterOf("prod-eu", "eu-1", "eu-2"))
	smaller.Have = append(smaller.Have, well(clusterOf("prod-eu", "eu-3")).Have...) // it still votes
	m.Turned(smaller)
	says(t, m, []string{`node_reachable{cluster="prod-eu",node="eu-2"} 1`},
		`node_reachable{cluster="prod-eu",node="eu-3"}`, `node_unknown{cluster="prod-eu"`, `gate_blocked{cluster="prod-eu"`, `plan_actions{`)

	m.Follow("fleet@main", Following{Clusters: map[string]bool{"prod-us": false}})
	m.Turned(smaller) // which was under way
	m.Event("prod-eu", sickEvent)
	m.Drift("prod-eu", map[string]int{"high": 1}, noon)
	if all := page(t, m); strings.Contains(all, "prod-eu") {
		t.Errorf("a cluster that is gone is told: %s", regexp.MustCompile(".*prod-eu.*").FindString(all))
	}
	says(t, m, []string{`converged{cluster="lab"} 1`}, `spec_invalid{`)

	m.Keep([]string{"labs@main"})
	m.Polled("fleet@main", Poll{Result: Followed, At: noon})
	if all := page(t, m); strings.Contains(all, "fleet@main") || strings.Contains(all, "prod-us") {
		t.Errorf("a fleet that is not followed any more is told: %s", all)
	}
	says(t, m, []string{`git_polls_total{fleet="labs@main",result="bad"} 1`, `converged{cluster="lab"} 1`})
}

func TestAClusterThatMovesToAnotherFleetGoesOn(t *testing.T) {
	m := sick(t)
	both := Following{Clusters: map[string]bool{"lab": false, "prod-eu": false}}
	m.Follow("labs@main", both)
	m.Follow("fleet@main", Following{})
	says(t, m, []string{`turns_total{cluster="prod-eu",result="urgent"} 1`})
}

// TestWhatOneOfTwoFleetsBreaksIsInvalid: neither says so of the other's commit.
func TestWhatOneOfTwoFleetsBreaksIsInvalid(t *testing.T) {
	m := sick(t)
	m.Follow("labs@main", Following{Clusters: map[string]bool{"a": true, "b": false}})
	m.Follow("fleet@main", Following{Clusters: map[string]bool{"a": false, "b": true}})
	says(t, m, []string{`spec_invalid{cluster="a"} 1`, `spec_invalid{cluster="b"} 1`})
}

func TestATurnThatSawNothingLeavesWhatWasSeen(t *testing.T) {
	m := sick(t)
	m.Turned(loop.Turned{Cluster: "lab", Err: errors.New("disk full")})
	says(t, m, []string{`node_reachable{cluster="lab",node="lab-1"} 1`, `turns_total{cluster="lab",result="failed"} 1`})
}

func TestASealThatWeDidNotBringAboutCounts(t *testing.T) {
	spec := clusterOf("lab", "lab-1")
	look := func(at time.Duration, sealed bool) loop.Turned {
		turn := well(spec)
		turn.At = noon.Add(at)
		turn.Have[0].Vault.Sealed = sealed
		return turn
	}
	acted := func(turn loop.Turned, action diff.Action, at time.Duration) loop.Turned {
		turn.Memory.Tries = []diff.Try{{Node: "lab-1", Action: action, Outcome: diff.OutcomeDone, At: noon.Add(at)}}
		return turn
	}
	elsewhere := acted(look(time.Minute, true), diff.ActionRestart, time.Second)
	elsewhere.Memory.Tries[0].Node = "lab-2"
	failed := look(0, false)
	failed.Results = []apply.Result{{Step: diff.Step{Node: "lab-1"}, Try: diff.Try{Node: "lab-1", Action: diff.ActionRestart, Outcome: diff.OutcomeFailed}}}
	stale := look(0, false)
	stale.Results = []apply.Result{{Step: diff.Step{Node: "lab-1"}, Try: diff.Try{Node: "lab-1", Action: diff.ActionRestart, Outcome: diff.OutcomeStale}}}
	silent := look(time.Minute, true)
	silent.Have[0].Vault = nil
	for name, c := range map[string]struct {
		turns []loop.Turned
		want  string
	}{
		"sealed from the first":                    {[]loop.Turned{look(0, true), look(time.Minute, true)}, "0"},
		"sealed once, and seen twice":              {[]loop.Turned{look(0, false), look(time.Minute, true), look(2*time.Minute, true)}, "1"},
		"sealed twice":                             {[]loop.Turned{look(0, false), look(1, true), look(2, false), look(3, true)}, "2"},
		"not seen between":                         {[]loop.Turned{look(0, false), silent, look(2*time.Minute, true)}, "1"},
		"a restart of ours":                        {[]loop.Turned{look(0, false), acted(look(time.Minute, true), diff.ActionRestart, time.Second)}, "0"},
		"a restart of ours, long since":            {[]loop.Turned{look(0, false), acted(look(time.Minute, true), diff.ActionRestart, -time.Hour)}, "1"},
		"a restart that failed, and was forgotten": {[]loop.Turned{failed, look(time.Minute, true)}, "0"},
		"a restart that was not begun":             {[]loop.Turned{stale, look(time.Minute, true)}, "1"},
		"a restart of ours, elsewhere":             {[]loop.Turned{look(0, false), elsewhere}, "1"},
		"a reload of ours":                         {[]loop.Turned{look(0, false), acted(look(time.Minute, true), diff.ActionReload, time.Second)}, "1"},
	} {
		m := quiet(t)
		m.Keep([]string{"f"})
		m.Follow("f", Following{Clusters: map[string]bool{"lab": false}})
		for _, turn := range c.turns {
			m.Turned(turn)
		}
		t.Run(name, func(t *testing.T) {
			says(t, m, []string{`vault_unexpected_seals_total{cluster="lab"} ` + c.want})
		})
	}
}

// TestAStepThatHadNothingToDoTookNoTime: its time would say that restarts are quick.
func TestAStepThatHadNothingToDoTookNoTime(t *testing.T) {
	m := sick(t)
	m.Event("prod-eu", sickEvent)
	says(t, m, []string{`steps_total{action="restart",cluster="prod-eu",outcome="done"} 2`, `step_duration_seconds_count{action="restart"} 4`})
}

func TestThePageIsPackedForWhoeverTakesItSo(t *testing.T) {
	h := sick(t).Handler()
	ask := func(method, encoding string) *httptest.ResponseRecorder {
		w, r := httptest.NewRecorder(), httptest.NewRequest(method, Path, nil)
		r.Header.Set("Accept-Encoding", encoding)
		h.ServeHTTP(w, r)
		return w
	}
	plain := ask("GET", "").Body.String()
	packed := ask("GET", "gzip")
	if packed.Header().Get("Content-Encoding") != "gzip" {
		t.Fatalf("it is not packed: %v", packed.Header())
	}
	unpacked, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(unpacked)
	if err != nil || !strings.Contains(plain, prefix+"loops_late 1") || !strings.Contains(string(body), prefix+"loops_late 1") {
		t.Errorf("%v", err)
	}
	if w := ask("POST", ""); w.Code != 405 || w.Body.Len() > 0 || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST is answered %d %s", w.Code, w.Body)
	}
}

// TestManyTellWhileSomebodyReads is for the race detector.
func TestManyTellWhileSomebodyReads(t *testing.T) {
	m := sick(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				m.Turned(sickTurn())
				m.Event("prod-eu", sickEvent)
				m.Follow("labs@main", Following{Clusters: map[string]bool{"lab": true}})
				m.Polled("labs@main", Poll{Result: Followed, At: noon})
				m.Webhook("github", "hint")
				m.Keep([]string{"fleet@main", "labs@main"})
			}
		})
	}
	for range 20 {
		page(t, m)
	}
	all.Wait()
}

// large is a fleet of a thousand clusters of five nodes amid an upgrade of all.
func large(t testing.TB) *Metrics {
	t.Helper()
	m := quiet(t)
	m.Keep([]string{"fleet@main"})
	specs, clusters := []desired.Cluster{}, map[string]bool{}
	for i := range 1000 {
		name := fmt.Sprintf("prod-eu-%03d", i)
		specs = append(specs, clusterOf(name, "eu-1", "eu-2", "eu-3", "eu-4", "eu-5"))
		clusters[name] = false
	}
	m.Follow("fleet@main", Following{Commit: noon, Clusters: clusters})
	for _, c := range specs {
		m.Turned(well(c))
		turn := well(c)
		turn.Plan.Waves = sickTurn().Plan.Waves
		turn.Plan.Waits = sickTurn().Plan.Waits
		m.Turned(turn)
		for _, action := range []diff.Action{diff.ActionInstall, diff.ActionRestart, diff.ActionUnseal} {
			event := sickEvent
			event.Step.Action = action
			m.Event(c.Name, event)
		}
		m.Drift(c.Name, map[string]int{"high": 0, "low": 0}, noon)
	}
	return m
}

// maxPage is what a page of a thousand clusters of five nodes may have, in bytes:
// Prometheus reads it every few seconds.
const maxPage = 5_000_000

func TestThePageOfALargeFleetIsBounded(t *testing.T) {
	size := len(page(t, large(t)))
	t.Logf("%d bytes", size)
	if size > maxPage || size < maxPage/2 {
		t.Errorf("the page has %d bytes", size)
	}
}
