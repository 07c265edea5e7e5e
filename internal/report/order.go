package report

import (
	"fmt"
	"strings"

	"github.com/vaultfleet/reconciler/pkg/diff"
)

// stage is one or more waves in a row that people read as one line: a node
// that is restarted and then unsealed is one stage.
type stage struct {
	first, last int // numbers of its waves, from 1
	words       string
}

// order puts the waves into lines.
func order(c Cluster) []stage {
	var out []stage
	lone, leader := "", c.leader()
	for i, w := range c.Plan.Waves {
		node, n := "", i+1
		if len(w) == 1 {
			node = w[0].Node
		}
		switch {
		case node != "" && node == lone:
			out[len(out)-1].last = n
			out[len(out)-1].words += ", " + string(w[0].Action)
		case node != "":
			out = append(out, stage{n, n, called(node, leader, w[0]) + ": " + string(w[0].Action)})
		default:
			out = append(out, stage{n, n, together(w, c.size())})
		}
		lone = node
	}
	return out
}

// called marks the leader where it is taken down.
func called(node, leader string, s diff.Step) string {
	if node == leader && classOf(s.Effect, s.Action) == classRestart {
		return node + " (leader, last)"
	}
	return node
}

// together is a wave of several steps, by action.
func together(w diff.Wave, size int) string {
	var actions []diff.Action
	nodes := map[diff.Action][]string{}
	for _, s := range w {
		if nodes[s.Action] == nil {
			actions = append(actions, s.Action)
		}
		nodes[s.Action] = append(nodes[s.Action], s.Node)
	}
	var parts []string
	for _, a := range actions {
		parts = append(parts, names(nodes[a], size)+": "+string(a))
	}
	return strings.Join(parts, "; ")
}

func (s stage) number() string {
	if s.first == s.last {
		return fmt.Sprint(s.first)
	}
	return fmt.Sprintf("%d-%d", s.first, s.last)
}
