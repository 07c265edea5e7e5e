// Package news says what of a fleet people are told, and when: a drift that is sure, one
// that got worse, one that is gone, a cluster that could not be looked at again and
// again, and a digest on a schedule. It says each thing once.
//
// It knows what turns came to ([report.Cluster]). It must not know where news go, what a
// message looks like there, or the clock. What it says is told apart by keys that come
// from what is remembered of a drift and not from this process: after a restart the same
// news have the same keys, and whoever sends them drops those that were sent.
//
//	desk := news.NewDesk()
//	for _, item := range desk.Turned(cluster, now) {
//		send(item.Key, item.Title, item.Text)
//	}
package news
