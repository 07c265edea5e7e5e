package settings

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

// Defaults of what may be left out.
const (
	defaultState    = "/var/lib/reconciler"
	defaultBranch   = "main"
	defaultInterval = time.Minute
)

// Load reads reconciler.yaml. With any problem the settings must not be used;
// all problems of the file, and of the modes of the files that it names, come
// at once, sorted by place.
func Load(path string) (Settings, []desired.Problem) {
	path, err := filepath.Abs(path)
	r := &reader{file: path}
	if err == nil {
		err = r.open(path)
	}
	if err != nil {
		r.problem(desired.Place{File: path}, "", fmt.Sprintf("read settings: %v", err))
		return Settings{}, r.problems
	}
	data, err := read(path)
	if err != nil {
		r.problem(desired.Place{File: path}, "", fmt.Sprintf("read settings: %v", err))
		return Settings{}, r.problems
	}
	s := Settings{File: path, State: defaultState}
	if root := r.parse(data); root != nil {
		r.settings(root, &s)
	}
	return s, r.sorted()
}

// read takes at most one byte more than is allowed, so that a huge file is
// refused and not loaded.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxBytes+1))
}

func (r *reader) settings(root *yaml.Node, s *Settings) {
	var notify *yaml.Node // whether there is a forge is known once all of it was read
	r.fields(root, "",
		key{"fleets", func(n *yaml.Node) { r.fleets(n, s) }},
		key{"trust", func(n *yaml.Node) { r.trust(n, &s.Trust) }},
		key{"ssh", func(n *yaml.Node) {
			r.fields(n, "ssh", key{"key", func(n *yaml.Node) {
				if r.path(n, "ssh.key", &s.SSH.Key) {
					r.private(n, s.SSH.Key)
				}
			}})
		}},
		key{"identities", func(n *yaml.Node) {
			r.items(n, "identities", func(n *yaml.Node) {
				var path string
				if r.path(n, "an item of identities", &path) {
					r.private(n, path)
					s.Identities = append(s.Identities, path)
				}
			})
		}},
		key{"holders", func(n *yaml.Node) { r.holders(n, s) }},
		key{"secrets", func(n *yaml.Node) { r.secrets(n, s) }},
		key{"state", func(n *yaml.Node) { r.path(n, "state", &s.State) }},
		key{"key_stores", func(n *yaml.Node) { r.paths(n, "key_stores", &s.KeyStores) }},
		key{"releases", func(n *yaml.Node) {
			r.fields(n, "releases", key{"keys", func(n *yaml.Node) { r.guardedPaths(n, "releases.keys", &s.Releases.Keys) }})
		}},
		key{"webhook", func(n *yaml.Node) { r.webhook(n, &s.Webhook) }},
		key{"forge", func(n *yaml.Node) {
			r.at(n, "write it below the fleet, as fleets: [{repo: …, forge: {…}}]", "a forge is of a fleet")
		}},
		key{"http", func(n *yaml.Node) { r.http(n, &s.HTTP) }},
		key{"notify", func(n *yaml.Node) { notify = n }},
	)
	if notify != nil {
		r.notify(notify, s)
	}
}
