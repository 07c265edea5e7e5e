package simvault

import (
	"fmt"
	"io"
	"log"
	"slices"
	"strings"
	"sync"
	"time"
)

// logger writes as Vault does.
type logger struct {
	out io.Writer

	mu    sync.Mutex
	level int
}

// set sets the level by its name; empty is info.
func (l *logger) set(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch name = strings.ToLower(name); name {
	case "":
		name = "info"
	case "err":
		name = "error"
	case "warning":
		name = "warn"
	}
	l.level = slices.Index(levels, name)
}

func (l *logger) say(level, words string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.Index(levels, level) >= l.level {
		fmt.Fprintf(l.out, "%s %-7s %s\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), "["+strings.ToUpper(level)+"]", words)
	}
}

// std is for net/http.
func (l *logger) std() *log.Logger { return log.New(lines{l}, "", 0) }

type lines struct{ *logger }

func (l lines) Write(p []byte) (int, error) {
	l.say("info", strings.TrimSpace(string(p)))
	return len(p), nil
}
