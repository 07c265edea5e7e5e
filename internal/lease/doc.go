// Package lease lets one process at a time act on a cluster, and numbers the
// times so that nodes can refuse whoever comes late.
//
// A [Lease] is a file lock, so the kernel frees it when its holder dies, plus
// an epoch that only grows: it is on disk, synced, before a lease is handed
// out. Nodes refuse an epoch below the highest that they saw (design §6), which
// also covers a holder that was suspended and wakes up late.
//
// There is one lease per cluster, so that `reconciler apply --cluster a` works
// beside a daemon that is busy with b. A daemon takes [Daemon] besides, one per
// state folder. It must not know what is done under a lease.
//
//	held, err := lease.Acquire(ctx, "/var/lib/reconciler", "prod-eu")
//	if busy, ok := errors.AsType[*lease.BusyError](err); ok {
//		fmt.Println("busy since", busy.Since, "by", busy.Holder)
//	}
//	defer held.Release()
//	fence := host.Fence{Epoch: held.Epoch, Holder: held.Installation}
package lease
