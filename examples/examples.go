// Package examples holds the example fleet repo for programs that start from it.
package examples

import (
	"embed"
	"io/fs"
)

//go:embed fleet-repo
var files embed.FS

// FleetRepo is examples/fleet-repo as it lies in the source.
func FleetRepo() fs.FS {
	repo, err := fs.Sub(files, "fleet-repo")
	if err != nil {
		panic(err) // only for a path that is none
	}
	return repo
}
