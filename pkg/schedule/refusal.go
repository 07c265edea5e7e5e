package schedule

import "strconv"

// Refusal is what every error of this package is: what is wrong with a text, and
// what would be right.
type Refusal struct{ Text, Hint string }

func (r Refusal) Error() string { return r.Text + "; " + r.Hint }

// quoted is a text that was refused. It may come from anywhere, and is put into
// messages.
func quoted(s string) string {
	const enough = 80
	if len(s) > enough {
		return strconv.QuoteToASCII(s[:enough]) + "…"
	}
	return strconv.QuoteToASCII(s)
}
