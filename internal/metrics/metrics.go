package metrics

import (
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Ports are what is asked when somebody reads the page.
type Ports struct {
	Version string
	Late    func() []string // loops that should have been heard of; must not wait
	Log     *slog.Logger
}

// Metrics are all series. What tells it may be called by many at a time.
type Metrics struct {
	Ports
	registry *prometheus.Registry
	families *families
	turnTook prometheus.Histogram
	stepTook *prometheus.HistogramVec

	mu        sync.Mutex
	fleets    map[string]*fleet
	clusters  map[string]*cluster // that some fleet names
	panics    float64
	refused   bool // the settings that were read last
	webhooks  map[[2]string]float64
	proposals map[string]float64
}

const (
	turnHelp = "How long turns took, the wave included where there was one."
	stepHelp = "How long steps took that were begun, until their goal was seen or given up."
)

// New are the series of a daemon that follows nobody yet.
func New(p Ports) *Metrics {
	m := &Metrics{
		Ports: p, registry: prometheus.NewRegistry(), families: newFamilies(),
		turnTook: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: prefix + "turn_duration_seconds", Help: turnHelp,
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800}}),
		stepTook: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: prefix + "step_duration_seconds", Help: stepHelp,
			Buckets: []float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 180, 600}}, []string{labelAction}),
		fleets: map[string]*fleet{}, clusters: map[string]*cluster{}, webhooks: map[[2]string]float64{}, proposals: map[string]float64{},
	}
	m.registry.MustRegister(m, m.turnTook, m.stepTook, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Recovered counts a panic that was caught.
func (m *Metrics) Recovered() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.panics++
}

// Reloaded says whether reconciler.yaml was taken.
func (m *Metrics) Reloaded(taken bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refused = !taken
}

// Webhook counts a request of a forge.
func (m *Metrics) Webhook(provider, result string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.webhooks[[2]string{provider, result}]++
}

// Proposal counts a reading of a pull request.
func (m *Metrics) Proposal(result string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.proposals[result]++
}

// Drift says how many differences of a cluster are open, by severity, and when they
// were looked for.
func (m *Metrics) Drift(cluster string, open map[string]int, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.clusters[cluster]; c != nil {
		c.drift, c.checked = nil, at
		for severity, n := range open {
			c.drift = append(c.drift, m.families.drift.of(float64(n), cluster, severity))
		}
	}
}

// Describe is for the registry.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, f := range m.families.all {
		ch <- f.desc
	}
}

// Collect is for the registry. Who tells something meanwhile does not wait for who
// reads.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for _, one := range m.now() {
		ch <- one
	}
}

// now are all series as they stand.
func (m *Metrics) now() []prometheus.Metric {
	late := len(m.Late())
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.families
	all := []prometheus.Metric{f.build.of(1, m.Version), f.late.of(float64(late)), f.settings.truth(!m.refused), f.panics.of(m.panics)}
	for what, n := range m.webhooks {
		all = append(all, f.webhooks.of(n, what[0], what[1]))
	}
	for result, n := range m.proposals {
		all = append(all, f.proposals.of(n, result))
	}
	for name, one := range m.fleets {
		all = append(all, one.now(f, name)...)
	}
	invalid := m.invalid()
	for name, one := range m.clusters {
		all = append(all, one.now(f, name)...)
		if invalid[name] {
			all = append(all, f.invalid.of(1, name))
		}
	}
	return all
}

// seconds are those of Unix.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
