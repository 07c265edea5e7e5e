package desired

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/hashicorp/go-version"
	"gopkg.in/yaml.v3"
)

// LockError says that vault.lock names another artefact than a release has. One
// of the two was changed: what a version is never changes by itself.
type LockError struct {
	Version, Platform string
	Locked, Found     Artefact
}

func (e *LockError) Error() string {
	what, locked, found := "archive", e.Locked.Archive, e.Found.Archive
	if locked == found {
		what, locked, found = "binary", e.Locked.Binary, e.Found.Binary
	}
	return fmt.Sprintf("vault.lock says that the %s of %s for %s is %s, and the signed release has %s; find out who changed the entry (git log -p vault.lock), and take it out to have it locked anew", what, e.Version, e.Platform, locked, found)
}

// Agrees holds a lock against what a release was found to be. A difference is a
// [LockError]; what only one of the two has is none.
func (l Lock) Agrees(found Lock) error {
	var errs []error
	for _, v := range slices.Sorted(maps.Keys(found)) {
		for _, p := range slices.Sorted(maps.Keys(found[v])) {
			if locked, there := l[v][p]; there && locked != found[v][p] {
				errs = append(errs, &LockError{v, p, locked, found[v][p]})
			}
		}
	}
	return errors.Join(errs...)
}

// Platforms are all that some version is locked for.
func (l Lock) Platforms() []string {
	all := map[string]bool{}
	for _, platforms := range l {
		for p := range platforms {
			all[p] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// Versions are the versions of a lock, oldest first.
func (l Lock) Versions() []string { return slices.SortedFunc(maps.Keys(l), byVersion) }

// Unlocked are the versions that whole clusters ask for and that a platform has
// no entry of, oldest first.
func (f Fleet) Unlocked(platforms []string) []string {
	missing := Lock{}
	for _, c := range f.Clusters {
		for _, p := range platforms {
			if _, there := f.Lock[c.Vault.Version][p]; !there {
				missing[c.Vault.Version] = nil
			}
		}
	}
	return missing.Versions()
}

// AddToLock is the text of a vault.lock with more entries in it, sorted. What is
// there stays, comments as well, if not every blank or quote; an entry that says
// otherwise is a [LockError]. Of no text a new file is made.
func AddToLock(text []byte, more Lock) ([]byte, error) {
	if len(text) == 0 {
		text = []byte("format: 1\n")
	}
	lock, problems := parseLock(text)
	if len(problems) > 0 {
		return nil, problems[0]
	}
	if err := lock.Agrees(more); err != nil {
		return nil, err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("read vault.lock: %w", err)
	}
	vault := entry(doc.Content[0], "vault")
	for v, platforms := range more {
		if lock[v] == nil {
			lock[v] = map[string]Artefact{}
		}
		versions := entry(vault, v)
		for p, a := range platforms {
			if _, there := lock[v][p]; !there {
				lock[v][p] = a
				*entry(versions, p) = artefactNode(a)
			}
		}
		sortEntries(versions, cmp.Compare)
	}
	sortEntries(vault, byVersion)
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := errors.Join(e.Encode(&doc), e.Close()); err != nil {
		return nil, fmt.Errorf("write vault.lock: %w", err)
	}
	if again, problems := parseLock(out.Bytes()); len(problems) > 0 || !reflect.DeepEqual(again, lock) {
		return nil, fmt.Errorf("write vault.lock: it would not read back as what was to be written: %v", problems)
	}
	return out.Bytes(), nil
}

// entry is the value of a key of a map, made where it is missing.
func entry(m *yaml.Node, key string) *yaml.Node {
	for i := 0; i < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i+1]
		}
	}
	if len(m.Content) == 0 {
		m.Style = 0 // {} becomes lines
	}
	v := &yaml.Node{Kind: yaml.MappingNode}
	m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, v)
	return v
}

func artefactNode(a Artefact) yaml.Node {
	text := func(s string, style yaml.Style) *yaml.Node {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s, Style: style}
	}
	return yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle, Content: []*yaml.Node{
		text("archive", 0), text(a.Archive, yaml.DoubleQuotedStyle),
		text("binary", 0), text(a.Binary, yaml.DoubleQuotedStyle),
	}}
}

// sortEntries sorts a map by its keys; comments move with what they stand by.
func sortEntries(m *yaml.Node, by func(a, b string) int) {
	type pair [2]*yaml.Node
	var pairs []pair
	for p := range slices.Chunk(m.Content, 2) {
		pairs = append(pairs, pair(p))
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return by(a[0].Value, b[0].Value) })
	m.Content = nil
	for _, p := range pairs {
		m.Content = append(m.Content, p[0], p[1])
	}
}

// byVersion orders versions as they were released, and editions by name.
func byVersion(a, b string) int {
	x, errX := version.NewVersion(a)
	y, errY := version.NewVersion(b)
	if errX != nil || errY != nil {
		return cmp.Compare(a, b)
	}
	return cmp.Or(x.Compare(y), cmp.Compare(a, b))
}
