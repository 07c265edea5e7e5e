package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vaultfleet/reconciler/internal/embed/simvault"
)

func TestMain(m *testing.M) {
	simvault.Main()
	testscript.Main(m, map[string]func(){"reconciler": main})
}
