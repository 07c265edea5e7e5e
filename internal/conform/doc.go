// Package conform says what Vault does, as far as this project relies on it: one
// suite that Vault, the simulator in one process, and the simulator on embedded
// nodes all have to pass. An answer of the simulator may have no field that
// the suite does not name.
//
// It knows what Vault was seen to do. It must not know whom it asks.
//
//	findings := conform.API(ctx, servers, conform.Options{Version: "1.21.0"})
package conform
