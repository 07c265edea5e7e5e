package accept

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// only proves an edit: with it every cluster can be read that could be before, and the
// fleet wants what it wanted, but for the value that drifted on the nodes that have it.
func only(before, after desired.Fleet, c desired.Cluster, w *writing) error {
	for _, b := range after.Broken {
		if !slices.ContainsFunc(before.Broken, func(was desired.Broken) bool { return was.Name == b.Name }) {
			return refuse("put it back on the nodes, or change the spec by hand", "the spec could not be in force with it: %s", firstError(b.Problems))
		}
	}
	if len(after.Clusters) != len(before.Clusters) {
		return refuse("change the spec by hand", "it would take a cluster out of the fleet")
	}
	for _, was := range before.Clusters {
		is, _ := after.Cluster(was.Name)
		if was.Name != c.Name && is.Digest != was.Digest {
			return refuse("change the spec by hand", "it would change %s as well", was.Name)
		}
	}
	is, _ := after.Cluster(c.Name)
	wanted, err := with(c, is, w.row)
	if err != nil {
		return err
	}
	if other := differs(wanted, is); other != "" {
		return refuse("change the spec by hand", "it would not be the only change: %s", other)
	}
	return nil
}

func firstError(problems []desired.Problem) string {
	for _, p := range problems {
		if p.Severity == desired.SeverityError {
			return p.Error()
		}
	}
	return "it cannot be read"
}

// with is a cluster that wants what drifted, and all else as before. What follows from
// the value by itself is taken as it comes: the digest of the file that it stands in,
// and what the lock has of a version.
func with(c, after desired.Cluster, row diff.Drift) (desired.Cluster, error) {
	c.Digest = after.Digest
	if row.Path == "vault" {
		c.Vault.Version, c.Artefacts = row.Have, after.Artefacts
		return c, nil
	}
	c.Nodes = slices.Clone(c.Nodes)
	for i := range c.Nodes {
		if !slices.Contains(row.Nodes, c.Nodes[i].Name) {
			continue
		}
		is, _ := after.Node(c.Nodes[i].Name)
		if err := onNode(&c.Nodes[i], is, row); err != nil {
			return c, err
		}
	}
	return c, nil
}

func onNode(n *desired.Node, after desired.Node, row diff.Drift) error {
	n.Puts = slices.Clone(n.Puts)
	if file, owner, ok := row.FileRight(); ok {
		i := slices.IndexFunc(n.Puts, func(p desired.Put) bool { return p.Path == file })
		switch {
		case i < 0:
			return refuse("change the spec by hand", "the spec has no file %s on %s", file, n.Name)
		case owner:
			n.Puts[i].Owner, n.Puts[i].Group, _ = strings.Cut(row.Have, ":")
		default:
			n.Puts[i].Mode = row.Have
		}
		return nil
	}
	key, have, _ := row.ConfigKey()
	if after.Config[key] != have && strings.Contains(have, "{") {
		return refuse("change the spec by hand", "in a spec {…} is a placeholder, and it would come out as %s", after.Config[key])
	}
	n.Config = maps.Clone(n.Config)
	if n.Config[key] = have; have == "" {
		delete(n.Config, key)
	}
	for i, p := range n.Puts {
		if p.Role == desired.RoleConfig && i < len(after.Puts) {
			n.Puts[i].Digest = after.Puts[i].Digest
		}
	}
	address := map[string]*string{"api_addr": &n.APIAddr, "cluster_addr": &n.ClusterAddr}[key]
	if address != nil && json.Unmarshal([]byte(have), address) != nil {
		return refuse("put it back on the node", "what is there is no address")
	}
	return nil
}

// differs says what of a cluster is another; "" when nothing is.
func differs(want, is desired.Cluster) string {
	if len(want.Nodes) != len(is.Nodes) {
		return "the nodes are others"
	}
	for i, w := range want.Nodes {
		n := is.Nodes[i]
		_, keys := desired.ChangeOf(w.Config, n.Config, want.Vault.Version)
		switch {
		case len(keys) > 0:
			return "vault.hcl of " + w.Name + " would have another " + strings.Join(keys, ", ")
		case !reflect.DeepEqual(w.Puts, n.Puts):
			return "files of " + w.Name + " would be others"
		case !reflect.DeepEqual(w, n):
			return w.Name + " itself would be another"
		}
	}
	if !bytes.Equal(plain(want), plain(is)) || want.Drift != is.Drift || !reflect.DeepEqual(want.Rollout.Calendar, is.Rollout.Calendar) {
		return "the cluster itself would be another"
	}
	return ""
}

// plain is all that a cluster says, whatever line it stands on.
func plain(c desired.Cluster) []byte {
	c.Unbuilt = slices.Clone(c.Unbuilt)
	for i := range c.Unbuilt {
		c.Unbuilt[i].Place = desired.Place{}
	}
	text, err := json.Marshal(c)
	if err != nil {
		panic("accept: a cluster is plain data: " + err.Error())
	}
	return text
}
