// Package desired is what the fleet repo says: clusters, their nodes, and the
// exact bytes that belong on each of them.
//
// It knows the format of the repo (design §4), the production rules (§5) and
// how Vault reads its own configuration. It must not know the time, the
// network, the file system or anything about real nodes: [Load] is a pure
// function of an [io/fs.FS], so a commit means the same thing on every machine
// and on every day.
//
// A broken cluster is not an absent one: it comes back among Fleet.Broken with
// all of its problems, and whoever kept its last good spec goes on with that.
//
//	fleet := desired.Load(os.DirFS("examples/fleet-repo"), desired.Options{})
//	for _, cluster := range fleet.Clusters {
//		for _, node := range cluster.Nodes {
//			fmt.Println(cluster.Name, node.Name, len(node.Puts))
//		}
//	}
package desired
