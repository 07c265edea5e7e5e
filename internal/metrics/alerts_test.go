package metrics

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"gopkg.in/yaml.v3"

	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

var (
	alerts    = filepath.Join("..", "..", "packaging", "prometheus", "alerts.yaml")
	dashboard = filepath.Join("..", "..", "packaging", "grafana", "reconciler.json")
)

const runbook = "https://github.com/vaultfleet/reconciler/blob/main/docs/operations.md#"

// rule is an alert as Prometheus reads it.
type rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func rules(t *testing.T) (all []rule) {
	t.Helper()
	var file struct {
		Groups []struct{ Rules []rule }
	}
	if err := yaml.Unmarshal(read(t, alerts), &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) < 25 {
		t.Fatalf("only %d alerts were found", len(all))
	}
	return all
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// expressions are those of the dashboard, with its variables put in.
func expressions(t *testing.T) (all []string) {
	t.Helper()
	var board struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(read(t, dashboard), &board); err != nil {
		t.Fatal(err)
	}
	ids := map[int]bool{}
	for _, p := range board.Panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("the panel %d has no title, or its number twice", p.ID)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			all = append(all, strings.NewReplacer("$cluster", ".*", "$__rate_interval", "5m").Replace(target.Expr))
		}
	}
	if len(all) < 25 {
		t.Fatalf("only %d expressions were found", len(all))
	}
	return all
}

func TestAnAlertSaysWhatItAsksOfAPerson(t *testing.T) {
	text := "\n" + string(read(t, operations))
	for _, r := range rules(t) {
		if !slices.Contains([]string{"page", "warning", "none"}, r.Labels["severity"]) || r.For == "" {
			t.Errorf("%s: severity %q for %q", r.Alert, r.Labels["severity"], r.For)
		}
		if r.Annotations["summary"] == "" || len(r.Annotations["description"]) < 30 {
			t.Errorf("%s does not say what is so and what to do", r.Alert)
		}
		if strings.Contains(r.Expr, "cluster") && !strings.Contains(r.Annotations["summary"], "$labels.cluster") {
			t.Errorf("%s does not say which cluster it is of", r.Alert)
		}
		anchor, ok := strings.CutPrefix(r.Annotations["runbook_url"], runbook)
		heading := "\n#### " + r.Alert + "\n"
		if !ok || anchor != strings.ToLower(r.Alert) || !strings.Contains(text, heading) { // as GitHub makes anchors of headings
			t.Errorf("%s: its runbook %s is no heading of docs/operations.md", r.Alert, r.Annotations["runbook_url"])
		}
	}
	for _, heading := range regexp.MustCompile(`\n#### ([A-Z][A-Za-z]+)\n`).FindAllStringSubmatch(text, -1) {
		if !slices.ContainsFunc(rules(t), func(r rule) bool { return r.Alert == heading[1] }) {
			t.Errorf("docs/operations.md says what %s asks for, and there is no such alert", heading[1])
		}
	}
}

// TestAlertsAndDashboardNameWhatThereIs: a name or a value that nothing has makes an
// alert that never comes, and nobody would see that.
func TestAlertsAndDashboardNameWhatThereIs(t *testing.T) {
	all := page(t, sick(t))
	exprs := expressions(t)
	for _, r := range rules(t) {
		exprs = append(exprs, r.Expr)
	}
	values := map[string][]string{
		labelReason:  append(reasons(t), string(HoldRewound), string(HoldUnsigned)),
		labelPhase:   phases(),
		labelResult:  {"hint", "replayed", "other", "busy", "bad", "failed"},
		labelOutcome: {string(diff.OutcomeDone), string(diff.OutcomeFailed), string(diff.OutcomeUnknown), string(diff.OutcomeStale)},
	}
	used := map[string]bool{}
	for _, expr := range exprs {
		for _, name := range regexp.MustCompile(`\b(?:reconciler|process|go)_[a-z0-9_]+`).FindAllString(expr, -1) {
			used[regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(name, "")] = true
			if !strings.Contains(all, "\n"+name+" ") && !strings.Contains(all, "\n"+name+"{") {
				t.Errorf("nothing is called %s, in %s", name, expr)
			}
		}
		for _, m := range regexp.MustCompile(`\b(\w+)\s*(?:=|!=|=~|!~)\s*"([^"]*)"`).FindAllStringSubmatch(expr, -1) {
			for _, value := range strings.Split(m[2], "|") {
				if known, closed := values[m[1]]; closed && !slices.Contains(known, value) {
					t.Errorf("no %s is called %s, in %s", m[1], value, expr)
				}
			}
		}
	}
	for _, d := range documented() {
		if !used[d.name] {
			t.Errorf("%s is in no alert and on no dashboard", d.name)
		}
	}
}

// reasons are those of blocks and waits, as docs/operations.md has them; internal/rooms
// holds it to all that there are.
func reasons(t *testing.T) (all []string) {
	t.Helper()
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(string(read(t, operations)), -1) {
		all = append(all, row[1])
	}
	if len(all) < 30 {
		t.Fatalf("only %d reasons were found", len(all))
	}
	return all
}

func phases() (all []string) {
	for _, p := range actual.Phases() {
		all = append(all, string(p))
	}
	return all
}

