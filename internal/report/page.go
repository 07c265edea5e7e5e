package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Options say how text is laid out.
type Options struct {
	Color bool
	Width int // columns to wrap at; 0: do not wrap
}

// style is a colour of a terminal (ECMA-48, select graphic rendition).
type style string

const (
	plain  style = ""
	bold   style = "1"
	faint  style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
	cyan   style = "36"
)

// page writes lines and remembers the first error, so that writing text reads
// like text.
type page struct {
	w   io.Writer
	o   Options
	err error
}

func (p *page) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.w, strings.TrimRight(fmt.Sprintf(format, args...), " "))
	}
}

func (p *page) paint(s style, text string) string {
	if !p.o.Color || s == plain || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// wrapped writes foreign text behind a label; further lines are indented as
// far as the label reaches.
func (p *page) wrapped(label string, s style, text string) {
	indent := strings.Repeat(" ", width(label))
	for i, l := range wrap(clean(text), p.o.Width-width(label)) {
		if i == 0 {
			p.line("%s%s", p.paint(s, label), l)
		} else {
			p.line("%s%s", indent, l)
		}
	}
}

// wrap cuts a text into lines between words; a narrow page is not wrapped.
func wrap(text string, columns int) []string {
	if columns < 20 || width(text) <= columns {
		return []string{text}
	}
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case width(line)+1+width(word) <= columns:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}

// width is how many columns a cleaned text takes.
func width(s string) int { return utf8.RuneCountInString(s) }

func pad(s string, columns int) string {
	return s + strings.Repeat(" ", max(0, columns-width(s)))
}

// table writes rows of foreign text in columns that line up; a style per row
// is optional.
func (p *page) table(indent string, rows [][]string, styles []style) {
	var columns []int
	for _, r := range rows {
		for i, cell := range r {
			if i == len(columns) {
				columns = append(columns, 0)
			}
			r[i] = clean(cell)
			columns[i] = max(columns[i], min(width(r[i]), 60))
		}
	}
	for i, r := range rows {
		var b strings.Builder
		for j, cell := range r {
			b.WriteString(pad(cell, columns[j]) + "  ")
		}
		s := plain
		if i < len(styles) {
			s = styles[i]
		}
		p.line("%s%s", indent, p.paint(s, strings.TrimRight(b.String(), " ")))
	}
}

// count is "1 node" or "3 nodes".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Table writes rows of foreign text, the first one as a heading.
func Table(w io.Writer, o Options, rows [][]string) error {
	p := &page{w: w, o: o}
	p.table("", rows, []style{faint})
	return p.err
}
