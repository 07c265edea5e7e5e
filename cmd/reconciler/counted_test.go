package main

import (
	"slices"
	"testing"

	"github.com/vaultfleet/reconciler/internal/settings"
)

// A fleet's title is a label: it holds no host, and is that of no other fleet.
func TestAFleetHasATitleWithoutItsHost(t *testing.T) {
	served := settings.Host{Scheme: "ssh", Name: "git.internal", User: "git", Path: "/acme/platform.git"}
	got := titles([]settings.Fleet{
		{Repo: "/srv/fleet", Path: ".", Branch: "main"},
		{Repo: "ssh://git@git.internal/acme/platform.git", Host: served, Path: "vault/production", Branch: "main"},
		{Repo: "ssh://git@git.internal/acme/platform.git", Host: served, Path: "vault/production", Branch: "next"},
		{Repo: "ssh://git@git.internal/acme/platform.git", Host: served, Path: "vault/production", Branch: "main", Clusters: []string{"lab"}},
	})
	want := []string{"fleet@main", "platform/vault/production@main", "platform/vault/production@next", "platform/vault/production@main (2)"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
