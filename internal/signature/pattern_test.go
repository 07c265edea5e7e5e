package signature

import (
	"strings"
	"testing"
)

func TestPatternsAreThoseOfSSH(t *testing.T) {
	for _, c := range []struct {
		s, list string
		want    bool
	}{
		{"git", "git", true},
		{"git", "gi", false},
		{"git", "gitx", false},
		{"git", "", false},
		{"", "", true},
		{"git", "*", true},
		{"", "*", true},
		{"git", "g*t", true},
		{"git", "g**t", true},
		{"git", "git*", true},
		{"git", "*git", true},
		{"git", "*i", false},
		{"gitgit", "g*t", true},
		{"gitgix", "*git", false},
		{"git", "???", true},
		{"git", "????", false},
		{"git", "?", false},
		{"git", "g?*", true},
		{"git", "file,git", true},
		{"git", "file, git", false},
		{"git", "git,!git", false},
		{"git", "!git,git", false},
		{"git", "!file", false},
		{"git", "!file,*", true},
		{"Git", "git", false},
		{"a.b", "a[.]b", false},
		{"a\\b", "a\\b", true},
	} {
		if got := matchesList(c.s, c.list); got != c.want {
			t.Errorf("%q in %q: %t", c.s, c.list, got)
		}
	}
}

// A pattern is followed in one way at a time; in all ways at once, this would
// take years.
func TestNoPatternTakesLong(t *testing.T) {
	if matches(strings.Repeat("a", 10000), strings.Repeat("a*", 1000)+"b") {
		t.Error("it matches")
	}
}
