package review

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/vaultfleet/reconciler/examples"
	"github.com/vaultfleet/reconciler/internal/forge"
	"github.com/vaultfleet/reconciler/pkg/desired"
	"github.com/vaultfleet/reconciler/pkg/diff"

	"io/fs"
	"log/slog"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const us = "reconciler-bot"

// forgery is a forge with pull requests, and a fleet that is followed. It refuses
// what a forge does: to edit a comment of somebody else, a status of no commit.
type forgery struct {
	forge.Client
	pulls    map[int]*forge.Pull
	comments map[int][]forge.Comment
	statuses map[string]string // "COMMIT CONTEXT" → "STATE WORDS"
	leads    map[string]string // "COMMIT CONTEXT" → where its status leads
	react    map[int64]forge.Reaction
	queue    []string // commits
	writers  []string
	team     []string
	reviewed []forge.Review
	asked    int // how often reviews were
	last     int64
	writes   int // comments written and edited, statuses set
	reads    int
	onPull   func() // before a pull request is read again
	most     int    // bytes of a comment; 0: any

	commit string
	trees  map[string]fstest.MapFS // by commit
	seen   map[string]Seen
	held   []string
	now    time.Time
	propos int // how often a merge was read
	err    error
	file   string // of what is followed
	log    strings.Builder
}

func newForgery(t *testing.T) *forgery {
	f := &forgery{pulls: map[int]*forge.Pull{}, comments: map[int][]forge.Comment{}, statuses: map[string]string{}, leads: map[string]string{}, react: map[int64]forge.Reaction{},
		trees: map[string]fstest.MapFS{}, seen: map[string]Seen{}, now: noon, writers: []string{"alice", "mallory"}, team: []string{"alice"}, file: filepath.Join(t.TempDir(), "followed")}
	f.commit = hash("base")
	f.trees[f.commit] = example(t)
	f.look()
	return f
}

// hash is a commit of a name.
func hash(name string) string { return (fmt.Sprintf("%x", name) + strings.Repeat("0", 40))[:40] }

// example is the example fleet with prod-eu enforced.
func example(t *testing.T) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{}
	repo := examples.FleetRepo()
	err := fs.WalkDir(repo, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(repo, path)
		text := strings.ReplaceAll(string(data), "mode: observe", "mode: enforce")
		if path == "fleet.yaml" {
			text, _, _ = strings.Cut(text, "rollout:")
		}
		out[path] = &fstest.MapFile{Data: []byte(text)}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	artefact := func(c string) string { return `"sha256:` + strings.Repeat(c, 64) + `"` }
	lock := "format: 1\nvault:\n"
	for i, version := range []string{"1.21.0", "1.21.4"} {
		lock += fmt.Sprintf("  %s:\n    linux_amd64: {archive: %s, binary: %s}\n", version, artefact(fmt.Sprint(i)), artefact(fmt.Sprint(i+2)))
	}
	out["vault.lock"] = &fstest.MapFile{Data: []byte(lock)}
	return out
}

const prodEU = "clusters/prod-eu/cluster.yaml"

// edit is a tree with texts replaced in a file: old, new, old, new…
func edit(t *testing.T, tree fstest.MapFS, file string, texts ...string) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{}
	for path, f := range tree {
		out[path] = f
	}
	text := ""
	if f := out[file]; f != nil {
		text = string(f.Data)
	}
	for i := 0; i < len(texts); i += 2 {
		if !strings.Contains(text, texts[i]) {
			t.Fatalf("%s has no %q", file, texts[i])
		}
		text = strings.Replace(text, texts[i], texts[i+1], 1)
	}
	out[file] = &fstest.MapFile{Data: []byte(text)}
	return out
}

func (f *forgery) fleet(commit string) desired.Fleet {
	if f.trees[commit] == nil {
		return desired.Fleet{}
	}
	return desired.Load(f.trees[commit], desired.Options{})
}

// look lets every cluster be seen as the commit in force wants it.
func (f *forgery) look() {
	for _, c := range f.fleet(f.commit).Clusters {
		have, m := diff.Settled(c, c, f.now)
		f.seen[c.Name] = Seen{At: f.now, Have: have, Memory: m, Plan: diff.Cluster(c, have, m, f.now)}
	}
}

// open opens a pull request, or pushes to it.
func (f *forgery) open(number int, head string, tree fstest.MapFS) *forge.Pull {
	f.trees[hash(head)] = tree
	p := f.pulls[number]
	if p == nil {
		p = &forge.Pull{Number: number, Author: "alice", BaseRef: "main", Open: true}
		f.pulls[number] = p
	}
	p.Head, p.Updated = hash(head), f.now
	return p
}

func (f *forgery) Me(context.Context) (string, error) { return us, f.err }

func (f *forgery) Pulls(_ context.Context, base string) (open []forge.Pull, err error) {
	f.reads++
	for _, p := range f.pulls {
		if p.Open && p.BaseRef == base {
			open = append(open, *p)
		}
	}
	slices.SortFunc(open, func(a, b forge.Pull) int { return cmp.Compare(a.Number, b.Number) })
	return open, f.err
}

func (f *forgery) Pull(_ context.Context, number int) (forge.Pull, error) {
	if f.onPull != nil {
		f.onPull()
	}
	return *f.pulls[number], f.err
}

func (f *forgery) PullsOf(_ context.Context, commit string) (of []forge.Pull, err error) {
	for _, p := range f.pulls {
		if p.MergedCommit == commit {
			of = append(of, *p)
		}
	}
	return of, f.err
}

