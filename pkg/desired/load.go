package desired

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// Options is what the repo cannot know by itself.
type Options struct {
	// Zone is the time zone of an IANA name. Zones are data of the machine, so they
	// are looked up outside, as by [time.LoadLocation]; nil accepts every
	// well-formed name, and no window opens then.
	Zone func(name string) (*time.Location, error)
	// Now is what waivers expire by. Zero: none has expired.
	Now time.Time
	// Known is what was loaded before; nil: nothing is.
	Known *Known
}

const (
	fleetFile       = "fleet.yaml"
	clustersFolder  = "clusters"
	environmentsDir = "environments"
)

// Load reads one commit of a fleet repo. It never fails as a whole: what is
// wrong comes back as Problems, all of them at once, and takes out only what
// depends on it: a cluster itself, an environment its clusters, fleet.yaml and
// vault.lock the fleet.
func Load(fsys fs.FS, opts Options) Fleet {
	opts.Known.begin()
	defer opts.Known.end()
	l := newLoader(fsys, opts)
	l.fleet()
	l.environments()
	drafts := l.clusters()
	l.sharedAddresses(drafts)
	return l.outcome(drafts)
}

// loader is one reading of one commit.
type loader struct {
	opts   Options
	schema *schema
	repo   *repo
	fsys   fs.FS
	result Fleet

	spec     *value                // fleet.yaml as checked
	layers   map[string]*layerFile // environments by name
	problems []Problem             // of the fleet as a whole
}

// layerFile is one environment: its keys, and what is wrong with them.
type layerFile struct {
	tree     *value
	problems []Problem
}

// draft is a cluster on its way: with an error among its problems it ends in
// Fleet.Broken.
type draft struct {
	cluster  Cluster
	problems []Problem
	seen     map[Problem]bool
}

// add takes a problem once, however many nodes it shows on.
func (d *draft) add(problems ...Problem) {
	if d.seen == nil {
		d.seen = map[Problem]bool{}
	}
	for _, p := range problems {
		p.Cluster = d.cluster.Name
		if !d.seen[p] {
			d.seen[p] = true
			d.problems = append(d.problems, p)
		}
	}
}

func (d *draft) broken() bool { return hasErrors(d.problems) }

func hasErrors(problems []Problem) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool { return p.Severity == SeverityError })
}

func newLoader(fsys fs.FS, opts Options) *loader {
	isKnown := func(cluster string) bool { return opts.Known.recall(madeOf(fsys, cluster, opts.Now)) != nil }
	return &loader{
		opts: opts, schema: newSchema(), repo: openRepo(fsys, isKnown), fsys: fsys,
		result: Fleet{Render: 1}, layers: map[string]*layerFile{},
	}
}

func (l *loader) fail(place Place, text, hint string) {
	l.problems = append(l.problems, Problem{Place: place, Severity: SeverityError, Text: text, Hint: hint})
}

// fleet reads fleet.yaml and vault.lock.
func (l *loader) fleet() {
	lock, problems := readLock(l.repo)
	l.result.Lock = lock
	l.problems = append(l.problems, problems...)
	body, wrong, hint := l.repo.read(fleetFile)
	if wrong != "" {
		l.fail(Place{File: fleetFile}, wrong, hint)
		return
	}
	tree, problems := parseYAML(fleetFile, body)
	l.problems = append(l.problems, problems...)
	if tree == nil {
		return
	}
	c := &checker{root: l.schema, layer: layerFleet}
	checked := c.check(l.schema, tree)
	l.problems = append(l.problems, c.problems...)
	if checked == nil {
		return
	}
	l.spec = l.settleFleet(checked, !hasErrors(l.problems))
}

// settleFleet takes what fleet.yaml says of the fleet itself. What is missing
// is only told of a file without other mistakes: the mistake may be that key.
func (l *loader) settleFleet(tree *value, clean bool) *value {
	m := &merger{}
	top := m.merge(l.schema, nil, tree.without("defaults"))
	m.merge(l.schema, nil, tree.child("defaults"))
	e := &expander{scope: scopeNone}
	if top != nil {
		top = e.expand(l.schema, top)
	}
	if defaults := tree.child("defaults"); defaults != nil {
		e.expand(l.schema, defaults) // only for what it finds: names and addresses, which no layer above can mend
	}
	l.problems = append(l.problems, m.problems...)
	l.problems = append(l.problems, e.problems...)
	if clean {
		if top.child("format") == nil {
			l.fail(Place{File: fleetFile, Line: 1, Column: 1}, "`format` is missing", "write format: 1")
		} else if top.str("format") != "1" {
			l.fail(top.at("format"), "format "+top.str("format")+" is not known to this release", "write format: 1, or install a newer reconciler")
		}
		if top.child("fleet") == nil {
			l.fail(Place{File: fleetFile, Line: 1, Column: 1}, "`fleet` is missing", "write the fleet's name, as in fleet: acme")
		}
	}
	if r := top.child("render"); r != nil && r.text != "1" {
		l.fail(r.place, "render "+r.text+" is not known to this release", "write render: 1, or install a newer reconciler")
	}
	l.result.Name = top.str("fleet")
	l.result.Releases.Source = cmp.Or(top.str("releases", "source"), "https://releases.hashicorp.com")
	for _, ring := range top.list("rollout", "rings") {
		l.result.Rings = append(l.result.Rings, l.ring(ring))
	}
	return tree
}

