package desired

import (
	"path"
	"strings"
)

// What a listener serves must be on the node, and Vault must be able to read
// it: else the next start fails.

// unreadableTLS looks at owner, group and mode of what a listener serves. A
// supplementary group may still open it, so this only warns.
func unreadableTLS(b *builder) []finding {
	var found []finding
	service := b.draft.cluster.Service
	for _, n := range b.nodes {
		for _, item := range n.spec.list("files") {
			mode, served := item.str("mode"), false
			for _, l := range n.listeners {
				served = served || l.Options["tls_cert_file"] == item.str("path") || l.Options["tls_key_file"] == item.str("path")
			}
			if !served || len(mode) != 4 {
				continue
			}
			reads := item.str("owner") == service.User && mode[1] >= '4' ||
				item.str("group") == service.Group && mode[2] >= '4' || mode[3] >= '4'
			if !reads {
				found = append(found, finding{item.place, "user " + service.User + " cannot read " + item.str("path"), "write group: " + service.Group + " and mode: \"0640\""})
			}
		}
	}
	return found
}

// unplacedTLS finds what a listener serves from a folder that files fill, and
// no item puts there. From another folder it is somebody else's.
func unplacedTLS(b *builder) []finding {
	var found []finding
	nodes := map[finding][]string{}
	for _, n := range b.nodes {
		placed, folders := map[string]bool{}, map[string]bool{}
		for _, item := range n.spec.list("files") {
			placed[item.str("path")], folders[path.Dir(item.str("path"))] = true, true
		}
		for _, item := range n.spec.list("listener") {
			_, options := item.only()
			for _, key := range []string{"tls_cert_file", "tls_key_file"} {
				at := options.str(key)
				if at == "" || placed[at] || !folders[path.Dir(at)] {
					continue
				}
				f := finding{b.placeOf(options, key), "`" + key + "` is " + at + ", and no item of files puts it on node ", "add it to files, or correct the path"}
				if nodes[f] == nil {
					found = append(found, f)
				}
				nodes[f] = append(nodes[f], n.Name)
			}
		}
	}
	for i, f := range found {
		found[i].text += strings.Join(nodes[f], ", ")
	}
	return found
}
