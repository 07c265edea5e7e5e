// Package durable writes files so that a power cut leaves the old content or
// the new one, never something between.
//
// It knows fsync and rename, on files and on folders. It must not know what is
// in the files.
//
//	err := durable.WriteFile("/var/lib/reconciler/installation", id, 0o600)
package durable
