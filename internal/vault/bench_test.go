package vault

import "testing"

// A look at a Vault: three requests, over a kept connection and over a new
// one. Allocations are those of both sides.
func BenchmarkStatus(b *testing.B) {
	for name, renew := range map[string]bool{"kept": false, "new": true} {
		b.Run(name, func(b *testing.B) {
			s := newServer(b)
			s.serving()
			client := s.client(b)
			b.ReportAllocs()
			for b.Loop() {
				if renew {
					client.Renew()
				}
				if _, _, err := client.Status(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
