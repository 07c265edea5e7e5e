package web_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/internal/web/webtest"
	"github.com/vaultfleet/reconciler/pkg/actual"
)

// processor is how long this process had one.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkOverview is what the page of 200 clusters of 5 nodes takes of the server.
func BenchmarkOverview(b *testing.B) {
	h := shows(webtest.Board(webtest.Many(200, 5)...), nil)
	r := httptest.NewRequest(http.MethodGet, "http://localhost/", nil)
	b.ReportAllocs()
	size, before := 0, processor(b)
	for b.Loop() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		size = w.Body.Len()
	}
	b.ReportMetric(float64((processor(b)-before).Microseconds())/1000/float64(b.N), "ms-processor/op")
	b.ReportMetric(float64(size)/1024, "KiB")
}

// BenchmarkBoard is what is kept of the last looks at 100 clusters of 3 nodes, each
// with as many files as a cluster with TLS has.
func BenchmarkBoard(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		board := webtest.Board(looks()...)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1024, "KiB-kept")
		runtime.KeepAlive(board)
	}
}

// looks are each of their own strings, as those of nodes are.
func looks() []report.Cluster {
	own := func(format string, of ...any) string { return fmt.Sprintf(format, of...) }
	all := webtest.Many(100, 3)
	for i := range all {
		for j := range all[i].Have {
			n := &all[i].Have[j]
			n.Files, n.Process.Mark = map[string]actual.File{}, &actual.Mark{Files: map[string]string{}, Config: map[string]string{}}
			for f := range 14 {
				path := own("/etc/vault.d/tls/file-%d", f)
				n.Files[path] = actual.File{Kind: actual.KindFile, Digest: own("sha256:%064d", i*j*f), Owner: own("vault"), Group: own("vault"), Mode: own("0640"), Size: 1000, Mtime: webtest.Noon()}
				n.Process.Mark.Files[own("/etc/vault.d/tls/file-%d", f)] = own("sha256:%064d", i*j*f)
			}
			config := map[string]string{}
			for k := range 40 {
				n.Process.Mark.Config[own("listener.tcp.key_%d", k)], config[own("listener.tcp.key_%d", k)] = own("value %d", k), own("value %d", k)
			}
			n.Files["/etc/vault.d/vault.hcl"] = actual.File{Kind: actual.KindFile, Config: config}
		}
	}
	return all
}
