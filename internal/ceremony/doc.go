// Package ceremony is the hands of a cluster's birth, and of what needs the
// keys that came out of it: init, unseal, audit devices, the reconciler's own
// credential, the end of the root token. For people it lets a holder prove that
// the keys can be read, and lists what lies where.
//
// It knows the order in which keys are escrowed, asked for, stored, read back
// and only then used, and what each key store holds. It must not know how a
// node is reached: verbs of the node script, looks at Vault, logins, memory and
// time are ports. It decides nothing that a plan decides, but it checks again
// whatever would cost keys if the plan were wrong. It never deletes a key, and
// no error, log or memory of it holds one.
//
//	c, err := ceremony.New(ports, ceremony.Keys{Stores: stores, Identities: own, Holders: settings.Holders})
//	hands := c.Hands(cluster) // an apply.Hands for init, unseal, audit, credential and revoke
//	err = hands(ctx, try, step, contents)
//
// Each key store holds, below the cluster's name and always encrypted with age:
//
//	transport.age      the PGP key that shares leave Vault under; there and read back before init
//	init.age           Vault's answer as it came, encrypted to that key: shares and root token
//	holders/NAME.age   a threshold of shares, for that person alone
//	credential.age     the reconciler's own way in
//	root-revoked.age   a note that the root token in init.age is worth nothing any more
//	unusable-….age     an answer that is not what was asked for, kept for a person
package ceremony
