package main

import (
	"net/http"

	"github.com/vaultfleet/reconciler/internal/health"
	"github.com/vaultfleet/reconciler/internal/metrics"
)

// pages answers whoever asks over http how it goes. Paths are taken as they were
// sent: nothing is cleaned.
func (s *standing) pages(waiting func() []string) http.Handler {
	well := health.New(health.Ports{Late: s.late, Waiting: waiting})
	all := map[string]http.Handler{health.Healthz: well, health.Readyz: well, metrics.Path: s.metrics.Handler()}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, there := all[r.URL.EscapedPath()]
		if !there {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		page.ServeHTTP(w, r)
	})
}
