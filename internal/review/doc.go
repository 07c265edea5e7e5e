// Package review answers pull requests: what merging one would change, as a
// comment and a commit status, and after the merge how far the rollout is.
//
// A pull request is written by whoever can open one. So it decides nothing here:
// no connection is opened and no secret is read because of what it says, and
// where its nodes would be reached is its own word, which nobody follows before
// the merge. What the nodes are like is what the daemon's own turns saw last. The
// room knows specs, plans and a forge through ports, and one file of its own, in which
// it keeps what it follows; it must not know nodes, nor
// how anything is fetched.
//
//	differences := review.Between(base, head)
//	proposal := differences.Propose(seen)
//	fmt.Print(report.Comment(proposal, 60_000))
package review
