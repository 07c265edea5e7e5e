package diff

import (
	"fmt"
	"testing"
)

// BenchmarkALook is what planning and looking for drift cost in clusters of five nodes,
// as they are in a fleet where nothing differs, and in one where something does.
func BenchmarkALook(b *testing.B) {
	for _, drifts := range []bool{false, true} {
		s := convergedScene(5)
		if drifts {
			s.change("eu-2", configPath, onDisk("log_level", `"trace"`))
			s.look(0)
		}
		m := Remember(s.memory, s.want, s.have, s.now)
		b.Run(fmt.Sprintf("plan/drifts=%v", drifts), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Cluster(s.want, s.have, m, s.now)
			}
		})
		b.Run(fmt.Sprintf("drift/drifts=%v", drifts), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.Notice(FindDrift(s.want, nil, s.have, m, s.now), s.have, s.now)
			}
		})
	}
}
