//go:build !failpoints

package main

import (
	nodes "github.com/vaultfleet/reconciler/internal/host"
	"github.com/vaultfleet/reconciler/internal/loop"
)

// failpoint is nothing in what is released; see failpoint_on.go.
type failpoint struct{}

func (*failpoint) ports(p loop.Ports) loop.Ports { return p }

func (*failpoint) conn(_ string, c nodes.Conn) nodes.Conn { return c }
