package notify

import (
	"fmt"
	"strings"
)

// A text that is too long for a sink is never cut somewhere: whole lines are kept from
// its beginning, what they opened is closed, and how many are left out is said. A text
// that fits is not touched.

// fit is a text of at most so many bytes. Each line that is left out counts; a single
// line that does not fit is left out like any other.
func fit(text string, most int, more func(left int) string) string {
	if len(text) <= most {
		return text
	}
	lines := strings.SplitAfter(strings.TrimRight(text, "\n"), "\n")
	var kept strings.Builder
	open := unclosed{}
	for i, line := range lines {
		after := open.then(line)
		if kept.Len()+len(line)+len(after.close())+len(more(len(lines)))+2 > most {
			return kept.String() + open.close() + "\n" + more(len(lines)-i)
		}
		kept.WriteString(line)
		open = after
	}
	return kept.String()
}

// leftOut says how many lines are.
func leftOut(link string) func(int) string {
	return func(left int) string {
		text := fmt.Sprintf("… and %d more lines", left)
		if link != "" {
			text += ": " + link
		}
		return text
	}
}

// unclosed is what Markdown has open after some lines.
type unclosed struct {
	fence   string // of code; empty: none
	details int
}

func (u unclosed) then(line string) unclosed {
	bare := strings.TrimSpace(line)
	ticks := len(bare) - len(strings.TrimLeft(bare, "`"))
	switch {
	case u.fence != "" && ticks >= len(u.fence) && ticks == len(bare):
		u.fence = ""
	case u.fence == "" && ticks >= 3:
		u.fence = bare[:ticks]
	case u.fence == "":
		u.details += strings.Count(line, "<details>") - strings.Count(line, "</details>")
	}
	return u
}

func (u unclosed) close() string {
	text := ""
	if u.fence != "" {
		text = u.fence + "\n"
	}
	return text + strings.Repeat("\n</details>\n", max(0, u.details))
}
