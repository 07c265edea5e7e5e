// Package release turns a version of Vault into a binary whose sha256 is the
// one in the fleet repo's lock.
//
// A [Checker] checks a release's signature, once, before it is locked. From then
// on the sha256 decides, so a [Cache] installs with an expired key, from any
// mirror, and years later. A binary that checked out is kept in the state folder
// under its sha256, and checked again whenever it is opened.
//
// It knows the layout of releases.hashicorp.com, OpenPGP signatures, https, and
// zip archives, which it treats as hostile until their sha256 matched, and after.
// It must not know clusters or nodes, nor how a lock is written.
//
//	cache := release.Cache{Folder: "/var/lib/reconciler/cache", Sources: []string{"/srv/releases"}}
//	vault, err := cache.Binary(ctx, "file:///srv/releases", "1.21.0", "linux_amd64", artefact)
//	defer vault.Close()
package release
