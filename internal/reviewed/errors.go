package reviewed

import "fmt"

// RefusedError says why a commit is no reviewed merge, and what would be.
type RefusedError struct{ Why, What string }

func (e *RefusedError) Error() string { return e.Why }
func (e *RefusedError) Hint() string  { return e.What }

// SilentError says that it is not known whether a commit is one: somebody who has to be
// asked does not answer.
type SilentError struct{ Err error }

func (e *SilentError) Error() string {
	return fmt.Sprintf("whether it was reviewed is not known: %v", e.Err)
}
func (e *SilentError) Unwrap() error { return e.Err }
func (e *SilentError) Hint() string {
	return "nothing is accepted without an answer; it is asked again at the next poll"
}

func refuse(what, why string, args ...any) error {
	return &RefusedError{Why: fmt.Sprintf(why, args...), What: what}
}

// What makes a commit one that is accepted.
const (
	mergeIt   = "revert it by a pull request, or reset the branch to the commit in force; what is followed is merged on the forge, by a pull request that was approved"
	approveIt = "have it approved by who may, while it is open; once it is merged: revert it, and merge it again by another pull request"
	squashIt  = "merge by a merge commit, or squash; a rebase makes commits that nobody has seen"
)
