// Package host is the eyes and the hands on one machine: it looks at a node as
// [actual.Host] and acts on it as [apply.Hands].
//
// It knows the node script (node.sh, one POSIX shell script with fixed verbs),
// what its output may look like, and which verbs make up a step of a plan. It
// must not know how a machine is reached, who may be, or how Vault's API is
// spoken: [Settings] brings [Conn], [API] and the clock. It judges nothing.
//
// Everything that a node says is hostile until it was parsed: framed by a nonce,
// capped, and never stored but for the fields that were asked for. What could
// not be read is Unknown, with the right that was missing.
//
// The script is the one door through which a node or its Vault is changed. Each
// call carries an epoch and its holder, and the node itself refuses an older
// epoch or another holder ([FencedError]).
//
//	h := host.New(host.Settings{Connect: connect, API: read, Now: time.Now})
//	seen := h.Look(ctx, target)
//	hands := h.Hands("reconciler@ops-1", targets)
//	err := hands(ctx, try, step, contents)
//	out, err := h.Node(target).Verb(ctx, fence, "vault-init-result", []string{nonce}, nil)
package host
