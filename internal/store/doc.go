// Package store keeps a [diff.Memory] per cluster in the state folder: tiny,
// synced to disk before it says yes, and shared by all processes on this host.
//
// Each cluster has an append-only journal (journal.go says what a record looks
// like) under STATE/clusters/NAME. Every call takes the cluster's file lock for
// as long as the call lasts, so `reconciler hold` writes beside a running
// daemon, which sees it at its next turn. Whoever cannot write must not act.
//
// It knows files. It must not know what a memory means: it folds records by
// [diff.Memory.Record] and replaces, adds and takes away leaves.
//
//	s, err := store.Open("/var/lib/reconciler")
//	memory, rev, err := s.Load(ctx, "prod-eu")
//	memory = diff.Remember(memory, want, have, now)
//	rev, err = s.Save(ctx, "prod-eu", memory, rev) // ErrConflict: load again
package store
