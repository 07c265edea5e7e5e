// Package daemon keeps a fleet for good: it polls the repo, hands every cluster
// what the newest commit wants of it, and lets the clusters take their turns
// beside each other, each at its own pace.
//
// It knows when to ask the repo again and what an operator wants to read in a
// log. It must not know what a turn does (internal/loop), how a repo is reached
// or what a spec says: those are ports.
//
//	daemon.Run(ctx, daemon.Ports{
//		Poll: repo.Fetch, Last: repo.Last, Read: read, Release: release, Wait: daemon.Wait,
//	}, time.Minute, log)
package daemon
