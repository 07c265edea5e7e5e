package main

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/vaultfleet/reconciler/internal/hook"
	"github.com/vaultfleet/reconciler/internal/settings"
)

// hooks is who hears from forges that somebody pushed, and who is told: every
// fleet whose branch it may be. A hint that is none costs one small request.
func (k *keeping) hooks(log *slog.Logger) http.Handler {
	w := k.settings.Webhook
	return hook.New(hook.Options{Secrets: hook.File(w.SecretFile), Hint: func(of func(branch string) bool) {
		for _, f := range k.fleets {
			if of(f.only.Branch) {
				f.hint()
			}
		}
	}, Branches: k.branches(), Pulls: k.pokePulls, Heard: k.heard}, log)
}

// pokePulls has every fleet's pull requests looked at.
func (k *keeping) pokePulls() {
	for _, f := range k.fleets {
		f.answers.poke()
	}
}

// branches are those that are followed.
func (k *keeping) branches() (all []string) {
	for _, f := range k.fleets {
		all = append(all, f.only.Branch)
	}
	return all
}

// checkHooks says whether the secret of the hooks can be used.
func checkHooks(w settings.Webhook) error {
	if w.Listen == "" {
		return nil
	}
	if _, err := hook.File(w.SecretFile)(); err != nil {
		return &exitError{code: exitFailed, err: err, hint: "write a secret into it, as: (umask 077; openssl rand -hex 32 > FILE), and the same one into the forge"}
	}
	return nil
}

// errBusy is why an address cannot be listened on, and the way out.
func errBusy(what, setting string, err error) error {
	return &exitError{code: exitFailed, err: errors.New(what + ": " + err.Error()),
		hint: "give " + setting + " an address of this host and a port that is free; ss -ltnp says who has it"}
}
