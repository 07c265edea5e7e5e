package desired

import "strings"

// Whoever reads that a node differs wants to know which line wants it otherwise. A
// cluster keeps the place of each value that somebody wrote, by a path: keys with
// dots between them, items by their identity ("files[/etc/vault.d/tls/vault.crt].mode",
// "nodes[eu-1].address").

// placed collects places by path.
type placed map[string]Place

func (p placed) add(path string, v *value) {
	if !v.builtIn() && path != "" {
		p[path] = v.place
	}
	for _, f := range v.fields {
		p.add(strings.TrimPrefix(path+"."+f.name, "."), f.value)
	}
	for _, item := range v.items {
		if id := identityOf(item); id != "" {
			p.add(path+"["+id+"]", item)
		}
	}
}

// identityOf is what tells an item of a list from the others; "" where only its
// place in the list does.
func identityOf(item *value) string {
	for _, key := range []string{"name", "path"} {
		if id := item.str(key); id != "" {
			return id
		}
	}
	if kind, options := item.only(); kind == "tcp" {
		return options.str("address")
	}
	return ""
}

// PlaceOf is where what a path of a node wants was written, or the value that it is a
// part of. The zero Place: nobody wrote it.
func (c Cluster) PlaceOf(node, path string) Place {
	for ; path != ""; path = parent(path) {
		for _, p := range []string{"nodes[" + node + "]." + path, path} {
			if place, ok := c.places[p]; ok {
				return place
			}
		}
	}
	return c.places["nodes["+node+"]"]
}

// parent is the path of what holds a value; "" for what stands at the top. An
// identity may hold dots and brackets of its own.
func parent(path string) string {
	if strings.HasSuffix(path, "]") {
		return path[:max(strings.LastIndexByte(path, '['), 0)]
	}
	return path[:max(strings.LastIndexByte(path, '.'), 0)]
}
