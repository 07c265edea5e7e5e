// Package demo is a fleet to play with on this machine, without root: embedded
// nodes, a fleet repo made from examples/fleet-repo, a release mirror, and the
// story that `reconciler demo` tells on them. What happens to the fleet is done
// by the product's own commands, which the package is given as a function, and
// what the story claims it checks: on the machines and in Vault's API, past the
// product. Two things only the product can tell: a plan, that the fleet is in sync,
// and why, that the leave of a birth is used up.
//
// It knows how a person uses the product. It must not know how the product does
// what it does.
//
//	stage, err := demo.NewStage(demo.Options{Dir: dir})
//	defer stage.Close()
//	err = stage.Commit("A cluster of three")
package demo
