package git

import (
	"slices"
	"strings"
)

// mergeLines merges two changes of a text by lines, as git does (merge-ort, which
// takes its histogram diff and the level "zealous"); false: they are a conflict.
// Between changes of the two sides stands at least one line that neither changed;
// those that touch have to come to the same text.
func mergeLines(fork, base, head string) (string, bool) {
	was := linesOf(fork)
	ours, known := changes(was, linesOf(base))
	theirs, also := changes(was, linesOf(head))
	if !known || !also {
		return "", false
	}
	var merged []string
	at := 0
	for len(ours)+len(theirs) > 0 {
		a, b, start, end := touching(ours, theirs)
		text := replaced(was, ours[:a], start, end)
		switch theirs := replaced(was, theirs[:b], start, end); {
		case a == 0:
			text = theirs
		case b > 0 && !slices.Equal(text, theirs):
			return "", false
		}
		merged = append(append(merged, was[at:start]...), text...)
		ours, theirs, at = ours[a:], theirs[b:], end
	}
	return strings.Join(append(merged, was[at:]...), ""), true
}

// linesOf are the lines of a text, each with its end; the last may have none.
func linesOf(text string) []string { return slices.Collect(strings.Lines(text)) }

// touching is how many of the first changes of two sides hang together, and which
// lines they take in. Changes of one side never touch each other.
func touching(ours, theirs []change) (a, b, start, end int) {
	switch {
	case len(ours) == 0:
		start = theirs[0].start
	case len(theirs) == 0:
		start = ours[0].start
	default:
		start = min(ours[0].start, theirs[0].start)
	}
	end = start
	for {
		switch {
		case a < len(ours) && ours[a].start <= end:
			end = max(end, ours[a].end)
			a++
		case b < len(theirs) && theirs[b].start <= end:
			end = max(end, theirs[b].end)
			b++
		default:
			return a, b, start, end
		}
	}
}

// replaced is what changes make of the lines from start to end.
func replaced(was []string, by []change, start, end int) []string {
	var text []string
	for _, c := range by {
		text = append(append(text, was[start:c.start]...), c.text...)
		start = c.end
	}
	return append(text, was[start:end]...)
}
