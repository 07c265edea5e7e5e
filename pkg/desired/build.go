package desired

import (
	"fmt"
	"slices"
	"time"
)

// One cluster is built in this order: its layers are checked each for itself,
// merged, filled with the defaults, expanded, and only then turned into a
// Cluster; its nodes likewise, on top of the cluster. Each stage tells all
// that it finds. The later ones need whole values, so they begin only when the
// earlier ones found nothing wrong: else they would complain about what is
// already known.

// builder turns one cluster's layers into a Cluster.
type builder struct {
	l     *loader
	draft *draft
	spec  *value // merged, defaults filled in, the cluster's own placeholders expanded
	nodes []*builtNode
}

// builtNode is a node together with what only its rendering needs.
type builtNode struct {
	Node
	spec        *value // all keys as they hold on this node, expanded
	listeners   []Listener
	config      map[string]any
	environment map[string]string
	storage     map[string]any
}

// cluster builds one, as far as it is free of errors.
func (l *loader) cluster(name string) *builder {
	d := &draft{cluster: Cluster{Name: name}}
	b := &builder{l: l, draft: d}
	if wrong, hint := mustName(name); wrong != "" {
		b.fail(Place{File: clustersFolder + "/" + name}, wrong, hint)
		return b
	}
	if !b.merge() || !b.buildCluster() || !b.buildNodes() {
		return b
	}
	b.checkCredentials()
	b.checkEnvironment()
	b.checkIdentities()
	b.checkRules()
	if d.broken() {
		return b
	}
	b.render()
	if !d.broken() {
		d.cluster.Digest = b.digest()
		d.cluster.places = placed{}
		d.cluster.places.add("", b.spec)
	}
	return b
}

func (b *builder) fail(place Place, text, hint string) {
	b.draft.add(Problem{Place: place, Severity: SeverityError, Text: text, Hint: hint})
}

// merge fills b.spec; false when the layers have errors.
func (b *builder) merge() bool {
	tree := b.own()
	if tree == nil {
		return false
	}
	defaults := b.l.spec.child("defaults")
	environment := environmentOf(tree, defaults)
	b.draft.cluster.Environment = environment
	m := &merger{}
	merged := m.merge(b.l.schema, nil, emptyIfNil(defaults))
	m.problems = nil // told with fleet.yaml
	if file := b.l.layers[environment]; file != nil {
		b.draft.add(file.problems...)
		merged = m.merge(b.l.schema, merged, emptyIfNil(file.tree))
	}
	if hasErrors(b.l.problems) {
		return false // what defaults would have given cannot be known
	}
	merged = m.merge(b.l.schema, merged, tree)
	b.draft.add(m.problems...)
	if b.draft.cluster.Environment != "" && merged.child("environment") == nil {
		merged = merged.with("environment", Place{}, &value{kind: kindText, text: environment})
	}
	e := &expander{vars: clusterVars(b.l.result.Name, merged), scope: scopeCluster}
	b.spec = e.expand(b.l.schema, fill(b.l.schema, merged))
	b.draft.add(e.problems...)
	return !b.draft.broken()
}

// own is the cluster's own file, checked.
func (b *builder) own() *value {
	file := specPath(b.draft.cluster.Name)
	body, wrong, hint := b.l.repo.read(file)
	if wrong != "" {
		b.fail(Place{File: file}, wrong, hint)
		return nil
	}
	tree, problems := parseYAML(file, body)
	b.draft.add(problems...)
	if tree == nil {
		return nil
	}
	c := &checker{root: b.l.schema, layer: layerCluster}
	tree = c.check(b.l.schema, tree)
	b.draft.add(c.problems...)
	return tree
}

// environmentOf is where the cluster belongs: its own word, or the defaults'.
func environmentOf(tree, defaults *value) string {
	if said := tree.child("environment"); said != nil {
		return said.text // empty when a null takes the inherited one away
	}
	return defaults.str("environment")
}

func emptyIfNil(v *value) *value {
	if v == nil {
		return &value{kind: kindMap}
	}
	return v
}

// need is the text at a path that must have been written.
func (b *builder) need(v *value, hint string, path ...string) string {
	text := v.str(path...)
	if text == "" {
		b.fail(b.placeOf(v, path...), "`"+dotted(path)+"` is missing", hint)
	}
	return text
}

