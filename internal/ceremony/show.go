package ceremony

import (
	"context"
	"fmt"
	"strings"
)

// Holding is what one key store holds of one cluster: names, and no content.
type Holding struct {
	Store   string   `json:"store"`
	Cluster string   `json:"cluster,omitempty"`
	Names   []string `json:"names,omitempty"`
	Error   string   `json:"error,omitempty"` // the store could not be listed
}

// Show lists all key stores, cluster by cluster, in the order of the settings.
// A store that holds nothing has one line without a cluster.
func (c *Ceremony) Show(ctx context.Context) []Holding {
	var out []Holding
	for _, s := range c.stores {
		names, err := s.List(ctx, "")
		if err != nil {
			out = append(out, Holding{Store: s.Name(), Error: fmt.Sprint(err)})
			continue
		}
		out = append(out, holdings(s.Name(), names)...)
	}
	return out
}

// holdings groups sorted names by cluster.
func holdings(store string, names []string) []Holding {
	var out []Holding
	for _, name := range names {
		cluster, file, ok := strings.Cut(name, "/")
		if !ok {
			continue // a test object that a crash left, or a stranger's file
		}
		if n := len(out); n == 0 || out[n-1].Cluster != cluster {
			out = append(out, Holding{Store: store, Cluster: cluster})
		}
		last := &out[len(out)-1]
		last.Names = append(last.Names, file)
	}
	if out == nil {
		out = []Holding{{Store: store}}
	}
	return out
}
