// Package actual is what the nodes say: one [Node] per host, each fact either
// read or Unknown, never zero for "could not be read".
//
// It knows the shape of an observation and how to gather many of them at once
// ([Probe]). It must not know what is wanted, and it writes nothing. How a
// host is reached is behind [Host]; how much runs at a time is behind [Each],
// so the same code runs against real machines and in the simulation.
//
// An observation never fails as a whole: a node that cannot be reached is a
// Node whose Unknown says in which phase and why.
//
//	seen := actual.Probe(ctx, host, each, targets)
//	for _, node := range seen {
//		if why, ok := node.Unknown[actual.PhaseTCP]; ok {
//			fmt.Println(node.Name, "not reachable:", why)
//		}
//	}
package actual
