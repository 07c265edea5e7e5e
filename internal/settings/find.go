package settings

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Variable names the environment variable that leads to reconciler.yaml.
const Variable = "RECONCILER_CONFIG"

// places are where reconciler.yaml is looked for when nobody names it.
func places() []string {
	return []string{"reconciler.yaml", "/etc/reconciler/reconciler.yaml"}
}

// NotFoundError says where reconciler.yaml was looked for in vain. Commands
// that need no trust settings may go on without.
type NotFoundError struct {
	Tried []string
}

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("find reconciler.yaml: not there: %s; name it with --config FILE or %s, or make one: README.md has a complete example",
		strings.Join(e.Tried, ", "), Variable)
}

// Find is the path of reconciler.yaml: the flag, then $RECONCILER_CONFIG, then
// ./reconciler.yaml, then /etc/reconciler/reconciler.yaml. A file that was
// named must be there: the others are not tried in its stead.
func Find(flag string, lookup func(name string) (string, bool)) (string, error) {
	named := flag
	if named == "" {
		named, _ = lookup(Variable)
	}
	if named != "" {
		if _, err := os.Stat(named); err != nil {
			return "", &NotFoundError{Tried: []string{named}}
		}
		return filepath.Abs(named)
	}
	for _, place := range places() {
		if info, err := os.Stat(place); err == nil && !info.IsDir() {
			return filepath.Abs(place)
		}
	}
	return "", &NotFoundError{Tried: places()}
}

// StateVariable overrides the state folder (flag, RECONCILER_*, file, default;
// trust and secrets come from the file alone).
const StateVariable = "RECONCILER_STATE"

// Environment returns the settings with what the environment overrides.
func (s Settings) Environment(lookup func(name string) (string, bool)) (Settings, error) {
	state, ok := lookup(StateVariable)
	if !ok || state == "" {
		return s, nil
	}
	if !filepath.IsAbs(state) {
		return s, fmt.Errorf("read %s: %q is not an absolute path", StateVariable, state)
	}
	s.State = filepath.Clean(state)
	return s, nil
}
