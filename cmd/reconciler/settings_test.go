package main

import (
	"os"
	"strings"
	"testing"
)

func TestAStateFolderOfAnotherAccountIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := ownState(dir); err != nil {
		t.Errorf("our own: %v", err)
	}
	if err := ownState(dir + "/none"); err != nil {
		t.Errorf("one that is not there yet: %v", err)
	}
	anothers, way := "/", "sudo -u root -- reconciler" // we are not root
	if os.Geteuid() == 0 {
		const nobody = 1<<16 - 2
		check(t, os.Chown(dir, nobody, nobody))
		anothers, way = dir, "runuser -u nobody -- reconciler"
	}
	err := ownState(anothers)
	if err == nil || !strings.Contains(err.Error(), "belongs to ") || !strings.Contains(hintOf(err), way) {
		t.Errorf("another's: %v; %s", err, hintOf(err))
	}
}
