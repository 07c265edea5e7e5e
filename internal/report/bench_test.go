package report

import (
	"fmt"
	"io"
	"testing"
)

// The budget for a plan of everything is a second for 10,000 nodes on two
// cores, looks and thinking included; putting it into words must be a small
// part of that.
func BenchmarkTenThousandNodes(b *testing.B) {
	var clusters []Cluster
	for i := range 3334 {
		clusters = append(clusters, upgrading(fmt.Sprintf("prod-%04d", i)))
	}
	b.Run("text", func(b *testing.B) {
		for b.Loop() {
			_ = Text(io.Discard, Options{Width: 100}, clusters)
		}
	})
	b.Run("json", func(b *testing.B) {
		for b.Loop() {
			_ = JSON(io.Discard, NewDocument(SchemaPlan, told, clusters, 0))
		}
	})
}
