// Package person is what a person does to a Vault with curl and a few shares:
// for tests and shows, which must not ask the product what the product did.
//
// It knows Vault's API. It must not know the product, whose own client is
// internal/vault.
//
//	root, err := person.API{Client: client}.GenerateRoot(ctx, "10.1.0.11", shares)
//	err = root.Ask(ctx, http.MethodPut, "10.1.0.11", "sys/seal", nil, nil)
package person
