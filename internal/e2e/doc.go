// Package e2e proves the promises on real machines: Debian nodes with systemd
// and OpenSSH, booted in network namespaces, and real Vault servers on them.
// The built reconciler is what is tested, as an operator runs it.
//
// The package knows how to make such machines and how to hurt them: cut their
// power, their network, their sshd, their disk. It must not import a room of
// the product; what a test wants to know it reads off the nodes, off Vault's
// API, or off the reconciler's output and exit code.
//
// The tests need root, and run only where RECONCILER_E2E=1 says so; .ci/run
// installs what they need. Where it is set, a missing need fails the test.
//
//	rig := NewRig(t, 3)
//	rig.Nodes[0].PowerCut()
//	operator := rig.Operator(fleet)
//	if got := operator.Run("plan"); got.Code != 3 {
//		t.Errorf("plan with a dead node: exit code %d\n%s", got.Code, got.Stderr)
//	}
package e2e
