// Package sim is a world to reconcile without a machine: one pure state
// machine each for Vault, for systemd and for a node, and a [World] of them
// under a virtual clock that fills the ports of internal/loop.
//
// It knows what Vault, raft and systemd do as far as the product relies on it,
// and must not know what the product wants: it reads files as Vault would and
// refuses what Vault refuses. Nothing in it waits, and a seed repeats a run.
//
//	world := sim.NewWorld(1)
//	world.AddNode("eu-1", "10.1.0.11")
//	turned := loop.Converge(ctx, world.Ports(), spec, nil)
package sim
