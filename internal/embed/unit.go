package embed

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// unit is a unit file, as far as an embedded node obeys it. What it promises of
// users, limits and sandboxes is not kept: all of a node is one user's.
type unit struct {
	notify      bool
	environment []string // files; one that begins with - may be missing
	pre         []string
	start       string
	reload      string
	restart     bool          // on failure
	pause       time.Duration // before it
}

// parseUnit reads a unit file. A unit without ExecStart is none.
func parseUnit(body []byte) (unit, error) {
	u := unit{pause: 100 * time.Millisecond}
	for line := range strings.Lines(string(body)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok {
			continue
		}
		switch key {
		case "Type":
			u.notify = value == "notify"
		case "EnvironmentFile":
			u.environment = append(u.environment, value)
		case "ExecStartPre":
			u.pre = append(u.pre, value)
		case "ExecStart":
			u.start = value
		case "ExecReload":
			u.reload = value
		case "RestartSec":
			seconds, err := strconv.Atoi(value)
			if err != nil {
				return u, fmt.Errorf("RestartSec=%s: only whole seconds are known here", value)
			}
			u.pause = time.Duration(seconds) * time.Second
		case "Restart":
			u.restart = value == "on-failure" || value == "always"
		}
	}
	if u.start == "" {
		return u, errors.New("the unit has no ExecStart")
	}
	return u, nil
}

// readEnvironment reads an EnvironmentFile: NAME=VALUE lines, quotes round a
// value are taken away.
func readEnvironment(path string) ([]string, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var env []string
	for line := range strings.Lines(string(body)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if n := len(value); n >= 2 && value[0] == value[n-1] && (value[0] == '"' || value[0] == '\'') {
			value = value[1 : n-1]
		}
		env = append(env, name+"="+value)
	}
	return env, nil
}
