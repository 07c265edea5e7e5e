package main

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"github.com/vaultfleet/reconciler/internal/store"
)

// openStore opens the memories of the state folder.
func (h host) openStore() (*store.Store, error) {
	if err := h.ownState(); err != nil {
		return nil, err
	}
	return store.Open(h.settings.State)
}

// ownState refuses a state folder of another account's: the daemon that runs under that
// one could not read what this one, were it root, leaves there. It is asked before
// anything is opened in there.
func (h host) ownState() error {
	dir := h.settings.State
	info, err := os.Stat(dir)
	if err != nil {
		return nil // it is made, or whoever opens it says what is wrong
	}
	of, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(of.Uid) == os.Geteuid() {
		return nil
	}
	owner := strconv.Itoa(int(of.Uid))
	hint := fmt.Sprintf("give it to this account, if that one has no use for it: chown -R %d: %s", os.Geteuid(), dir)
	if known, err := user.LookupId(owner); err == nil {
		owner = known.Username
		hint = fmt.Sprintf("run this as that account: %s %s -- reconciler …; or %s", map[bool]string{true: "runuser -u", false: "sudo -u"}[os.Geteuid() == 0], owner, hint)
	}
	return usage(hint, "the state folder %s belongs to %s, who could not read what another account leaves there", dir, owner)
}
