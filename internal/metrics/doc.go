// Package metrics tells Prometheus how the daemon and its fleets are.
//
// It knows what each series says, of how many things, and for how long: a cluster
// that no fleet names any more, or a node that its spec does not name, has none.
// Every label is of a set that the repo or this program bounds. It must not know how
// anything is found out, and it judges nothing: who looks, polls and hears tells it.
//
//	m := metrics.New(metrics.Ports{Version: version, Late: late, Log: log})
//	m.Keep([]string{"fleet@main"})
//	m.Follow("fleet@main", metrics.Following{Clusters: map[string]bool{"prod-eu": false}})
//	m.Turned(turned)
//	http.Handle(metrics.Path, m.Handler())
package metrics
