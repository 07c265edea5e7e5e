package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/vaultfleet/reconciler/internal/report"
	"github.com/vaultfleet/reconciler/internal/review"
	"github.com/vaultfleet/reconciler/pkg/actual"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"
)

// haveFile is what --have reads: all that a plan is made of besides the spec.
// With it the plan of any situation can be seen by hand, at any time, without a
// connection.
type haveFile struct {
	Now    time.Time                `json:"now"`
	Memory map[string]diff.Memory   `json:"memory"`
	Nodes  map[string][]actual.Node `json:"nodes"`
}

// saveHave writes what was seen, for readHave. It holds no secret, as memories do
// not, and still it says much of the nodes: it is for its owner alone.
func saveHave(path string, all []looked) error {
	have := haveFile{Memory: map[string]diff.Memory{}, Nodes: map[string][]actual.Node{}}
	for _, l := range all {
		have.Now = l.now
		for _, c := range l.clusters {
			if c.Have != nil {
				have.Memory[c.Name], have.Nodes[c.Name] = c.Memory, c.Have
			}
		}
	}
	return save(path, have)
}

func readHave(path string) (haveFile, error) {
	var have haveFile
	data, err := os.ReadFile(path)
	if err != nil {
		return have, fmt.Errorf("read what the nodes are said to be: %w", err)
	}
	if err := json.Unmarshal(data, &have); err != nil {
		return have, fmt.Errorf(`read %s: %w; it is {"now": RFC 3339, "memory": {CLUSTER: …}, "nodes": {CLUSTER: […]}}`, path, err)
	}
	if have.Now.IsZero() {
		return have, fmt.Errorf(`read %s: it has no "now"; windows, waits and certificates are counted from it`, path)
	}
	return have, nil
}

// plan plans a cluster as a turn of the loop does, without the world. A node
// that the file does not tell of was not seen.
func (h haveFile) plan(want desired.Cluster, commit string) report.Cluster {
	look := review.Seen{Have: h.Nodes[want.Name], Memory: h.Memory[want.Name]}
	have := review.AsSeen(want, look, func(string) (actual.Phase, string, bool) {
		return actual.PhaseTCP, "not in the file of --have", false
	})
	c := review.Plan(want, have, look.Memory, h.Now)
	c.Plan.Commit = commit
	return c
}
