// Package secret opens secrets: age files of the fleet repo, and the secrets
// that reconciler.yaml defines for a spec's `secret:NAME`.
//
// What it hands out is [Bytes], which prints as [redacted] everywhere; the
// bytes come out through [Bytes.Reveal] and [Bytes.Open] alone, so that a
// search for those two finds every place that sees a secret. It must not know
// what a secret is for. An error here never holds any part of a secret, and a
// secret that cannot be had is an error and never empty.
//
// Honestly: Go copies memory when it moves it, so [Bytes.Wipe] shortens the
// time that a secret lies around and promises no more than that.
//
//	ids, err := secret.Identities("/etc/reconciler/age.key")
//	key, err := ids.Decrypt(ciphertext)
//	book, err := secret.New(map[string]secret.Definition{
//		"prod-eu-transit": {Clusters: "prod-eu", File: "/etc/reconciler/transit.token"},
//	}, ids)
//	token, err := book.Reveal(ctx, "prod-eu", "prod-eu-transit")
package secret
