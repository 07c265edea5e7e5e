// Package conform says what Vault does, as far as this project relies on it: one
// suite that Vault, the simulator in one process, and the simulator on embedded
// nodes all have to pass. What the simulator answers is held to what the suite
// names: a field or a path that it does not name is a finding.
//
// It knows what Vault was seen to do. It must not know whom it asks.
//
//	findings := conform.API(ctx, servers, conform.Options{Version: "1.21.0"})
package conform
