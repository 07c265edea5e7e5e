// Package web shows the fleet to a browser: how every cluster and node stands, what is
// under way, what drifts and what was done. It only shows; nothing can be asked for
// that would change anything.
//
// It knows pages, who may see them, and how browsers are told that something is news.
// It must not know how a turn is taken, where a history is kept, nor what reconciler.yaml
// looks like. How things are put into words is internal/report's. Every text of a page is
// foreign: html/template escapes it, and what hides or reorders text is made visible
// (clean.go). A page asks for nothing beyond this daemon, and works without its script.
//
//	board := web.NewBoard()
//	board.Follow([]string{"acme"})
//	board.Wants("acme", source, wanted) // at each commit
//	board.Seen(cluster, at)             // at each turn
//	board.Event("prod-eu", event)       // while steps are under way
//
//	guard := web.NewGuard(web.Access{Token: token, Key: key})
//	handler := guard.Protect(web.New(web.Options{Board: board, History: history}))
//	err := web.Serve(ctx, listener, handler)
package web
