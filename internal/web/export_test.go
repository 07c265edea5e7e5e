package web

import "github.com/vaultfleet/reconciler/internal/report"

// Slim is what is kept of a cluster.
func Slim(c report.Cluster) report.Cluster { return slim(c) }
