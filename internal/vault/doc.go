// Package vault reads one node's Vault API.
//
// It knows the endpoints that a look needs and how little to believe of their
// answers. It must not know how the node is reached (a dial function is given)
// nor what is wanted of it, and it changes nothing: whatever changes a Vault
// goes through the node script, under its fence. Logging in is the one request
// that writes, a token of our own.
//
// The server is verified against the given CAs and name alone. One whose
// certificate has merely run out is still looked at, because mending it needs
// the look, but it gets no token. Nothing is taken from the environment, no
// redirect is followed, nothing is tried twice.
//
//	client := vault.New(func(ctx context.Context) (net.Conn, error) {
//		return conn.Dial(ctx, "tcp", "127.0.0.1:8200")
//	}, "10.1.0.11", cas)
//	defer client.Close()
//	status, certificate, err := client.Status(ctx)
package vault