// TestWhatNeedsAPersonNowPages: what exit code 8 stands for wakes somebody, and
// everything else does not by these two.
func TestWhatNeedsAPersonNowPages(t *testing.T) {
	pages := map[string]bool{}
	for _, r := range rules(t) {
		if r.Alert == "PersonNeeded" || r.Alert == "InitLost" {
			for _, m := range regexp.MustCompile(`reason=~?"([^"]*)"`).FindAllStringSubmatch(r.Expr, -1) {
				for _, reason := range strings.Split(m[1], "|") {
					pages[reason] = r.Labels["severity"] == "page"
				}
			}
		}
	}
	for _, reason := range reasons(t) {
		if urgent := diff.Reason(reason).Urgent(); urgent != pages[reason] {
			t.Errorf("%s needs a person now: %v, and pages: %v", reason, urgent, pages[reason])
		}
	}
}

// promtool is Prometheus' own judgement: .ci/promtool fetches it.
func promtool(t *testing.T) func(stdin string, args ...string) string {
	t.Helper()
	program := os.Getenv("RECONCILER_PROMTOOL")
	if program == "" {
		t.Skip("RECONCILER_PROMTOOL names no promtool; .ci/promtool fetches one")
	}
	return func(stdin string, args ...string) string {
		t.Helper()
		cmd := exec.Command(program, args...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
}

func TestPrometheusTakesTheRulesTheDashboardAndThePage(t *testing.T) {
	check := promtool(t)
	check("", "check", "rules", alerts)
	check(page(t, sick(t)), "check", "metrics")

	type recording struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var all []recording
	for i, expr := range expressions(t) {
		all = append(all, recording{fmt.Sprintf("panel:%d", i), expr})
	}
	check("", "check", "rules", written(t, "dashboard.yaml", map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": all}}}))
}

// TestAlertsComeAsTheirStoriesSay runs the stories of testdata/alerts.yaml.
func TestAlertsComeAsTheirStoriesSay(t *testing.T) {
	run := promtool(t)
	stories := strings.ReplaceAll(string(read(t, filepath.Join("testdata", "alerts.yaml"))), "ALERTS_FILE", absolute(t, alerts))
	file := filepath.Join(t.TempDir(), "stories.yaml")
	if err := os.WriteFile(file, []byte(stories), 0o600); err != nil {
		t.Fatal(err)
	}
	run("", "test", "rules", file)
}

// TestASickFleetRaisesEveryAlertAndAHealthyOneNone has Prometheus look at the pages
// themselves for more than a day, so that no alert waits for what never shows.
func TestASickFleetRaisesEveryAlertAndAHealthyOneNone(t *testing.T) {
	run := promtool(t)
	every := []string{}
	for _, r := range rules(t) {
		every = append(every, r.Alert)
	}
	healthy := quiet(t)
	healthy.Keep([]string{"fleet@main"})
	healthy.Follow("fleet@main", Following{Commit: noon, Clusters: map[string]bool{"prod-eu": false}})
	healthy.Polled("fleet@main", Poll{Result: Followed, Head: noon, At: noon.Add(over)})
	turn := well(clusterOf("prod-eu", "eu-1", "eu-2", "eu-3"))
	turn.At = noon.Add(over)
	healthy.Turned(turn)
	for _, c := range []struct {
		name string
		of   *Metrics
		up   float64
		want []string
	}{{"sick", sick(t), 0, every}, {"healthy", healthy, 1, []string{"ReconcilerDeadMansSwitch"}}} {
		slices.Sort(c.want)
		samples := []any{}
		for _, alert := range c.want {
			samples = append(samples, map[string]any{"labels": fmt.Sprintf("{alertname=%q}", alert), "value": 1})
		}
		file := written(t, c.name+".yaml", map[string]any{
			"rule_files": []string{absolute(t, alerts)}, "evaluation_interval": "5m",
			"tests": []any{map[string]any{"name": c.name, "interval": "5m", "input_series": append(series(t, c.of), constant("up", `{job="reconciler"}`, c.up)),
				"promql_expr_test": []any{map[string]any{"eval_time": "26h", "exp_samples": samples,
					"expr": `group by (alertname) (count_over_time(ALERTS{alertstate="firing"}[26h]))`}}}},
		})
		run("", "test", "rules", file)
	}
}

// over is for how long Prometheus looks: for longer than any alert waits.
const over = 26 * time.Hour

// series are those of a page as a Prometheus has them that began to look at noon,
// which is its zero. Counters have counted an hour after that.
func series(t *testing.T, m *Metrics) (all []any) {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		name := family.GetName()
		for _, one := range family.GetMetric() {
			var labels []string
			for _, l := range one.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			with := "{" + strings.Join(append(labels, `job="reconciler"`), ",") + "}"
			switch {
			case !strings.HasPrefix(name, prefix) || family.GetType() == dto.MetricType_HISTOGRAM:
			case family.GetType() == dto.MetricType_COUNTER:
				all = append(all, map[string]any{"series": name + with, "values": fmt.Sprintf("0x11 0+%gx400", one.GetCounter().GetValue())})
			case strings.HasSuffix(name, "_timestamp_seconds"):
				all = append(all, constant(name, with, one.GetGauge().GetValue()-float64(noon.Unix())))
			default:
				all = append(all, constant(name, with, one.GetGauge().GetValue()))
			}
		}
	}
	return all
}

func constant(name, labels string, value float64) any {
	return map[string]any{"series": name + labels, "values": fmt.Sprintf("%gx400", value)}
}

func written(t *testing.T, name string, content any) string {
	t.Helper()
	var text bytes.Buffer
	if err := yaml.NewEncoder(&text).Encode(content); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func absolute(t *testing.T, file string) string {
	t.Helper()
	path, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
