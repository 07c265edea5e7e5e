package embed

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// journal is what the services of a node said.
type journal struct {
	mu    sync.Mutex
	lines []said
}

type said struct {
	at   time.Time
	unit string
	text string
}

// output is where a service writes, line by line.
type output struct {
	journal *journal
	unit    string
	rest    []byte // begun and not ended
}

// Write never fails: a line without an end is kept until it is too long, or the
// last one.
func (o *output) Write(p []byte) (int, error) {
	o.rest = append(o.rest, p...)
	for {
		line, rest, ended := bytes.Cut(o.rest, []byte("\n"))
		if !ended && len(o.rest) < 48<<10 { // as journald cuts them
			return len(p), nil
		}
		o.journal.say(o.unit, string(line))
		o.rest = rest
	}
}

// end is the end of what a service writes.
func (o *output) end() {
	if len(o.rest) > 0 {
		o.journal.say(o.unit, string(o.rest))
	}
}

func (j *journal) say(unit, text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, said{time.Now(), unit, text})
}

// journalctl does one call of journalctl. A cursor is the number of a line.
func (s *systemd) journalctl(args []string) told {
	const prefix = "_SYSTEMD_UNIT="
	var unit string
	var since time.Time
	after, most, cursor := -1, -1, false
	for i := 0; i < len(args); i++ {
		next := func() string {
			if i+1 < len(args) {
				i++
				return args[i]
			}
			return ""
		}
		switch a := args[i]; {
		case a == "--sync":
			return told{}
		case a == "-o":
			next() // cat: the words alone
		case a == "-u":
			unit = strings.TrimSuffix(next(), ".service") + ".service"
		case a == "-n":
			most, _ = strconv.Atoi(next())
		case a == "--since":
			seconds, _ := strconv.ParseInt(strings.TrimPrefix(next(), "@"), 10, 64)
			since = time.Unix(seconds, 0)
		case a == "--after-cursor":
			after, _ = strconv.Atoi(strings.TrimPrefix(next(), "i="))
		case a == "--show-cursor":
			cursor = true
		case strings.HasPrefix(a, prefix):
			unit = strings.TrimPrefix(a, prefix)
		}
	}
	s.journal.mu.Lock()
	lines := slices.Clone(s.journal.lines)
	s.journal.mu.Unlock()
	var found []int
	for i, l := range lines {
		if i > after && (unit == "" || l.unit == unit) && !l.at.Before(since) {
			found = append(found, i)
		}
	}
	if most >= 0 && len(found) > most {
		found = found[len(found)-most:]
	}
	var out strings.Builder
	for _, i := range found {
		out.WriteString(lines[i].text + "\n")
	}
	if cursor && len(found) > 0 {
		fmt.Fprintf(&out, "-- cursor: i=%d\n", found[len(found)-1])
	}
	return told{Stdout: out.String()}
}
