// Package apply does one wave of a plan: needs hold, intent, act, goal holds,
// outcome.
//
// It has no judgement of its own: whether a step may be done is in its Needs,
// whether it worked is in its Goal, both of which the plan computed. It must
// not know what a node or a cluster wants. All effects are behind the ports
// [Eyes], [Hands], [Contents], [Journal] and [Clock], which the real world and
// the simulation fill.
//
//	results, err := apply.Wave(ctx, ports, memory, wave, epoch)
package apply
