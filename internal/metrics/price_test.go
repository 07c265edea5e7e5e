//go:build linux

package metrics

import (
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func BenchmarkThePageOfALargeFleet(b *testing.B) {
	before := heap()
	m := large(b)
	kept := heap() - before
	h := m.Handler()
	for _, encoding := range []string{"identity", "gzip"} {
		b.Run(encoding, func(b *testing.B) {
			size, before := 0, processor(b)
			for b.Loop() {
				w, r := httptest.NewRecorder(), httptest.NewRequest("GET", Path, nil)
				r.Header.Set("Accept-Encoding", encoding)
				h.ServeHTTP(w, r)
				size = w.Body.Len()
			}
			b.ReportAllocs()
			b.ReportMetric(float64(size), "bytes")
			b.ReportMetric(kept/5000, "kept-bytes/node")
			b.ReportMetric(float64((processor(b)-before).Milliseconds())/float64(b.N), "cpu-ms/op")
		})
	}
}

// processor is what this process has had of it: on a machine with others, the time by
// the clock says how busy those are.
func processor(b *testing.B) time.Duration {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// heap is what is kept, in bytes.
func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
