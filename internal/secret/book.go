package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Definition says where a secret comes from and whose it is. Exactly one of
// File, Env, Exec and Age is given.
type Definition struct {
	Clusters string        // glob of the clusters that may use it
	File     string        // absolute path on the reconciler's host
	Env      string        // environment variable of the reconciler
	Exec     []string      // absolute path of a program, and its arguments; no shell
	Age      string        // absolute path of an age file on the reconciler's host
	Timeout  time.Duration // of Exec; 0: 10 seconds
}

const execTimeout = 10 * time.Second

// Book is all that reconciler.yaml defines under `secrets`.
type Book struct {
	definitions map[string]Definition
	keys        *Keys
}

// New checks definitions, by name, and reports all that is wrong with them.
// keys decrypt the age files among them.
func New(definitions map[string]Definition, keys *Keys) (*Book, error) {
	var errs []error
	for _, name := range sortedNames(definitions) {
		if err := definitions[name].check(); err != nil {
			errs = append(errs, fmt.Errorf("secrets.%s: %w", name, err))
		}
	}
	return &Book{definitions, keys}, errors.Join(errs...)
}

func (d Definition) check() error {
	given := 0
	for _, is := range []bool{d.File != "", d.Env != "", len(d.Exec) > 0, d.Age != ""} {
		if is {
			given++
		}
	}
	if given != 1 {
		return fmt.Errorf("%d of file, env, exec and age are given; give one", given)
	}
	if d.Clusters == "" {
		return errors.New("clusters is missing: say which clusters may use it, as a glob")
	}
	if _, err := path.Match(d.Clusters, ""); err != nil {
		return fmt.Errorf("clusters: %q is not a glob: %w", d.Clusters, err)
	}
	program := ""
	if len(d.Exec) > 0 {
		program = d.Exec[0]
	}
	for _, p := range []string{d.File, d.Age, program} {
		if p != "" && !filepath.IsAbs(p) {
			return fmt.Errorf("%q must be an absolute path", p)
		}
	}
	if d.Timeout < 0 {
		return fmt.Errorf("timeout %s is negative", d.Timeout)
	}
	return nil
}

// Reveal opens `secret:NAME` for a cluster. One newline at its end is taken
// off, as a shell's $() would. A name that is not defined for this cluster is
// an error, as is a secret that is empty.
func (b *Book) Reveal(ctx context.Context, cluster, name string) (Bytes, error) {
	d, ok := b.definitions[name]
	if ok {
		ok, _ = path.Match(d.Clusters, cluster) // New checked the glob
	}
	if !ok { // the same words for both: a spec learns nothing of other clusters' secrets
		return Bytes{}, fmt.Errorf("reveal secret:%s for %s: no such secret is defined for this cluster; define `secrets.%s` in reconciler.yaml, on the reconciler's host, with `clusters` that match it", name, cluster, name)
	}
	data, err := b.fetch(ctx, d)
	if err != nil {
		clear(data)
		return Bytes{}, fmt.Errorf("reveal secret:%s for %s: %w", name, cluster, err)
	}
	data = bytes.TrimSuffix(data, []byte("\n"))
	data = bytes.TrimSuffix(data, []byte("\r"))
	if len(data) == 0 {
		return Bytes{}, fmt.Errorf("reveal secret:%s for %s: it is empty; look at `secrets.%s` in reconciler.yaml", name, cluster, name)
	}
	return Of(data), nil
}

func (b *Book) fetch(ctx context.Context, d Definition) ([]byte, error) {
	switch {
	case d.File != "":
		plain, err := ReadFile(d.File)
		return plain.Reveal(), err
	case d.Env != "":
		value, ok := os.LookupEnv(d.Env)
		if !ok {
			return nil, fmt.Errorf("the environment variable %s is not set for the reconciler", d.Env)
		}
		return []byte(value), nil
	case d.Age != "":
		f, err := openRegular(d.Age)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		plain, err := b.keys.Decrypt(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.Age, err)
		}
		return plain.Reveal(), nil
	case len(d.Exec) > 0:
		timeout := d.Timeout
		if timeout == 0 {
			timeout = execTimeout
		}
		return run(ctx, d.Exec, timeout)
	}
	return nil, errors.New("it has no source")
}

// ReadFile is a secret as it lies in a file: a regular one, and not a large one.
func ReadFile(name string) (Bytes, error) {
	f, err := openRegular(name)
	if err != nil {
		return Bytes{}, err
	}
	defer f.Close()
	data, err := readCapped(f, maxPlain)
	if err != nil {
		return Bytes{}, fmt.Errorf("read %s: %w", name, err)
	}
	return Of(data), nil
}

func sortedNames(definitions map[string]Definition) []string {
	var names []string
	for name := range definitions {
		names = append(names, name)
	}
	slices.SortFunc(names, strings.Compare)
	return names
}
