// Package loop is one turn of a cluster: look, remember, plan, ask leave, do
// one wave. The next turn looks again.
//
// It knows the order of these things and nothing about how any of them is done:
// everything that waits, reads or writes is a port. The daemon, the command
// line and the simulation run this very code.
//
//	turned := loop.Turn(ctx, ports, spec)
//	if turned.Err == nil && turned.Plan.Empty() {
//		fmt.Println(spec.Cluster.Name, "in sync")
//	}
package loop