// placeOf is where a value was written or, when it is missing, where a person
// would write it: in the cluster's own file.
func (b *builder) placeOf(v *value, path ...string) Place {
	own := specPath(b.draft.cluster.Name)
	if place := v.at(path...); place.Line != 0 && (place.File == own || v.get(path...) != nil) {
		return place
	}
	return Place{File: own, Line: 1, Column: 1}
}

func dotted(path []string) string {
	text := path[0]
	for _, p := range path[1:] {
		text += "." + p
	}
	return text
}

// buildCluster fills what is the cluster's own; false on errors.
func (b *builder) buildCluster() bool {
	c, v := &b.draft.cluster, b.spec
	if name := b.need(v, "write cluster: "+c.Name, "cluster"); name != "" && name != c.Name {
		b.fail(v.at("cluster"), fmt.Sprintf("the cluster is called %s, its folder %s", name, c.Name), "let both have one name")
	}
	c.Fleet, c.Labels = b.l.result.Name, v.texts("labels")
	c.Mode, c.Rules, c.ClusterID = Mode(v.str("mode")), Rules(v.str("rules")), v.str("cluster_id")
	for _, concern := range Concerns() {
		if slices.Contains(v.names("manage"), string(concern)) {
			c.Manage = append(c.Manage, concern)
		}
	}
	c.Vault = Vault{Version: b.need(v, "write the exact version, as in vault: {version: 1.21.0}", "vault", "version"), Path: v.str("vault", "path")}
	c.Artefacts = b.l.result.Lock[c.Vault.Version]
	c.Releases = b.l.result.Releases
	b.buildStorage()
	b.buildSeal()
	b.buildService()
	b.buildAudit()
	b.checkLabels(v)
	c.Rollout = Rollout{Approval: v.str("rollout", "approval"), Pause: duration(v, "rollout", "pause")}
	c.Drift = DriftPolicy{Report: v.str("drift", "policy") == "report", After: time.Minute}
	if v.get("drift", "after") != nil {
		c.Drift.After = duration(v, "drift", "after")
	}
	b.buildWindow()
	b.buildFreezes()
	b.checkIgnore()
	b.buildWaivers()
	b.readCA()
	c.Unbuilt = findUnbuilt(v)
	return !b.draft.broken()
}

func (b *builder) buildStorage() {
	c := &b.draft.cluster
	if b.verbatim() {
		return
	}
	kind, options := b.spec.child("storage").only()
	if kind == "" {
		b.fail(b.placeOf(b.spec, "storage"), "`storage` is missing", "write where Vault keeps its data, as in storage: {raft: {path: /opt/vault/data}}")
		return
	}
	c.Storage = Storage{Kind: kind}
	if kind != "consul" {
		c.Storage.Path = options.str("path")
		if c.Storage.Path == "" {
			b.fail(b.placeOf(b.spec, "storage", kind, "path"), "`storage."+kind+".path` is missing", "write the data folder, as in /opt/vault/data")
		}
	}
}

// verbatim says that the operator's own vault.hcl is taken as it is.
func (b *builder) verbatim() bool { return b.spec.child("config_file") != nil }

func (b *builder) buildSeal() {
	c, v := &b.draft.cluster, b.spec
	c.Seal.Kind, _ = v.child("seal").only()
	if c.Seal.Kind == "" && (c.Rules == RulesLearning || b.verbatim()) {
		c.Seal.Kind = "shamir" // what Vault does with nothing written; production must say it
	}
	c.Keys = Keys{
		Shares: v.num("keys", "secret_shares"), Threshold: v.num("keys", "secret_threshold"),
		HeldBy: HeldBy(v.str("keys", "held_by")), Holders: v.names("keys", "holders"),
	}
	k, place := c.Keys, b.placeOf(v, "keys")
	switch {
	case k.Shares < 1 || k.Shares > 255:
		b.fail(v.at("keys", "secret_shares"), fmt.Sprintf("`keys.secret_shares` is %d", k.Shares), "write 1 to 255")
	case k.Threshold < 1 || k.Threshold > k.Shares:
		b.fail(v.at("keys", "secret_threshold"), fmt.Sprintf("`keys.secret_threshold` is %d of %d shares", k.Threshold, k.Shares), "write 1 to the number of shares")
	case k.Threshold == 1 && k.Shares > 1:
		b.fail(v.at("keys", "secret_threshold"), "a threshold of 1 makes every share the whole key, which Vault refuses", "write 2 or more")
	}
	if k.HeldBy == HeldByPeople && len(k.Holders) != k.Shares {
		b.fail(place, fmt.Sprintf("%d holders for %d shares", len(k.Holders), k.Shares), "name one holder for each share under keys.holders")
	}
	if k.HeldBy != HeldByPeople && len(k.Holders) > 0 {
		b.fail(v.at("keys", "holders"), "`keys.holders` stands without held_by: people", "write held_by: people, or remove the holders")
	}
}