func (l *loader) ring(v *value) Ring {
	r := Ring{Cluster: v.str("cluster"), Environment: v.str("environment"), Soak: duration(v, "soak"), AtOnce: 1}
	if r.Cluster == "" && r.Environment == "" {
		l.fail(v.place, "this ring names neither a cluster nor an environment, so nothing can be in it", "write cluster: GLOB or environment: NAME")
	}
	if at := v.child("at_once"); at != nil {
		if r.AtOnce = v.num("at_once"); r.AtOnce < 1 {
			l.fail(at.place, "`at_once` is "+at.text+", so nothing of this ring would ever change", "write 1 or more")
		}
	}
	return r
}

// environments reads every environments/NAME.yaml, used or not.
func (l *loader) environments() {
	for _, file := range l.repo.folders[environmentsDir] {
		name, isSpec := strings.CutSuffix(file, ".yaml")
		if !isSpec || ignored(file) {
			continue
		}
		at := environmentsDir + "/" + file
		l.layers[name] = l.environment(at, name)
	}
}

func (l *loader) environment(at, name string) *layerFile {
	file := &layerFile{}
	fail := func(place Place, text, hint string) {
		file.problems = append(file.problems, Problem{Place: place, Severity: SeverityError, Text: text, Hint: hint})
	}
	body, wrong, hint := l.repo.read(at)
	if wrong != "" {
		fail(Place{File: at}, wrong, hint)
		return file
	}
	tree, problems := parseYAML(at, body)
	file.problems = problems
	if tree == nil {
		return file
	}
	c := &checker{root: l.schema, layer: layerDefaults}
	file.tree = c.check(l.schema, tree)
	file.problems = append(file.problems, c.problems...)
	if file.tree == nil {
		return file
	}
	e := &expander{scope: scopeNone}
	e.expand(l.schema, file.tree)
	file.problems = append(file.problems, e.problems...)
	if said := file.tree.child("environment"); said != nil && said.text != name {
		fail(said.place, "the file of environment "+name+" says environment: "+printable(said.text), "remove the key: the file's name says it")
	}
	return file
}

// ignored are files that editors and people leave behind.
func ignored(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || strings.HasPrefix(name, "#") || strings.HasSuffix(name, ".swp")
}

func (l *loader) clusters() []*draft {
	for _, folder := range []string{clustersFolder, environmentsDir} {
		if kind, there := l.repo.types[folder]; there && !kind.IsDir() {
			l.fail(Place{File: folder}, folder+" is no folder, and links are not followed", "put the folder itself into the repo")
		}
	}
	var drafts []*draft
	for _, name := range l.repo.folders[clustersFolder] {
		at := clustersFolder + "/" + name
		kind := l.repo.types[at]
		switch {
		case ignored(name):
		case kind.IsDir(), kind&fs.ModeSymlink != 0:
			drafts = append(drafts, l.known(name))
		case strings.HasSuffix(name, ".yaml"):
			l.problems = append(l.problems, Problem{Place: Place{File: at}, Severity: SeverityWarning,
				Text: "this file is not read", Hint: "a cluster is a folder: move it to " + strings.TrimSuffix(at, ".yaml") + "/cluster.yaml"})
		}
	}
	l.needClusters(len(drafts))
	return drafts
}

// known is a cluster, read only where it was not read from the same before.
func (l *loader) known(name string) *draft {
	made := madeOf(l.fsys, name, l.opts.Now)
	if before := l.opts.Known.recall(made); before != nil {
		l.repo.problems = append(l.repo.problems, before.problems...)
		return &before.draft
	}
	d := l.cluster(name).draft
	var problems []Problem
	for _, p := range l.repo.problems {
		if p.Cluster == name {
			problems = append(problems, p)
		}
	}
	l.opts.Known.keep(made, *d, problems)
	return d
}

