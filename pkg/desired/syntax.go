package desired

import (
	"bytes"
	"sort"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// yaml.v3 tells a syntax error by text alone: "yaml: line N: what". It has no
// column; N is one too small when the parser and not the scanner complains;
// for block maps and lists N is where they begin, which may be a page above
// the mistake; and on the first line there is no N at all
// (yaml.v3 v3.0.1, decode.go, parser.fail).

// syntaxProblem puts yaml.v3's complaint where the mistake is, as far as that
// can be known, and adds what is probably meant.
func syntaxProblem(file string, body []byte, err error) Problem {
	line, what := splitSyntaxError(err)
	if name, ok := strings.CutPrefix(what, "unknown anchor '"); ok {
		name, _, _ = strings.Cut(name, "'")
		return Problem{
			Place: find(file, body, "*"+name), Severity: SeverityError,
			Text: "`*" + name + "` is a YAML alias, which specs may not use", Hint: "text that begins with * needs quotes",
		}
	}
	switch {
	case what == "did not find expected key" || what == "did not find expected '-' indicator":
		line = firstRefused(body, what)
	case strings.HasPrefix(what, "did not find expected"):
		line++
	case line == 0:
		line = 1
	}
	line = min(line, 1+bytes.Count(body, []byte("\n"))) // the end of a file may count as a line of its own
	p := Problem{Place: Place{File: file, Line: line}, Severity: SeverityError, Text: "this is not YAML: " + what}
	if where, placeholder, ok := nakedPlaceholder(body, line); ok {
		p.Place = Place{File: file, Line: where.Line, Column: where.Column}
		p.Hint = "put text that holds " + placeholder + " into quotes, as in \"tls/" + placeholder + ".crt\""
		return p
	}
	p.Hint = syntaxHint(what)
	return p
}

// find is the first place of a text in a file.
func find(file string, body []byte, text string) Place {
	at := bytes.Index(body, []byte(text))
	if at < 0 {
		return Place{File: file, Line: 1}
	}
	before := body[:at]
	return Place{File: file, Line: 1 + bytes.Count(before, []byte("\n")), Column: at - bytes.LastIndexByte(before, '\n')}
}

func splitSyntaxError(err error) (line int, what string) {
	what = strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(what, "line "); ok {
		if number, text, ok := strings.Cut(rest, ": "); ok {
			line, _ = strconv.Atoi(number)
			what = text
		}
	}
	return line, what
}

// firstRefused is the last line of the shortest beginning of the file that
// yaml.v3 refuses in the same words. What follows a mistake in block style
// cannot heal it, so the lines can be searched by halves.
func firstRefused(body []byte, what string) int {
	lines := bytes.SplitAfter(body, []byte("\n"))
	return 1 + sort.Search(len(lines)-1, func(i int) bool {
		var n yaml.Node
		err := yaml.Unmarshal(bytes.Join(lines[:i+1], nil), &n)
		if err == nil {
			return false
		}
		_, said := splitSyntaxError(err)
		return said == what
	})
}

// nakedPlaceholder looks, from a line on, for a {word} outside of quotes: in a
// flow map or at the beginning of a value YAML takes its brace for a map.
func nakedPlaceholder(body []byte, from int) (Place, string, bool) {
	lines := strings.Split(string(body), "\n")
	for i := max(from-1, 0); i < len(lines) && i < from+20; i++ {
		var quote byte
		line := lines[i]
		for j := 0; j < len(line); j++ {
			switch c := line[j]; {
			case quote != 0:
				if c == quote {
					quote = 0
				}
			case c == '"' || c == '\'':
				quote = c
			case c == '#' && (j == 0 || line[j-1] == ' '):
				j = len(line)
			case c == '{':
				word, _, closed := strings.Cut(line[j+1:], "}")
				if closed && word != "" && all(word, isPlaceholderByte) {
					return Place{Line: i + 1, Column: j + 1}, "{" + word + "}", true
				}
			}
		}
	}
	return Place{}, "", false
}

func syntaxHint(what string) string {
	switch {
	case strings.Contains(what, "cannot start any token"):
		return "indent with spaces, not with tabs, and put text that begins with @, ` or % into quotes"
	case strings.Contains(what, "mapping values are not allowed"):
		return "text that holds `: ` needs quotes; else look at the indentation of this line and the one above"
	case strings.Contains(what, "could not find expected ':'"):
		return "a key ends with a colon and a space"
	case strings.Contains(what, "did not find expected ',' or"):
		return "look for a missing comma, or a bracket that is not closed"
	case strings.Contains(what, "expected key"), strings.Contains(what, "'-' indicator"):
		return "look at the indentation of this line"
	case strings.Contains(what, "unexpected end of stream"):
		return "a quote is not closed"
	case strings.Contains(what, "max depth"):
		return "write it flatter"
	}
	return ""
}
