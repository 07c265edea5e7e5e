// Package throwaway makes what a fleet needs beside its nodes and that nobody is
// to trust for long: a CA, age identities, and a mirror of signed releases. It is
// for fleets that are made to be shown or tested.
//
// It knows formats. It must not know the product.
//
//	ca, err := throwaway.NewCA()
//	cert, key, err := ca.Issue("eu-1", "10.1.0.11")
package throwaway
