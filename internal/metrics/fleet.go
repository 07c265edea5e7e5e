package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Result is how a poll went. Closed set.
type Result string

const (
	Followed Result = "followed"
	Held     Result = "held"
	Bad      Result = "bad"
	Silent   Result = "silent"
)

func results() []Result { return []Result{Followed, Held, Bad, Silent} }

// Hold is why a commit is held. Closed set.
type Hold string

const (
	HoldNone     Hold = ""
	HoldRewound  Hold = "rewound"
	HoldUnsigned Hold = "unsigned"
)

// Following is what the commit that is in force wants.
type Following struct {
	Commit   time.Time       // its author's date
	Clusters map[string]bool // that it names, or that are kept though it is too broken to name them; true: their spec is invalid
}

// fleet is one that is followed.
type fleet struct {
	polls     map[Result]float64
	polled    time.Time // when the repo answered last
	head      time.Time
	held      Hold
	following Following
}

// Keep says which fleets are followed from now on. What was said of another, and of
// its clusters, is gone.
func (m *Metrics) Keep(fleets []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.fleets
	m.fleets = map[string]*fleet{}
	for _, name := range fleets {
		if m.fleets[name] = before[name]; m.fleets[name] == nil {
			m.fleets[name] = &fleet{polls: map[Result]float64{}}
		}
	}
	m.forget()
}

// Follow says what a fleet's commit in force wants.
func (m *Metrics) Follow(name string, f Following) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if one := m.fleets[name]; one != nil {
		one.following = f
		m.forget()
	}
}

// forget drops the clusters that no fleet names, and makes room for those that one
// does. A turn of any other is told too late.
func (m *Metrics) forget() {
	named := map[string]*cluster{}
	for _, f := range m.fleets {
		for name := range f.following.Clusters {
			if named[name] = m.clusters[name]; named[name] == nil {
				named[name] = newCluster()
			}
		}
	}
	m.clusters = named
}

// Poll is how a poll of a repo went.
type Poll struct {
	Result Result
	Hold   Hold      // of Held
	Head   time.Time // the author's date of the commit that the branch stands at; zero: it is not known
	At     time.Time
}

// Polled says how a poll of a fleet's repo went.
func (m *Metrics) Polled(name string, p Poll) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.fleets[name]
	if f == nil {
		return
	}
	f.polls[p.Result]++
	if p.Result == Silent {
		return // nothing is known of the newest commit
	}
	f.polled, f.head, f.held = p.At, p.Head, p.Hold
}

func (f *fleet) now(by *families, name string) (all []prometheus.Metric) {
	for _, r := range results() {
		all = append(all, by.polls.of(f.polls[r], name, string(r)))
	}
	for _, one := range []struct {
		family *family
		at     time.Time
	}{{by.polled, f.polled}, {by.head, f.head}, {by.applied, f.following.Commit}} {
		if !one.at.IsZero() {
			all = append(all, one.family.of(seconds(one.at), name))
		}
	}
	for _, why := range []Hold{HoldRewound, HoldUnsigned} {
		all = append(all, by.held.truth(f.held == why, name, string(why)))
	}
	return all
}

// invalid are the clusters whose spec the newest commit of some fleet breaks.
func (m *Metrics) invalid() map[string]bool {
	found := map[string]bool{}
	for _, f := range m.fleets {
		for name, bad := range f.following.Clusters {
			found[name] = found[name] || bad
		}
	}
	return found
}
