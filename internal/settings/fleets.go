package settings

import (
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"filippo.io/age"
	"gopkg.in/yaml.v3"
)

func (r *reader) fleets(n *yaml.Node, s *Settings) {
	seen := map[[3]string]bool{}
	r.items(n, "fleets", func(n *yaml.Node) {
		f := Fleet{Branch: defaultBranch, Path: ".", Interval: defaultInterval, Signatures: Signatures{Policy: "none"}}
		before := len(r.problems)
		var forge, signatures *yaml.Node // what follows from the rest is known once all of it was read
		r.fields(n, "fleets[]",
			key{"repo", func(n *yaml.Node) { r.remote(n, &f) }},
			key{"branch", func(n *yaml.Node) { r.branch(n, &f.Branch) }},
			key{"path", func(n *yaml.Node) { r.inside(n, &f.Path) }},
			key{"interval", func(n *yaml.Node) { r.interval(n, "fleets[].interval", &f.Interval) }},
			key{"clusters", func(n *yaml.Node) { r.globs(n, "fleets[].clusters", &f.Clusters) }},
			key{"ssh_key", func(n *yaml.Node) {
				if r.path(n, "fleets[].ssh_key", &f.SSHKey) {
					r.private(n, f.SSHKey)
				}
			}},
			key{"known_hosts", func(n *yaml.Node) {
				if r.path(n, "fleets[].known_hosts", &f.KnownHosts) {
					r.guarded(n, f.KnownHosts)
				}
			}},
			key{"token_file", func(n *yaml.Node) {
				if r.path(n, "fleets[].token_file", &f.TokenFile) {
					r.private(n, f.TokenFile)
				}
			}},
			key{"username", func(n *yaml.Node) { r.text(n, "fleets[].username", &f.Username) }},
			key{"ca", func(n *yaml.Node) {
				if r.path(n, "fleets[].ca", &f.CA) {
					r.guarded(n, f.CA)
				}
			}},
			key{"signatures", func(n *yaml.Node) {
				signatures = n
				r.signatures(n, &f.Signatures)
			}},
			key{"forge", func(n *yaml.Node) { forge = n }},
		)
		if f.Signatures.Policy == policyForge && forge == nil {
			r.at(signatures, "add forge: {kind: …, token_file: FILE} to the fleet", "fleets[].signatures.policy forge asks a forge, and the fleet has none")
		}
		if len(r.problems) > before {
			return
		}
		r.fits(n, f)
		if forge != nil {
			r.forge(forge, &f)
		}
		if len(r.problems) > before {
			return
		}
		place := [3]string{f.Repo, f.Branch, f.Path}
		switch {
		case f.Repo == "":
			r.at(n, "add repo: /srv/git/fleet.git", "a fleet has no repo")
		case seen[place]:
			r.at(n, "delete one of them", "the fleet in %s at %s is already listed", f.Path, f.Repo)
		default:
			seen[place] = true
			s.Fleets = append(s.Fleets, f)
		}
	})
}

// branch takes what git-check-ref-format(1) takes, and less.
func (r *reader) branch(n *yaml.Node, to *string) {
	var s string
	if !r.text(n, "fleets[].branch", &s) {
		return
	}
	if !regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$`).MatchString(s) ||
		strings.Contains(s, "..") || strings.HasSuffix(s, ".lock") || strings.HasPrefix(s, "refs/") {
		r.at(n, "write the short name, as main", "fleets[].branch %q is not the name of a branch", s)
		return
	}
	*to = s
}

// inside takes a folder of the repo.
func (r *reader) inside(n *yaml.Node, to *string) {
	var s string
	if !r.text(n, "fleets[].path", &s) {
		return
	}
	if path.IsAbs(s) || path.Clean(s) == ".." || strings.HasPrefix(path.Clean(s), "../") {
		r.at(n, "write it relative to the root of the repo", "fleets[].path %q leads out of the repo", s)
		return
	}
	*to = path.Clean(s)
}

// holders reads people and their age recipients. Plugins are not taken: the
// name in the recipient would choose a program to run.
func (r *reader) holders(n *yaml.Node, s *Settings) {
	s.Holders = map[string]string{}
	r.pairs(n, "holders", func(k, v *yaml.Node) {
		var recipient string
		if !r.name(k, "holders") || !r.text(v, join("holders", k.Value), &recipient) {
			return
		}
		if _, err := age.ParseX25519Recipient(recipient); err != nil {
			if strings.HasPrefix(strings.ToUpper(recipient), "AGE-SECRET-KEY-") {
				r.at(v, "replace it with the age1… line of that key file, and the key itself with a new one",
					"holders.%s is a private key; it must be a recipient", k.Value)
				return
			}
			r.at(v, "make one with age-keygen and give its age1… line", "holders.%s is not an age recipient", k.Value)
			return
		}
		s.Holders[k.Value] = recipient
	})
}

// name takes what may name a person, a secret or a service.
func (r *reader) name(n *yaml.Node, where string) bool {
	if !regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$`).MatchString(n.Value) {
		r.at(n, "use letters, digits, dots, dashes and underscores, at most 63", "%s: %q is not a name", where, n.Value)
		return false
	}
	return true
}

