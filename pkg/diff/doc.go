// Package diff thinks: from what is wanted, what was seen, what is remembered
// and the time it makes a [Plan].
//
// It re-arranges both sides into one comparable shape, the [Fact], and then
// compares dumbly. Order, leader-last and quorum come out of the plan each
// time, so there is no rollout to keep track of: one wave is done, and the next
// plan starts from the next look. Quorum arithmetic is in quorum.go and nowhere
// else. It must not know how anything is read, written or shown, and it has no
// clock: time comes in as a value.
//
// The waves after the first are a forecast: each is planned on the facts that
// [Simulate] says the one before leaves behind.
//
//	memory = diff.Remember(memory, want, have, now)
//	plan := diff.Cluster(want, have, memory, now)
//	if wave, ok := plan.Next(); ok {
//		fmt.Println("next:", wave)
//	}
package diff
