package main

import (
	"net/http"

	"github.com/vaultfleet/reconciler/internal/health"
	"github.com/vaultfleet/reconciler/internal/metrics"
	"github.com/vaultfleet/reconciler/internal/web"
)

// pages answers whoever asks over http how it goes. The two questions of health are
// answered to anybody, by their paths as they were sent; all else only to whom the
// door lets in.
func (s *standing) pages(waiting func() []string, d door) http.Handler {
	well := health.New(health.Ports{Late: s.late, Waiting: waiting})
	fleet := d.guard.Protect(web.New(web.Options{Board: s.shown, History: s.past()}))
	all := map[string]http.Handler{health.Healthz: well, health.Readyz: well, metrics.Path: d.guard.Protect(s.metrics.Handler())}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, there := all[r.URL.EscapedPath()]
		if !there {
			page = fleet
		}
		page.ServeHTTP(w, r)
	})
}
