// Package admission says which commit of a fleet repo may be acted on.
//
// A branch that is followed only moves forward: the newest commit is admitted when
// the last that was is among its ancestors, and when its signatures are what
// reconciler.yaml asks for. What was admitted last is the high-water mark, a file
// beside the clone that outlives a restart. A commit that is not admitted is held,
// and the mark stands: a force-push, a rewind and a stolen login bring nothing into
// force. A later commit that is good needs nobody; a rewind that is meant is
// approved on the reconciler's own host. Who judges the merges of a forge may not get an
// answer: then a commit is held as well, and asked about again.
//
// It must not know what a commit says, how a signature is checked, or what is done
// in a cluster.
//
//	gate := admission.Gate{File: "/var/lib/reconciler/git/acme/admitted", History: repo, Policy: admission.EveryCommit, Verify: signers.Verify}
//	commit, held, err := gate.Admit(ctx, newest)
package admission
