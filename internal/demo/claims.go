package demo

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

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

// inSync asks for a plan and expects it to be empty.
func (s *story) inSync(ctx context.Context) error {
	if code := s.Command(ctx, []string{"--config", s.Config, "plan", "--detailed-exitcode"}, io.Discard, io.Discard); code != 0 {
		return fmt.Errorf("reconciler plan --detailed-exitcode exits %d", code)
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
			var is struct{ Version string }
			if err := s.ask.Ask(ctx, http.MethodGet, n.Address, "sys/seal-status", nil, &is); err != nil {
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
		order, err := s.order()
		if err != nil {
			return err
		}
		if last := order[len(order)-1]; last != s.seen.led {
			return fmt.Errorf("%s led, and the order was %v", s.seen.led, order)
		}
		return nil
	}
}

// order is the nodes by when their Vault was started.
func (s *story) order() ([]string, error) {
	at := map[string]int64{}
	for _, n := range s.Fleet.Nodes {
		var err error
		if at[n.Name], err = strconv.ParseInt(n.Systemctl("show", "vault", "-P", "ExecMainStartTimestampMonotonic"), 10, 64); err != nil {
			return nil, err
		}
	}
	return slices.SortedFunc(maps.Keys(at), func(a, b string) int { return cmp.Compare(at[a], at[b]) }), nil
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
