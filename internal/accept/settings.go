package accept

import (
	"encoding/json"
	"strings"

	"github.com/vaultfleet/reconciler/internal/specedit"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// setting is one key of a spec and what it is to be.
type setting struct {
	at     specedit.Path
	value  *specedit.Value // nil: it is not to be there
	onNode bool            // it may stand on a node (the table of keys in docs/spec.md)
}

// settingsOf are the keys that make a spec want what drifted.
func settingsOf(fleet desired.Fleet, c desired.Cluster, row diff.Drift) ([]setting, error) {
	if file, owner, ok := row.FileRight(); ok {
		return fileSettings(c, row, file, owner), nil
	}
	if row.Path == "vault" {
		if len(fleet.Lock[row.Have]) == 0 {
			return nil, refuse("let a person commit both: reconciler lock "+row.Have+", and vault.version", "vault.lock has no entry of %s", row.Have)
		}
		v := specedit.Text(row.Have)
		return []setting{{at: specedit.Path{}.Key("vault").Key("version"), value: &v}}, nil
	}
	key, have, _ := row.ConfigKey()
	if isVerbatim(c) {
		return nil, refuse("commit the change to that file", "vault.hcl of %s is the operator's own file, and no keys of the spec", c.Name)
	}
	s, err := configSetting(c, row, key)
	if err != nil || have == "" {
		return []setting{s}, err
	}
	v, err := value(have)
	s.value = &v
	return []setting{s}, err
}

// fileSettings are the owner and the group, or the mode, of an item of files.
func fileSettings(c desired.Cluster, row diff.Drift, file string, owner bool) []setting {
	item := specedit.Path{}.Key("files").Item(file, "path")
	set := func(key, text string) setting {
		v := specedit.Text(text)
		return setting{item.Key(key), &v, true}
	}
	if !owner {
		return []setting{set("mode", row.Have)}
	}
	has, group, _ := strings.Cut(row.Have, ":")
	var all []setting
	if anyPut(c, row.Nodes, file, func(p desired.Put) bool { return p.Owner != has }) {
		all = append(all, set("owner", has))
	}
	if anyPut(c, row.Nodes, file, func(p desired.Put) bool { return p.Group != group }) {
		all = append(all, set("group", group))
	}
	return all
}

func anyPut(c desired.Cluster, nodes []string, file string, is func(desired.Put) bool) bool {
	for _, name := range nodes {
		n, _ := c.Node(name)
		for _, p := range n.Puts {
			if p.Path == file && is(p) {
				return true
			}
		}
	}
	return false
}

// isVerbatim says that vault.hcl is taken from the repo as it is.
func isVerbatim(c desired.Cluster) bool { return c.PlaceOf("", "config_file").Line > 0 }

// configSetting is where a key of vault.hcl stands in a spec.
func configSetting(c desired.Cluster, row diff.Drift, key string) (setting, error) {
	by := refuse("change the spec by hand", "%s is no single key of the spec", row.Path)
	at, onNode := specedit.Path{}, true
	rest := key
	switch first, below, _ := strings.Cut(key, "."); {
	case first == "storage" || first == "seal":
		onNode = false
	case first == "listener":
		kind, _, _ := strings.Cut(below, "[")
		head, below, ok := strings.Cut(below, "].")
		if !ok {
			return setting{}, by
		}
		address, err := addressOf(c, row.Nodes, "listener."+head+"].address")
		if err != nil {
			return setting{}, err
		}
		at, rest = at.Key("listener").Item(address, kind, "address").Key(kind), below
	case key == "api_addr" || key == "cluster_addr":
	default:
		at = at.Key("config")
	}
	for name := range strings.SplitSeq(rest, ".") {
		if name == "" || strings.ContainsAny(name, `["]`) {
			return setting{}, by
		}
		at = at.Key(name)
	}
	return setting{at: at, onNode: onNode}, nil
}

// addressOf is the address of a listener, which it is known by from layer to layer.
func addressOf(c desired.Cluster, nodes []string, key string) (string, error) {
	var address string
	for _, name := range nodes {
		n, _ := c.Node(name)
		var here string
		if json.Unmarshal([]byte(n.Config[key]), &here) != nil || address != "" && here != address {
			return "", refuse("change the spec by hand", "the listener is not the same on %s", strings.Join(nodes, " "))
		}
		address = here
	}
	return address, nil
}
