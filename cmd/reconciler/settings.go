package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/vaultfleet/reconciler/internal/history"
	"github.com/vaultfleet/reconciler/internal/settings"
	"github.com/vaultfleet/reconciler/internal/trust"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// host is what this machine says: reconciler.yaml and its judgement.
type host struct {
	settings settings.Settings
	policy   trust.Policy
	cas      [][]byte // of trust.vault_ca
	log      *slog.Logger
	history  *history.History // nil: what is done is not written down
}

// host reads reconciler.yaml; everything that is wrong with it is said at once.
func (a *app) host() (host, error) {
	file, err := settings.Find(a.config, os.LookupEnv)
	if err != nil {
		return host{}, err
	}
	s, problems := settings.Load(file)
	if len(problems) > 0 {
		for _, p := range problems[:len(problems)-1] {
			fmt.Fprintf(a.stderr, "reconciler: error: %v\n", p)
		}
		return host{}, problems[len(problems)-1]
	}
	return hostFrom(s, newLog(a.verbose, a.stderr))
}

// hostFrom is the judgement of settings without a problem.
func hostFrom(s settings.Settings, log *slog.Logger) (host, error) {
	s, err := s.Environment(os.LookupEnv)
	if err != nil {
		return host{}, err
	}
	cas, err := s.VaultCAs()
	if err != nil {
		return host{}, fmt.Errorf("read trust.vault_ca: %w", err)
	}
	return host{settings: s, policy: trust.New(s, cas), cas: cas, log: log}, nil
}

// hostIfAny is reconciler.yaml where there is one; false: none was found, and
// none was named.
func (a *app) hostIfAny() (host, bool, error) {
	h, err := a.host()
	var none *settings.NotFoundError
	if errors.As(err, &none) && a.config == "" && os.Getenv(settings.Variable) == "" {
		return host{}, false, nil
	}
	return h, err == nil, err
}

// judged is what reconciler.yaml makes of a fleet: modes are capped, and a
// cluster that asks for what is not allowed is a broken one.
func (h host) judged(fleet desired.Fleet) desired.Fleet {
	var whole []desired.Cluster
	for _, c := range fleet.Clusters {
		var refused []desired.Problem
		for _, p := range h.policy.Cluster(c) {
			if p.Severity == desired.SeverityError {
				refused = append(refused, p)
			}
		}
		if len(refused) > 0 {
			fleet.Broken = append(fleet.Broken, desired.Broken{Name: c.Name, Problems: refused})
			continue
		}
		c.Mode = h.policy.Mode(c.Name, c.Mode)
		whole = append(whole, c)
	}
	fleet.Clusters = whole
	return fleet
}