// needClusters: a fleet without a cluster is most likely the wrong folder, or a
// commit that lost one. It would pass every check, and be in sync with nothing.
func (l *loader) needClusters(found int) {
	const hint = "write clusters/NAME/cluster.yaml, or name the folder that holds the fleet"
	switch kind, there := l.repo.types[clustersFolder]; {
	case found > 0 || l.spec == nil:
	case !there:
		l.fail(Place{File: fleetFile}, "the fleet has no folder clusters/, and so no cluster", hint)
	case kind.IsDir():
		l.fail(Place{File: clustersFolder}, "the fleet has no cluster: no folder lies in clusters/", hint)
	}
}

// outcome sorts good from broken, and all problems by place.
func (l *loader) outcome(drafts []*draft) Fleet {
	for _, p := range l.repo.problems {
		switch d := draftOf(drafts, p.Cluster); {
		case d != nil:
			d.add(p)
		case l.isEnvironment(p.Place.File):
			l.spoil(drafts, p)
		default:
			l.problems = append(l.problems, p)
		}
	}
	fleetBroken := hasErrors(l.problems)
	l.result.Problems = append(l.result.Problems, l.problems...)
	l.result.Problems = append(l.result.Problems, l.unusedEnvironments(drafts)...)
	for _, d := range drafts {
		l.result.Problems = append(l.result.Problems, d.problems...)
		switch {
		case fleetBroken:
			l.result.Broken = append(l.result.Broken, Broken{Name: d.cluster.Name, Problems: sortProblems(append(slices.Clone(l.problems), d.problems...))})
		case d.broken():
			l.result.Broken = append(l.result.Broken, Broken{Name: d.cluster.Name, Problems: sortProblems(slices.Clone(d.problems))})
		default:
			l.result.Clusters = append(l.result.Clusters, d.cluster)
		}
	}
	sortProblems(l.result.Problems)
	return l.result
}

func draftOf(drafts []*draft, name string) *draft {
	i, found := slices.BinarySearchFunc(drafts, name, func(d *draft, name string) int { return cmp.Compare(d.cluster.Name, name) })
	if !found {
		return nil
	}
	return drafts[i]
}

func (l *loader) isEnvironment(file string) bool {
	name, ok := strings.CutPrefix(file, environmentsDir+"/")
	return ok && l.layers[strings.TrimSuffix(name, ".yaml")] != nil
}

// spoil lays a problem found in an environment on its clusters.
func (l *loader) spoil(drafts []*draft, p Problem) {
	name := strings.TrimSuffix(strings.TrimPrefix(p.Place.File, environmentsDir+"/"), ".yaml")
	l.layers[name].problems = append(l.layers[name].problems, p)
	for _, d := range drafts {
		if d.cluster.Environment == name {
			d.add(p)
		}
	}
}

// unusedEnvironments are the problems of environments that no cluster is in:
// they take nothing out, and are told all the same.
func (l *loader) unusedEnvironments(drafts []*draft) []Problem {
	used := map[string]bool{}
	for _, d := range drafts {
		used[d.cluster.Environment] = true
	}
	var problems []Problem
	for _, name := range sortedKeys(l.layers) {
		if !used[name] {
			problems = append(problems, l.layers[name].problems...)
		}
	}
	return problems
}

// sortProblems sorts by place, and what is alike by text, so that the same
// repo always gives the same words.
func sortProblems(problems []Problem) []Problem {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.Place.File, b.Place.File), cmp.Compare(a.Place.Line, b.Place.Line), cmp.Compare(a.Place.Column, b.Place.Column),
			cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Text, b.Text), cmp.Compare(a.Cluster, b.Cluster),
		)
	})
	return problems
}

// sharedAddresses finds machines that two clusters claim. Which of the two is
// right cannot be known, so both are held to it, each by its own rules.
func (l *loader) sharedAddresses(drafts []*draft) {
	type claim struct {
		draft *draft
		node  Node
	}
	claims := map[string][]claim{}
	for _, d := range drafts {
		for _, n := range d.cluster.Nodes {
			key := machineOf(n)
			claims[key] = append(claims[key], claim{d, n})
		}
	}
	for _, key := range sortedKeys(claims) {
		for _, c := range claims[key] {
			if c.draft.cluster.Rules == RulesLearning {
				continue
			}
			for _, other := range claims[key] {
				if other.draft == c.draft {
					continue
				}
				c.draft.add(Problem{
					Place: Place{File: specPath(c.draft.cluster.Name)}, Severity: SeverityError, Rule: "duplicate-address",
					Text: fmt.Sprintf("node %s and node %s of cluster %s are the same machine, %s", c.node.Name, other.node.Name, other.draft.cluster.Name, key),
					Hint: "a machine belongs to one cluster: take it out of the other",
				})
				break
			}
		}
	}
}

// machineOf is what tells machines apart: where SSH answers.
func machineOf(n Node) string {
	if n.SSH.Port == 22 || n.SSH.Port == 0 {
		return n.SSH.Address
	}
	return fmt.Sprintf("%s port %d", n.SSH.Address, n.SSH.Port)
}