func (f *forgery) Queued(_ context.Context, base string) ([]string, error) {
	if base != "main" {
		panic("the queue of " + base)
	}
	if f.queue == nil {
		return nil, fmt.Errorf("list: %w", forge.ErrForbidden)
	}
	return f.queue, f.err
}

func (f *forgery) Comments(_ context.Context, number int) ([]forge.Comment, error) {
	f.reads++
	return slices.Clone(f.comments[number]), f.err
}

// says lets somebody comment.
func (f *forgery) says(number int, who, body string) int64 {
	f.last++
	f.comments[number] = append(f.comments[number], forge.Comment{ID: f.last, Author: who, Body: body, Created: f.now})
	f.pulls[number].Updated = f.pulls[number].Updated.Add(time.Second)
	return f.last
}

func (f *forgery) Comment(_ context.Context, number int, body string) (forge.Comment, error) {
	f.writes++
	if f.most > 0 && len(body) > f.most {
		return forge.Comment{}, fmt.Errorf("comment: %w", &forge.TooLongError{MaxBody: f.most})
	}
	id := f.says(number, us, body)
	return forge.Comment{ID: id, Author: us, Body: body}, f.err
}

func (f *forgery) Edit(_ context.Context, number int, id int64, body string) (forge.Comment, error) {
	f.writes++
	for i, c := range f.comments[number] {
		if c.ID == id {
			if c.Author != us {
				panic("a comment of " + c.Author + " was edited")
			}
			f.comments[number][i].Body = body
			return f.comments[number][i], f.err
		}
	}
	return forge.Comment{}, forge.ErrNotFound
}

func (f *forgery) React(_ context.Context, _ int, id int64, r forge.Reaction) error {
	f.react[id] = r
	return f.err
}

func (f *forgery) SetStatus(_ context.Context, commit string, s forge.Status) error {
	f.writes++
	if f.trees[commit] == nil {
		return forge.ErrNotFound
	}
	f.statuses[commit+" "+s.Context] = string(s.State) + " " + s.Description
	f.leads[commit+" "+s.Context] = s.URL
	return f.err
}

func (f *forgery) MayWrite(_ context.Context, user string) (bool, error) {
	return slices.Contains(f.writers, user), f.err
}

func (f *forgery) InTeam(_ context.Context, user, team string) (bool, error) {
	return team == "acme/vault-ops" && slices.Contains(f.team, user), f.err
}

func (f *forgery) Reviews(context.Context, int) ([]forge.Review, error) {
	f.asked++
	return f.reviewed, f.err
}

func (f *forgery) reviewer() *Reviewer {
	return New(Ports{
		Forge:   f,
		InForce: func() (string, desired.Fleet, bool) { return f.commit, f.fleet(f.commit), f.commit != "" },
		Propose: func(_ context.Context, base, head string) (Change, error) {
			f.propos++
			switch {
			case base != f.commit:
				panic("merged into " + base)
			case f.trees[head] == nil:
				return Change{}, ErrMoved
			}
			return Change{After: func() (desired.Fleet, error) { return f.fleet(head), nil }, Close: func() error { return nil }}, nil
		},
		Seen: func(cluster string) (Seen, bool) { s, ok := f.seen[cluster]; return s, ok },
		Since: func(_ context.Context, _, newer string) ([]string, error) {
			return []string{newer}, nil
		},
		At: func(_ context.Context, commit string) (desired.Fleet, error) { return f.fleet(commit), f.err },
		Hold: func(_ context.Context, cluster, by, reason string) error {
			f.held = append(f.held, "hold "+cluster+" by "+by+": "+reason)
			return nil
		},
		Resume: func(_ context.Context, cluster, by, reason string) error {
			f.held = append(f.held, "resume "+cluster+" by "+by+": "+reason)
			return nil
		},
		Approve: func(_ context.Context, a Allowance) error {
			f.held = append(f.held, "approve "+a.Cluster+" by "+a.By)
			s := f.seen[a.Cluster]
			s.Memory.Leaves = append(slices.Clone(s.Memory.Leaves), diff.Leave{Kind: diff.LeaveApproval, By: a.By, Digest: a.Digest, Covers: a.Covers, At: f.now})
			f.seen[a.Cluster] = s
			return nil
		},
		Withdraw: func(_ context.Context, a Allowance) error {
			f.held = append(f.held, "withdraw "+a.Cluster+" of "+a.By)
			s := f.seen[a.Cluster]
			s.Memory.Leaves = slices.DeleteFunc(slices.Clone(s.Memory.Leaves), func(l diff.Leave) bool { return l.Digest == a.Digest && l.By == a.By })
			f.seen[a.Cluster] = s
			return nil
		},
		Now: func() time.Time { return f.now },
	}, Options{Branch: "main", Page: "https://vaults.example.com/", Identity: "fleet .", Operators: func(string) []string { return []string{"acme/vault-ops"} }, File: f.file}, slog.New(slog.NewTextHandler(&f.log, nil)))
}

// turn takes one, and wants no trouble.
func turn(t *testing.T, r *Reviewer) {
	t.Helper()
	if err := r.Turn(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// ours are the bodies of our comments.
func (f *forgery) ours(number int) (bodies []string) {
	for _, c := range f.comments[number] {
		if c.Author == us {
			bodies = append(bodies, c.Body)
		}
	}
	return bodies
}
