package git

import "github.com/aymanbagabas/go-udiff"

// mergeLines merges two changes of a text by lines; false: they are a conflict.
// Changes that touch each other are one, as they are to git.
func mergeLines(fork, base, head string) (string, bool) {
	ours, theirs := udiff.Lines(fork, base), udiff.Lines(fork, head)
	for _, a := range ours {
		for _, b := range theirs {
			if a != b && a.Start <= b.End && b.Start <= a.End {
				return "", false
			}
		}
	}
	edits, ok := udiff.Merge(ours, theirs)
	if !ok {
		return "", false
	}
	text, err := udiff.Apply(fork, edits)
	return text, err == nil
}
