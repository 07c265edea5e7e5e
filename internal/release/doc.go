// Package release turns a version of Vault into a binary whose sha256 is the
// one in the fleet repo's lock.
//
// The lock was written after a release's signature was checked; here the
// sha256 decides, so an install works with an expired key, from a mirror, and
// years later. A binary that checked out is kept in the state folder under its
// sha256, and checked again whenever it is opened.
//
// It knows the layout of releases.hashicorp.com and zip archives, which it
// treats as hostile until their sha256 matched, and after. It must not know
// clusters or nodes.
//
//	cache := release.Cache{Folder: "/var/lib/reconciler/cache", Sources: []string{"/srv/releases"}}
//	vault, err := cache.Binary(ctx, "file:///srv/releases", "1.21.0", "linux_amd64", artefact)
//	defer vault.Close()
package release
