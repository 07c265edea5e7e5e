package diff

// Reasons of Blocks: somebody must act. Each is documented, with its way out,
// in docs/operations.md.
const (
	ReasonObserve       Reason = "observe"         // the mode forbids acting
	ReasonUnbuilt       Reason = "unbuilt-key"     // the spec asks for what this release cannot do
	ReasonHeld          Reason = "held"            // a hold in the tool
	ReasonHoldFile      Reason = "hold-file"       // a hold file on the node
	ReasonSealedByHand  Reason = "sealed-by-hand"  // in an unchanged process
	ReasonStoppedByHand Reason = "stopped-by-hand" // cleanly, in the same boot, not by us
	ReasonMasked        Reason = "masked"          // the unit
	ReasonPeers         Reason = "peers-json"      // somebody recovers the cluster by hand
	ReasonUnapproved    Reason = "init-unapproved" // the cluster may not be born yet
	ReasonInitLost      Reason = "init-lost"       // the answer of init is missing
	ReasonConfirm       Reason = "confirm-keys"    // no human way in is proven
	ReasonUnknown       Reason = "node-unknown"    // a node whose state decides could not be read
	ReasonInitialized   Reason = "initialized-before"
	ReasonDataNotEmpty  Reason = "data-not-empty" // and not ours
	ReasonDataMissing   Reason = "data-missing"   // a known member's folder is empty or elsewhere
	ReasonForeign       Reason = "foreign-cluster"
	ReasonStateLost     Reason = "state-lost" // the spec pins a cluster that this state does not know
	ReasonUnreachable   Reason = "peers-unreachable"
	ReasonQuorum        Reason = "quorum"      // taking the node down would lose it
	ReasonQuorumLost    Reason = "quorum-lost" // only start and unseal are left
	ReasonNoShares      Reason = "no-shares"
	ReasonNoLock        Reason = "no-lock-entry"
	ReasonDowngrade     Reason = "downgrade"
	ReasonImmutable     Reason = "immutable" // storage, raft path, node_id, seal
	ReasonRefused       Reason = "refused"   // Vault named what it cannot use of what lies there
	ReasonUnproven      Reason = "unproven"  // what the process was started with is unknown
	ReasonAuditPath     Reason = "audit-path"
	ReasonRemoved       Reason = "removed" // from raft; its data must not come back
	ReasonFailed        Reason = "failed"  // a step failed as often as it may
	ReasonNotStaged     Reason = "not-staged"
	ReasonNoRoot        Reason = "no-root"       // the look had no root's eyes, so nothing can be placed
	ReasonStranger      Reason = "other-process" // Vault answers, but not as our unit
	ReasonFight         Reason = "fight"         // what is put back comes again and again
)

// Reasons of Waits: time will do.
const (
	WaitSettling Reason = "settling" // autopilot or raft has not caught up
	WaitBooting  Reason = "booting"  // the service is on its way up
	WaitPause    Reason = "pause"    // rollout.pause
	WaitRetry    Reason = "retry"    // a failed step is tried again later
	WaitJoin     Reason = "joining"  // the node has not fetched the cluster's challenge yet
	WaitByHand   Reason = "by-hand"  // drift.after
	WaitWindow   Reason = "window"   // rollout.window
	WaitFreeze   Reason = "freeze"   // rollout.freezes
	WaitApproval Reason = "approval" // rollout.approval
	WaitRing     Reason = "ring"     // a newer commit has not reached the cluster
)

// Urgent says that a person is needed now, not at their leisure: the reasons
// that exit code 8 stands for.
func (r Reason) Urgent() bool {
	switch r {
	case ReasonInitLost, ReasonConfirm, ReasonQuorumLost, ReasonDataMissing, ReasonFailed, ReasonNoShares, ReasonRefused:
		return true
	}
	return false
}
