package settings

import (
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

const (
	policyNone  = "none"
	policyForge = "forge"

	defaultReviews = 1
	maxReviews     = 10 // more approvals than that nobody means
)

// signatures reads whose commits are followed.
func (r *reader) signatures(n *yaml.Node, to *Signatures) {
	before := len(r.problems)
	r.fields(n, "fleets[].signatures",
		key{"policy", func(n *yaml.Node) {
			known := []string{policyNone, "head", "every-commit", policyForge}
			if r.text(n, "fleets[].signatures.policy", &to.Policy) && !slices.Contains(known, to.Policy) {
				r.at(n, "choose one of "+strings.Join(known, ", "), "fleets[].signatures.policy cannot be %q", to.Policy)
			}
		}},
		key{"allowed_signers", func(n *yaml.Node) {
			if r.path(n, "fleets[].signatures.allowed_signers", &to.AllowedSigners) {
				r.guarded(n, to.AllowedSigners)
			}
		}},
		key{"keys", func(n *yaml.Node) { r.guardedPaths(n, "fleets[].signatures.keys", &to.Keys) }},
		key{"forge_keys", func(n *yaml.Node) { r.guardedPaths(n, "fleets[].signatures.forge_keys", &to.ForgeKeys) }},
		key{"reviews", func(n *yaml.Node) {
			if r.number(n, "fleets[].signatures.reviews", &to.Reviews); to.Reviews > maxReviews {
				r.at(n, "write it as 1", "fleets[].signatures.reviews: at most %d approvals can be asked for, not %d", maxReviews, to.Reviews)
			}
		}},
		key{"reviewers", func(n *yaml.Node) { r.reviewers(n, &to.Reviewers) }},
	)
	if len(r.problems) == before {
		r.completeSignatures(n, to)
	}
}

// completeSignatures says what is missing, and what has no effect.
func (r *reader) completeSignatures(n *yaml.Node, to *Signatures) {
	people := to.AllowedSigners != "" || len(to.Keys) > 0
	reviewed := len(to.ForgeKeys) > 0 || to.Reviews > 0 || len(to.Reviewers) > 0
	switch {
	case to.Policy != policyForge && reviewed:
		r.at(n, "write policy: forge, or delete them", "fleets[].signatures: forge_keys, reviews and reviewers are of the policy forge, and it is %s", to.Policy)
	case to.Policy == policyForge && people:
		r.at(n, "delete them: what people sign is not asked under it", "fleets[].signatures: allowed_signers and keys are not of the policy forge")
	case to.Policy == policyNone && people:
		r.at(n, "add policy: every-commit", "fleets[].signatures names who may sign, and no commit has to be signed")
	case to.Policy == policyNone:
	case to.Policy != policyForge && !people:
		r.at(n, "add allowed_signers: FILE, or keys: [FILE]", "fleets[].signatures does not say who may sign")
	case to.Policy == policyForge:
		if len(to.ForgeKeys) == 0 {
			r.at(n, "add forge_keys: [FILE], with the key that the forge signs merges with (of github.com: https://github.com/web-flow.gpg)", "fleets[].signatures does not say how the forge signs")
		}
		if len(to.Reviewers) == 0 {
			r.at(n, "add reviewers: [ORGANISATION/TEAM], or names of users", "fleets[].signatures does not say whose approval counts")
		}
		if to.Reviews == 0 {
			to.Reviews = defaultReviews
		}
	}
}

// reviewers reads users and teams.
func (r *reader) reviewers(n *yaml.Node, to *[]string) {
	r.items(n, "fleets[].signatures.reviewers", func(n *yaml.Node) {
		var who string
		if !r.text(n, "an item of fleets[].signatures.reviewers", &who) {
			return
		}
		user := regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*(\[bot\])?$`).MatchString(who)
		switch {
		case !user && !isProject(who):
			r.at(n, "write a user as ada, a team as ORGANISATION/TEAM", "fleets[].signatures.reviewers: %q is neither a user nor a team", who)
		case slices.ContainsFunc(*to, func(other string) bool { return strings.EqualFold(other, who) }):
			r.at(n, "delete one of them", "fleets[].signatures.reviewers: %q is already listed", who)
		default:
			*to = append(*to, who)
		}
	})
}
