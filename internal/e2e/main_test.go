//go:build linux

package e2e

import (
	"os"
	"testing"

	"github.com/vaultfleet/reconciler/internal/embed"
)

func TestMain(m *testing.M) {
	embed.Main()
	os.Exit(m.Run())
}
