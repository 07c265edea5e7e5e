package demo

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
)

// teller is what the story says, as it happens.
type teller struct {
	mu     sync.Mutex // the watcher speaks beside the commands
	out    io.Writer
	styled bool // for a terminal
}

const (
	bold  = "1"
	green = "32"
	red   = "31"
	dim   = "2"
)

func (t *teller) style(code, text string) string {
	if !t.styled {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (t *teller) say(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, format+"\n", args...)
}

// act opens an act.
func (t *teller) act(number int, title, sentence string) {
	t.say("\n%s %s\n%s\n", t.style(bold, string(rune('①'+number-1))), t.style(bold, title), sentence)
}

// command is a command line that is about to run.
func (t *teller) command(line string) { t.say("  %s", t.style(dim, "$ ")+t.style(bold, line)) }

// claim is what was found to be true, or not.
func (t *teller) claim(words string, err error) {
	if err == nil {
		t.say("  %s %s", t.style(green, "✓"), words)
	} else {
		t.say("  %s %s: %v", t.style(red, "✗"), words, err)
	}
}

// indented is the output of a command, line by line as it comes.
type indented struct {
	*teller
	rest []byte
}

func (w *indented) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		line, rest, ended := bytes.Cut(w.rest, []byte("\n"))
		if !ended {
			return len(p), nil
		}
		w.rest = rest
		if !bytes.HasSuffix(line, []byte("  …")) { // a step that begins: what it came to is told a moment later
			w.say("%s", strings.TrimRight("    "+string(line), " "))
		}
	}
}

// end says the last line when nothing ended it.
func (w *indented) end() {
	if len(w.rest) > 0 {
		w.say("    %s", w.rest)
		w.rest = nil
	}
}