func (b *builder) buildService() {
	c, v := &b.draft.cluster, b.spec
	c.Service = Service{
		Manager: v.str("service", "manager"), Name: v.str("service", "name"),
		User: v.str("service", "user"), Group: v.str("service", "group"),
		UnitPath: v.str("service", "unit_path"), ConfigPath: v.str("config_path"), EnvironmentPath: v.str("environment_path"),
	}
	if c.Service.UnitPath == "" {
		c.Service.UnitPath = "/etc/systemd/system/" + c.Service.Name + ".service"
	}
	b.checkPlaces()
}

func (b *builder) buildAudit() {
	written := map[string]*value{}
	for _, item := range b.spec.list("audit") {
		a := Audit{
			Path:    b.need(item, "write where the device is mounted, as in path: file", "path"),
			Type:    b.need(item, "write type: file, syslog or socket", "type"),
			Options: item.texts("options"),
		}
		if a.Type == "file" {
			if at := b.need(item, "write options: {file_path: /var/log/vault/audit.log}", "options", "file_path"); at != "" {
				b.checkAuditFile(item, at, written)
			}
		}
		b.draft.cluster.Audit = append(b.draft.cluster.Audit, a)
	}
	slices.SortFunc(b.draft.cluster.Audit, func(x, y Audit) int { return compareText(x.Path, y.Path) })
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (b *builder) checkLabels(v *value) {
	labels := v.child("labels")
	if labels == nil {
		return
	}
	for _, f := range labels.fields {
		if !all(f.name, isPlaceholderByte) || len(f.name) > maxName {
			b.fail(f.place, fmt.Sprintf("%q is no name of a label", printable(f.name)), "use letters, digits, `-`, `_` and `.`")
		}
		if len(f.value.text) > 256 {
			b.fail(f.value.place, "the label's value is longer than 256 characters", "choose a shorter one")
		}
	}
}

func (b *builder) checkIgnore() {
	for _, item := range b.spec.list("ignore") {
		for _, name := range []string{"reason", "owner", "until"} {
			b.need(item, "a waiver says why, who answers for it, and until when", name)
		}
		rule := item.child("rule")
		if (rule == nil) == (item.child("path") == nil) {
			b.fail(item.place, "a waiver is of one rule or of one path", "write rule: NAME or path: /PATH")
		}
		if rule != nil && !slices.ContainsFunc(productionRules(), func(r productionRule) bool { return r.name == rule.text }) {
			hint := "docs/spec.md lists the rules"
			if near := nearest(rule.text, ruleNames()); near != "" {
				hint = "did you mean " + near + "?"
			}
			b.fail(rule.place, "there is no rule `"+rule.text+"`", hint)
			continue
		}
		switch {
		case rule == nil:
		case !waivable(rule.text):
			b.fail(rule.place, "`"+rule.text+"` cannot be waived: nothing of a commit may lift it", "remove the waiver, and mend what the rule names")
		case item.child("nodes") != nil:
			b.fail(item.at("nodes"), "a waiver of a rule is for the whole cluster", "remove nodes, or write path: /PATH for a drift on some nodes")
		}
	}
}

// duration is the checked duration at a path; 0 when there is none.
func duration(v *value, path ...string) time.Duration {
	d, _ := time.ParseDuration(v.str(path...))
	return d
}
