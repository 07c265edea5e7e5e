// Package ssh keeps one SSH connection per node and runs commands on it.
//
// It knows how to reach a machine and how to be sure that it is the right one:
// known_hosts alone says who a node is, a callback says whether its address
// may be dialled, one private key says who we are. It must not know what the
// commands mean, and it trusts nothing that comes back: each stage has its own
// deadline, each output its cap, and a peer that does not keep to the protocol
// loses the connection, never a goroutine of ours.
//
// There is no terminal, no agent, no environment and no forwarding towards us.
//
//	pool := ssh.New(ssh.Settings{KnownHosts: "/etc/reconciler/known_hosts", Key: "/etc/reconciler/id_ed25519", Allow: policy.Dial})
//	defer pool.Close()
//	conn, err := pool.Connect(ctx, target)
//	var failed *ssh.PhaseError
//	if errors.As(err, &failed) {
//		unknown[failed.Phase] = failed.Error()
//	}
//	out, err := conn.Run(ctx, "cat /etc/machine-id", nil, 4096)
package ssh
