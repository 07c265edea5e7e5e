package demo

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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

// down expects that never more nodes than so many did not serve at once.
func (s *story) down(most int) func(context.Context) error {
	return func(context.Context) error {
		if s.seen.looks == 0 {
			return fmt.Errorf("nobody looked")
		}
		if s.seen.down > most {
			return fmt.Errorf("%d were", s.seen.down)
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

// editNode is somebody who edits a file on a node.
func (s *story) editNode(node, path, before, after string) step {
	return func(context.Context) error {
		s.command(fmt.Sprintf("ssh %s sed -i 's/%s/%s/' /%s", node, before, after, path))
		return s.Rewrite(node, path, before, after)
	}
}

// Rewrite changes one place of a file on a machine, as somebody with an editor does:
// the file stays whose it is.
func (s *Stage) Rewrite(node, path, before, after string) error {
	file := filepath.Join(s.Node(node).Root, path)
	body, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if n := strings.Count(string(body), before); n != 1 {
		return fmt.Errorf("%s is %d times in /%s of %s, not once", before, n, path, node)
	}
	return os.WriteFile(file, []byte(strings.Replace(string(body), before, after, 1)), 0o640)
}

// sealLeader is a person who makes a root token with their shares and seals the
// node that leads.
func (s *story) sealLeader(ctx context.Context) error {
	leader, err := s.leader(ctx)
	if err != nil {
		return err
	}
	shares, err := s.Shares()
	if err != nil {
		return err
	}
	root, err := s.ask.GenerateRoot(ctx, leader.Address, shares)
	if err != nil {
		return err
	}
	s.command("vault operator generate-root …")
	s.command(fmt.Sprintf("vault operator seal -address=https://%s:8200   # %s, the leader", leader.Address, leader.Name))
	if err := root.Ask(ctx, http.MethodPut, leader.Address, "sys/seal", nil, nil); err != nil {
		return err
	}
	s.seen.led = leader.Name
	return s.until(ctx, "another leader", s.serves(len(nodes())-1))
}

// unseal is the person who opens the node again.
func (s *story) unseal(ctx context.Context) error {
	shares, err := s.Shares()
	if err != nil {
		return err
	}
	n := s.Node(s.seen.led)
	s.command(fmt.Sprintf("vault operator unseal -address=https://%s:8200   # with a threshold of %s's shares", n.Address, Holder))
	return s.ask.Unseal(ctx, n.Address, shares)
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

// Shares are the holder's, from their bundle in the first key store.
func (s *Stage) Shares() ([]string, error) {
	sealed, err := os.ReadFile(filepath.Join(s.at("keys-1"), Cluster, "holders", Holder+".age"))
	if err != nil {
		return nil, err
	}
	plain, err := s.Holder.Decrypt(sealed)
	if err != nil {
		return nil, err
	}
	var bundle struct {
		Body struct {
			Shares []string `json:"unseal_shares"`
		}
	}
	err = json.Unmarshal(plain, &bundle)
	return bundle.Body.Shares, err
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

// watched is what was seen of the nodes during a step.
type watched struct {
	looks int
	down  int    // most nodes that did not serve at once
	led   string // the node that led when it began
}

// watching does a step and looks at the nodes meanwhile, past the product.
func (s *story) watching(do step) step {
	return func(ctx context.Context) error {
		leader, err := s.leader(ctx)
		if err != nil {
			return err
		}
		s.seen = watched{led: leader.Name}
		ended := make(chan struct{})
		var watcher sync.WaitGroup
		watcher.Go(func() {
			for {
				s.watch(ctx)
				select {
				case <-ended:
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
		err = do(ctx)
		close(ended)
		watcher.Wait()
		return err
	}
}

// watch is one look at all nodes at once.
func (s *story) watch(ctx context.Context) {
	var down atomic.Int64
	var looks sync.WaitGroup
	for _, n := range s.Fleet.Nodes {
		looks.Go(func() {
			code, err := s.ask.Health(ctx, n.Address)
			if err != nil || code != http.StatusOK && code != http.StatusTooManyRequests {
				down.Add(1)
			}
		})
	}
	looks.Wait()
	if ctx.Err() == nil {
		s.seen.looks++
		s.seen.down = max(s.seen.down, int(down.Load()))
	}
}
