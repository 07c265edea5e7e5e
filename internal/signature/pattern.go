package signature

import "strings"

// matchesList says whether a comma-separated list of patterns has one that
// matches, and none that forbids it by a leading exclamation mark: PATTERNS in
// ssh_config(5).
func matchesList(s, list string) bool {
	matched := false
	for pattern := range strings.SplitSeq(list, ",") {
		forbidden, negated := strings.CutPrefix(pattern, "!")
		switch {
		case negated && matches(s, forbidden):
			return false
		case !negated && matches(s, pattern):
			matched = true
		}
	}
	return matched
}

// matches says whether a pattern, in which * stands for any characters and ?
// for one, matches all of a text. On a mismatch only the last * takes one
// character more, so no pattern takes long.
func matches(s, pattern string) bool {
	at, star, resume := 0, -1, 0
	for i := 0; i < len(s); {
		switch {
		case at < len(pattern) && pattern[at] == '*':
			star, resume = at, i
			at++
		case at < len(pattern) && (pattern[at] == '?' || pattern[at] == s[i]):
			at++
			i++
		case star >= 0:
			resume++
			at, i = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(pattern[at:], "*") == ""
}
