// Package history remembers what was done, when, and by which commit, in
// STATE/history.db (SQLite), and answers questions about it.
//
// It is told of every turn, and writes down only what has changed since: commits
// that came into force, plans that ask for something else, waves, nodes that were
// seen to be otherwise, people's words. A turn is written whole or not at all, by
// one goroutine, and nobody waits for it: the history may lose a turn, and must
// never stop one. What decides is remembered elsewhere (internal/store), so this
// file may be deleted at any time.
//
// It knows turns, and the words of internal/report. It must not know how a turn
// is taken, nor decide anything.
//
//	past := history.Open(state, history.Options{Keep: keep, Tell: tell})
//	defer past.Close()
//	seen := past.Of("ssh://git@git.internal/acme/fleet.git, branch main")
//	seen(turned)
//
//	reader, err := history.Read(ctx, state)
//	events, before, err := reader.Recent(ctx, history.Filter{Cluster: "prod-*", Limit: 50})
package history
