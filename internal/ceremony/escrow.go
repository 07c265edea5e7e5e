package ceremony

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/vaultfleet/reconciler/internal/secret"
)

// What is kept in the key stores is written to all of them and read back, and
// is never written over another content: a store that holds something else
// belongs to another birth, and its keys may be the only ones there are.

// errForeign says that a store holds another content than is to be kept there.
var errForeign = errors.New("something else lies there already")

// read opens one record in one store. [fs.ErrNotExist]: the store works and
// has none.
func (c *Ceremony) read(ctx context.Context, s Store, cluster, kind string) (record, error) {
	name := place(cluster, kind)
	sealed, err := s.Get(ctx, name)
	if err != nil {
		return record{}, err
	}
	text, err := decrypt(sealed, c.identities...)
	if err != nil {
		return record{}, fmt.Errorf("key store %s: %s: %w", s.Name(), name, err)
	}
	defer clear(text)
	r, err := decode(text, cluster, kind)
	if err != nil {
		return r, fmt.Errorf("key store %s: %s: %w", s.Name(), name, err)
	}
	return r, nil
}

// write puts one record into one store, whatever lies there, and reads it back.
func (c *Ceremony) write(ctx context.Context, s Store, r record) error {
	text, err := r.encode()
	if err != nil {
		return err
	}
	sealed, err := secret.Encrypt(c.own, secret.Of(text))
	if err != nil {
		return err
	}
	name := place(r.Cluster, r.Kind)
	if err := s.Put(ctx, name, sealed); err != nil {
		return err
	}
	back, err := c.read(ctx, s, r.Cluster, r.Kind)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if same, err := back.encode(); err != nil || !bytes.Equal(same, text) {
		return fmt.Errorf("key store %s: %s reads back as something else than was written", s.Name(), name)
	}
	return nil
}

// keep has every store hold a record, and none another one in its place. It
// goes on to the other stores when one fails: the more of them hold it, the
// better.
func (c *Ceremony) keep(ctx context.Context, r record) error {
	text, err := r.encode()
	if err != nil {
		return err
	}
	var failed []error
	for _, s := range c.stores {
		old, err := c.read(ctx, s, r.Cluster, r.Kind)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = c.write(ctx, s, r)
		case err == nil:
			if there, e := old.encode(); e != nil || !bytes.Equal(there, text) {
				err = fmt.Errorf("key store %s: %s: %w; move it away once it is known whose it is", s.Name(), place(r.Cluster, r.Kind), errForeign)
			}
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// replace writes a record into every store, over an older one of its kind. Only
// for what Vault can give again.
func (c *Ceremony) replace(ctx context.Context, r record) error {
	var failed []error
	for _, s := range c.stores {
		if err := c.write(ctx, s, r); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// first opens a record in the first store that has it.
func (c *Ceremony) first(ctx context.Context, cluster, kind string, body any) (record, error) {
	var failed []error
	for _, s := range c.stores {
		r, err := c.read(ctx, s, cluster, kind)
		if err == nil {
			if err = json.Unmarshal(r.Body, body); err == nil {
				return r, nil
			}
			err = fmt.Errorf("key store %s: %s is not readable", s.Name(), place(cluster, kind))
		}
		failed = append(failed, err)
	}
	if len(failed) == 0 {
		return record{}, errors.New("no key store is configured; key_stores in reconciler.yaml names them")
	}
	return record{}, errors.Join(failed...)
}

// missing says that every store that was asked works and does not have it.
func missing(err error) bool {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return errors.Is(err, fs.ErrNotExist)
	}
	for _, e := range joined.Unwrap() {
		if !errors.Is(e, fs.ErrNotExist) {
			return false
		}
	}
	return true
}

// vacant is an error unless every store works and holds nothing of a cluster
// but, perhaps, a transport key: that one is written before anything is asked
// for.
func (c *Ceremony) vacant(ctx context.Context, cluster string) error {
	for _, s := range c.stores {
		if err := s.Check(ctx); err != nil {
			return fmt.Errorf("a key store does not take and give back: %w", err)
		}
		names, err := s.List(ctx, cluster)
		if err != nil {
			return err
		}
		for _, name := range names {
			base := strings.TrimPrefix(strings.TrimPrefix(name, cluster+"/"), ".") // a dot: what a broken write left
			if !strings.HasPrefix(base, kindTransport+".age") {
				return fmt.Errorf("key store %s holds %s, so this cluster was born before; if those keys are of no value, a person moves the folder %s away", s.Name(), name, cluster)
			}
		}
	}
	return nil
}