func (r *reader) secrets(n *yaml.Node, s *Settings) {
	s.Secrets = map[string]Secret{}
	r.pairs(n, "secrets", func(k, v *yaml.Node) {
		if !r.name(k, "secrets") {
			return
		}
		where := join("secrets", k.Value)
		var secret Secret
		before := len(r.problems)
		sources := 0
		r.fields(v, where,
			key{"clusters", func(n *yaml.Node) { r.glob(n, where+".clusters", &secret.Clusters) }},
			key{"file", func(n *yaml.Node) {
				sources++
				if r.path(n, where+".file", &secret.File) {
					r.private(n, secret.File)
				}
			}},
			key{"env", func(n *yaml.Node) { sources++; r.variable(n, where+".env", &secret.Env) }},
			key{"exec", func(n *yaml.Node) { sources++; r.command(n, where+".exec", &secret.Exec) }},
			key{"age", func(n *yaml.Node) { sources++; r.path(n, where+".age", &secret.Age) }},
		)
		switch {
		case len(r.problems) > before:
		case secret.Clusters == "":
			r.at(k, `add clusters: "prod-*"`, "%s does not say for which clusters it is", where)
		case sources != 1:
			r.at(k, "give one of file, env, exec, age", "%s has %d sources", where, sources)
		default:
			s.Secrets[k.Value] = secret
		}
	})
}

func (r *reader) glob(n *yaml.Node, where string, to *string) {
	var s string
	if !r.text(n, where, &s) {
		return
	}
	if _, err := path.Match(s, ""); err != nil || strings.Contains(s, "/") {
		r.at(n, "write a name, or a glob as prod-*", "%s %q is not a glob", where, s)
		return
	}
	*to = s
}

// globs reads one glob, or a list of them.
func (r *reader) globs(n *yaml.Node, where string, to *[]string) {
	one := func(n *yaml.Node, where string) {
		var glob string
		if r.glob(n, where, &glob); glob != "" {
			*to = append(*to, glob)
		}
	}
	if n.Kind != yaml.SequenceNode {
		one(n, where)
		return
	}
	if len(n.Content) == 0 {
		r.at(n, `delete it to keep all clusters, or write ["prod-*"]`, "%s is empty: no cluster would be kept", where)
		return
	}
	r.items(n, where, func(n *yaml.Node) { one(n, "an item of "+where) })
}

func (r *reader) variable(n *yaml.Node, where string, to *string) {
	if r.text(n, where, to) && !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`).MatchString(*to) {
		r.at(n, "write the bare name", "%s is not the name of an environment variable", where)
	}
}

// command takes an argument vector. The program is an absolute path: what
// $PATH leads to is not for a daemon that holds secrets.
func (r *reader) command(n *yaml.Node, where string, to *[]string) {
	r.items(n, where, func(n *yaml.Node) {
		var s string
		if r.text(n, "an item of "+where, &s) {
			*to = append(*to, s)
		}
	})
	if len(*to) == 0 || !filepath.IsAbs((*to)[0]) {
		r.at(n, "write it as [/usr/bin/program, argument]", "%s must be a list that begins with an absolute path", where)
	}
}
