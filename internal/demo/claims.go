package demo

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vaultfleet/reconciler/internal/embed"
)

// client asks the nodes' Vaults, with the CA of the stage and no other.
func (s *Stage) client() *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.ca.Pool}}}
}

// Node is a node by its name, or nil.
func (s *Stage) Node(name string) *embed.Node {
	for _, n := range s.Fleet.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// processes are those of Vault, as systemd tells.
func (s *Stage) processes() map[string]string {
	out := map[string]string{}
	for _, n := range s.Fleet.Nodes {
		out[n.Name] = n.Systemctl("show", "vault", "-P", "InvocationID")
	}
	return out
}

// remember notes how things stand before an act.
func (s *story) remember(context.Context) error {
	s.before, s.seen = s.processes(), watched{}
	return nil
}

// inSync asks for a plan and expects it to be empty, and to know every node.
func (s *story) inSync(ctx context.Context) error {
	_, err := s.quietly(ctx, "plan --detailed-exitcode --fail-on unobserved")
	return err
}

// quietly runs a command of the product beside the story, and is what it said.
func (s *story) quietly(ctx context.Context, line string) (string, error) {
	var out bytes.Buffer
	if code := s.Command(ctx, append([]string{"--config", s.Config}, fields(line)...), &out, &out); code != 0 {
		return "", fmt.Errorf("reconciler %s exits %d", line, code)
	}
	return out.String(), nil
}

// idle expects that no node runs Vault.
func (s *story) idle(context.Context) error {
	for _, n := range s.Fleet.Nodes {
		if pid := n.Systemctl("show", "vault", "-P", "MainPID"); pid != "0" {
			return fmt.Errorf("on %s it is process %s", n.Name, pid)
		}
	}
	return nil
}

// birthAllowed is what why says of a birth while it is allowed.
const birthAllowed = "init for the cluster by"

// usedUp expects that no birth is allowed any more.
func (s *story) usedUp(ctx context.Context) error {
	said, err := s.quietly(ctx, "why "+Cluster)
	if err == nil && strings.Contains(said, birthAllowed) {
		err = errors.New("the leave still stands")
	}
	return err
}

// self is what a Vault says of itself.
type self struct {
	Version string
	Cluster string `json:"cluster_id"`
}

func (s *story) self(ctx context.Context, n *embed.Node) (is self, err error) {
	err = s.ask.Ask(ctx, http.MethodGet, n.Address, "sys/seal-status", nil, &is)
	return is, err
}

// one expects all nodes to be of one cluster.
func (s *story) one(ctx context.Context) error {
	var first string
	for _, n := range s.Fleet.Nodes {
		is, err := s.self(ctx, n)
		if err != nil {
			return err
		}
		if first == "" {
			first = is.Cluster
		}
		if is.Cluster == "" || is.Cluster != first {
			return fmt.Errorf("%s is of cluster %q", n.Name, is.Cluster)
		}
	}
	return nil
}

// serves expects so many nodes to be unsealed and one of them to lead.
func (s *story) serves(want int) func(context.Context) error {
	return func(ctx context.Context) error {
		open, lead := 0, 0
		for _, n := range s.Fleet.Nodes {
			code, err := s.ask.Health(ctx, n.Address)
			if err != nil {
				return err
			}
			if code == http.StatusOK {
				lead++
			}
			if code == http.StatusOK || code == http.StatusTooManyRequests {
				open++
			}
		}
		if open != want || lead != 1 {
			return fmt.Errorf("%d are unsealed and %d lead", open, lead)
		}
		return nil
	}
}

// runs expects a version of every node.
func (s *story) runs(version string) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, n := range s.Fleet.Nodes {
			is, err := s.self(ctx, n)
			if err != nil {
				return err
			}
			if is.Version != version {
				return fmt.Errorf("%s is %s", n.Name, is.Version)
			}
		}
		return nil
	}
}

// restarted expects these nodes to run another process than before the act, and
// no others. When all do, the one that led must have been the last.
func (s *story) restarted(want []string) func(context.Context) error {
	return func(context.Context) error {
		now := s.processes()
		var got []string
		for _, name := range nodes() {
			if now[name] != s.before[name] {
				got = append(got, name)
			}
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("restarted were %v", got)
		}
		if len(want) < len(nodes()) {
			return nil
		}
		order := s.order()
		if last := order[len(order)-1]; last.Name != s.seen.led {
			return fmt.Errorf("%s led, and %s was the last", s.seen.led, last.Name)
		}
		return nil
	}
}

// order is the nodes by when their Vault was started.
func (s *story) order() []*embed.Node {
	return slices.SortedFunc(slices.Values(s.Fleet.Nodes), func(a, b *embed.Node) int { return a.Started("vault").Compare(b.Started("vault")) })
}

// placedFirst expects that a version was in its place on all nodes before any of
// them was restarted. A file's place is as old as the last change of its inode.
func (s *story) placedFirst(version string) func(context.Context) error {
	return func(context.Context) error {
		first := s.order()[0]
		for _, n := range s.Fleet.Nodes {
			var info unix.Stat_t
			if err := unix.Lstat(filepath.Join(n.Root, "opt/vault/versions", version, "vault"), &info); err != nil {
				return err
			}
			if placed := time.Unix(info.Ctim.Unix()); !placed.Before(first.Started("vault")) {
				return fmt.Errorf("on %s it came at %s, and %s was started at %s", n.Name, placed, first.Name, first.Started("vault"))
			}
		}
		return nil
	}
}

// holds expects a line in a file of a node.
func (s *story) holds(node, path, line string) func(context.Context) error {
	return func(context.Context) error {
		body, err := os.ReadFile(filepath.Join(s.Node(node).Root, path))
		if err != nil {
			return err
		}
		if !strings.Contains(string(body), line) {
			return fmt.Errorf("no %s in it", line)
		}
		return nil
	}
}

// saysSinceReload waits for a word of every Vault, after its last reload.
func (s *story) saysSinceReload(word string) func(context.Context) error {
	return func(ctx context.Context) error {
		return s.until(ctx, "a word of every Vault", func(context.Context) error {
			for _, n := range s.Fleet.Nodes {
				said := n.Journal("vault")
				at := strings.LastIndex(said, "==> Vault reload triggered")
				if at < 0 || !strings.Contains(said[at:], word) {
					return fmt.Errorf("%s does not say %s", n.Name, word)
				}
			}
			return nil
		})
	}
}

// healed waits for the fleet to be in sync: an opened node takes a moment.
func (s *story) healed(ctx context.Context) error { return s.until(ctx, "a fleet in sync", s.inSync) }

// leftSealed expects the node that was sealed to be sealed.
func (s *story) leftSealed(ctx context.Context) error {
	code, err := s.ask.Health(ctx, s.Node(s.seen.led).Address)
	if err == nil && code != http.StatusServiceUnavailable {
		err = fmt.Errorf("the status of its health is %d", code)
	}
	return err
}

func (s *story) leader(ctx context.Context) (*embed.Node, error) {
	for _, n := range s.Fleet.Nodes {
		if code, err := s.ask.Health(ctx, n.Address); err == nil && code == http.StatusOK {
			return n, nil
		}
	}
	return nil, fmt.Errorf("no node leads")
}

// until waits for something that comes by itself.
func (s *story) until(ctx context.Context, what string, holds func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		err := holds(ctx)
		if err == nil {
			return nil
		}
		if rest(ctx, 50*time.Millisecond) != nil {
			return fmt.Errorf("%s did not come within a minute: %w", what, err)
		}
	}
}
