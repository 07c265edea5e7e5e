package settings

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Forge is where the pull requests of a fleet are. The zero Forge is nowhere.
type Forge struct {
	Kind      string // github, gitlab, gitea or forgejo
	URL       string // of its API's host
	Project   string // OWNER/NAME, or GROUP/…/NAME
	TokenFile string
	App       App    // of GitHub, instead of TokenFile
	CA        string // PEM file; empty: those of this host
	Forks     bool   // pull requests from forks are planned too
	// Operators are whose comments may resume a cluster: the teams of the first glob
	// that it matches.
	Operators []Operators
}

// App is a GitHub App.
type App struct {
	ID           int64
	Installation int64 // 0: that of the project
	KeyFile      string
}

// Operators are the teams of the clusters of a glob.
type Operators struct {
	Clusters string // glob
	Teams    []string
}

// OperatorsOf are the teams of the first glob that a cluster matches; nil: nobody.
func (f Forge) OperatorsOf(cluster string) []string {
	for _, o := range f.Operators {
		if Match(o.Clusters, cluster) {
			return o.Teams
		}
	}
	return nil
}

// forge reads where a fleet's pull requests are.
func (r *reader) forge(n *yaml.Node, f *Fleet) {
	to := &f.Forge
	before := len(r.problems)
	r.fields(n, "fleets[].forge",
		key{"kind", func(n *yaml.Node) {
			if r.text(n, "fleets[].forge.kind", &to.Kind) && !slices.Contains([]string{"github", "gitlab", "gitea", "forgejo"}, to.Kind) {
				r.at(n, "choose one of github, gitlab, gitea, forgejo", "fleets[].forge.kind cannot be %q", to.Kind)
			}
		}},
		key{"url", func(n *yaml.Node) { r.forgeURL(n, &to.URL) }},
		key{"project", func(n *yaml.Node) {
			if r.text(n, "fleets[].forge.project", &to.Project) && !isProject(to.Project) {
				r.at(n, "write it as OWNER/NAME", "fleets[].forge.project %q is not a project", to.Project)
			}
		}},
		key{"token_file", func(n *yaml.Node) {
			if r.path(n, "fleets[].forge.token_file", &to.TokenFile) {
				r.private(n, to.TokenFile)
			}
		}},
		key{"app", func(n *yaml.Node) { r.app(n, &to.App) }},
		key{"ca", func(n *yaml.Node) {
			if r.path(n, "fleets[].forge.ca", &to.CA) {
				r.guarded(n, to.CA)
			}
		}},
		key{"forks", func(n *yaml.Node) { r.boolean(n, "fleets[].forge.forks", &to.Forks) }},
		key{"operators", func(n *yaml.Node) { r.operators(n, to) }},
	)
	if len(r.problems) == before {
		r.completeForge(n, f)
	}
}

// completeForge fills what follows from the repo, and says what is missing.
func (r *reader) completeForge(n *yaml.Node, f *Fleet) {
	to := &f.Forge
	known := map[string]string{"github.com": "github", "gitlab.com": "gitlab", "codeberg.org": "forgejo"}
	if to.Kind == "" {
		to.Kind = known[f.Host.Name]
	}
	if to.URL == "" && f.Host.Name != "" {
		host := f.Host.Name
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		if u, err := url.Parse(f.Repo); err == nil && f.Host.Scheme == "https" {
			host = u.Host
		}
		if to.URL = "https://" + host; host == "github.com" {
			to.URL = "https://api.github.com"
		}
	}
	if to.Project == "" {
		if project := strings.TrimSuffix(strings.Trim(f.Host.Path, "/"), ".git"); isProject(project) {
			to.Project = project
		}
	}
	if to.CA == "" {
		to.CA = f.CA
	}
	switch {
	case to.Kind == "":
		r.at(n, "add kind: gitea, or github, gitlab, forgejo", "fleets[].forge does not say which forge it is")
	case to.URL == "":
		r.at(n, "add url: https://HOST", "fleets[].forge does not say where it is")
	case to.Project == "":
		r.at(n, "add project: OWNER/NAME", "fleets[].forge does not say whose pull requests are meant")
	case to.TokenFile == "" && to.App.KeyFile == "":
		r.at(n, "add token_file: FILE, with the right to comment and to set statuses", "fleets[].forge has no token_file")
	case to.TokenFile != "" && to.App.KeyFile != "":
		r.at(n, "delete one of them", "fleets[].forge has a token_file and an app")
	case to.App.KeyFile != "" && to.Kind != "github":
		r.at(n, "use token_file", "fleets[].forge.app is of GitHub, and the forge is %s", to.Kind)
	}
}

// forgeURL takes https, and http for a forge on this very host: a token must not
// travel in the clear.
func (r *reader) forgeURL(n *yaml.Node, to *string) {
	var s string
	if !r.text(n, "fleets[].forge.url", &s) {
		return
	}
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(s, "?#") {
		r.at(n, "write it as https://HOST", "fleets[].forge.url is not the URL of a forge")
		return
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		r.at(n, "use https", "fleets[].forge.url %q: whoever is on the way could read the token", s)
		return
	}
	*to = strings.TrimSuffix(s, "/")
}

func isProject(s string) bool {
	return regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)+$`).MatchString(s) && !strings.Contains(s, "..")
}

func (r *reader) app(n *yaml.Node, to *App) {
	before := len(r.problems)
	r.fields(n, "fleets[].forge.app",
		key{"id", func(n *yaml.Node) { r.number(n, "fleets[].forge.app.id", &to.ID) }},
		key{"installation", func(n *yaml.Node) { r.number(n, "fleets[].forge.app.installation", &to.Installation) }},
		key{"key_file", func(n *yaml.Node) {
			if r.path(n, "fleets[].forge.app.key_file", &to.KeyFile) {
				r.private(n, to.KeyFile)
			}
		}},
	)
	if len(r.problems) == before && (to.ID == 0 || to.KeyFile == "") {
		r.at(n, "write app: {id: 123, key_file: FILE}", "fleets[].forge.app needs an id and a key_file")
	}
}

// number takes a positive integer.
func (r *reader) number(n *yaml.Node, where string, to *int64) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || n.Decode(to) != nil || *to <= 0 {
		r.at(n, "write it as 123", "%s must be a positive number", where)
	}
}

// operators reads teams by glob; the order counts.
func (r *reader) operators(n *yaml.Node, to *Forge) {
	r.pairs(n, "fleets[].forge.operators", func(k, v *yaml.Node) {
		var o Operators
		r.glob(k, "a key of fleets[].forge.operators", &o.Clusters)
		r.items(v, join("fleets[].forge.operators", k.Value), func(n *yaml.Node) {
			var team string
			if r.text(n, "a team of fleets[].forge.operators", &team) && !isProject(team) {
				r.at(n, "write it as ORGANISATION/TEAM", "fleets[].forge.operators: %q is not a team", team)
			}
			o.Teams = append(o.Teams, team)
		})
		if len(o.Teams) == 0 {
			r.at(v, "name a team, or delete the line", "fleets[].forge.operators: nobody is named for %q", o.Clusters)
		}
		to.Operators = append(to.Operators, o)
	})
}
