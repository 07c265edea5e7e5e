//go:build linux

package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/vaultfleet/reconciler/internal/person"
)

// A Client is an application of the cluster: every 50 ms it writes and reads
// one key, through each node in turn, and goes on to the next where one fails.
// What Vault acknowledged must stay: a read that shows less is a lost write,
// and fails the test.
//
// Each write is a new version of the key and names the version that it follows,
// so that one whose answer was lost can land late, or never, and not in between.
type Client struct {
	api       person.API
	addresses []string
	stop      context.CancelFunc
	done      chan struct{} // closed when it has stopped

	mu      sync.Mutex
	version int            // the newest that Vault acknowledged or showed
	shown   map[string]int // the newest that each address showed
	lost    []string
	why     string // the latest attempt that failed
	figures Figures
	last    time.Time // when Vault last acknowledged anything
}

// Figures are what a [Client] saw over some time.
type Figures struct {
	Writes, Reads int           // that Vault acknowledged
	Failed        int           // attempts through one address
	Longest       time.Duration // between two that Vault acknowledged
}

func (f Figures) String() string {
	return fmt.Sprintf("%d writes and %d reads, %d attempts failed, longest gap %.2f s", f.Writes, f.Reads, f.Failed, f.Longest.Seconds())
}

// key is where a [Client] writes, in a KV store of version 2.
const key = "kv/data/client"

// NewClient starts a client with a token that may write and read its key. It
// ends with the rig, and no write that it saw acknowledged may be lost by then.
func (r *Rig) NewClient(token string) *Client {
	ctx, stop := context.WithCancel(context.Background())
	c := &Client{api: r.api(token), stop: stop, done: make(chan struct{}), shown: map[string]int{}, last: time.Now()}
	for _, n := range r.Nodes {
		c.addresses = append(c.addresses, n.Address)
	}
	go c.run(ctx)
	r.t.Cleanup(func() {
		c.Stop()
		if len(c.lost) > 0 {
			r.t.Errorf("writes were lost: %q", c.lost)
		}
	})
	return c
}

// Stop ends the client.
func (c *Client) Stop() {
	c.stop()
	<-c.done
}

func (c *Client) run(ctx context.Context) {
	defer close(c.done)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for turn := 0; ; turn++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c.through(ctx, turn, c.write)
		c.through(ctx, turn+1, c.read)
	}
}

// through has something done through one address, or the next, or the last.
func (c *Client) through(ctx context.Context, turn int, do func(ctx context.Context, address string) error) {
	for i := range c.addresses {
		err := do(ctx, c.addresses[(turn+i)%len(c.addresses)])
		if err == nil || ctx.Err() != nil {
			return
		}
		c.mu.Lock()
		c.figures.Failed, c.why = c.figures.Failed+1, err.Error()
		c.mu.Unlock()
	}
}

func (c *Client) write(ctx context.Context, address string) error {
	c.mu.Lock()
	follows := c.version
	c.mu.Unlock()
	next := map[string]any{"options": map[string]int{"cas": follows}, "data": map[string]int{"version": follows + 1}}
	var answer struct{ Data struct{ Version int } }
	if err := c.api.Ask(ctx, http.MethodPut, address, key, next, &answer); err != nil {
		return err // also that an earlier one has landed after all: the next read shows it
	}
	c.acknowledged(address, answer.Data.Version, true)
	return nil
}

func (c *Client) read(ctx context.Context, address string) error {
	var answer struct {
		Data struct{ Data, Metadata struct{ Version int } }
	}
	if err := c.api.Ask(ctx, http.MethodGet, address, key, nil, &answer); err != nil {
		return err
	}
	if data := answer.Data; data.Data != data.Metadata {
		return fmt.Errorf("version %d of the key holds %d", data.Metadata.Version, data.Data.Version)
	}
	c.acknowledged(address, answer.Data.Data.Version, false)
	return nil
}

// acknowledged notes what Vault answered through an address.
func (c *Client) acknowledged(address string, version int, written bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.figures.Longest = max(c.figures.Longest, now.Sub(c.last))
	c.last = now
	if version < c.version {
		c.lost = append(c.lost, fmt.Sprintf("%s shows version %d, and %d was acknowledged", address, version, c.version))
	}
	c.version = max(c.version, version)
	if written {
		c.figures.Writes++
		return
	}
	c.figures.Reads++
	c.shown[address] = version
}

// Lap is what the client saw since the last lap.
func (c *Client) Lap() Figures {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.figures
	f.Longest = max(f.Longest, time.Since(c.last))
	c.figures = Figures{}
	return f
}

// Shows returns once each of these addresses, by default all, showed all that
// was acknowledged when it was called, and more was since. It says what was lost.
func (c *Client) Shows(addresses ...string) error {
	if len(addresses) == 0 {
		addresses = c.addresses
	}
	c.mu.Lock()
	acknowledged := c.version
	c.mu.Unlock()
	err := Until(fmt.Sprintf("version %d of the key through %v", acknowledged+1, addresses), time.Minute, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return !slices.ContainsFunc(addresses, func(a string) bool { return c.shown[a] <= acknowledged })
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case len(c.lost) > 0:
		return fmt.Errorf("writes were lost: %q", c.lost)
	case err != nil:
		return fmt.Errorf("%w; last: %s", err, c.why)
	}
	return nil
}

// api speaks to Vault on the nodes as somebody on the switch, with certificates
// of the rig's CA and no others.
func (r *Rig) api(token string) person.API {
	return person.API{Token: token, Client: &http.Client{
		// What is asked costs milliseconds; a node that lost its power never answers.
		Timeout: 2 * time.Second,
		Transport: &http.Transport{
			DialContext:     r.Dial,
			TLSClientConfig: &tls.Config{RootCAs: r.CA.Pool},
		},
	}}
}
