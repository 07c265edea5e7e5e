package embed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// How long systemd is patient with a service that ends.
const stopWithin = 30 * time.Second

// service is one unit as systemd keeps it. What lies on disk may be another.
type service struct {
	systemd *systemd
	name    string

	job sync.Mutex // held by who starts, stops or reloads it

	mu         sync.Mutex
	loaded     []byte // nil: not found
	unit       unit
	masked     bool
	bad        error  // why the unit cannot be obeyed
	state      string // ActiveState; empty is inactive
	sub        string
	result     string
	invocation string
	began      time.Time
	restarts   int
	reloads    int  // that ended, by its own word
	run        *run // the process
}

func (s *service) path() string { return s.systemd.node.path("/etc/systemd/system/" + s.name) }

// load takes up what lies on disk.
func (s *service) load(body []byte, err error) {
	to, _ := os.Readlink(s.path()) // most units are no links
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded, s.masked, s.bad = body, to == "/dev/null", nil
	switch {
	case err != nil:
		s.loaded = nil
	case !s.masked:
		s.unit, s.bad = parseUnit(body)
	}
}

func (s *service) wants() string {
	return s.systemd.node.path("/etc/systemd/system/multi-user.target.wants/" + s.name)
}

func (s *service) enabled() bool {
	_, err := os.Lstat(s.wants())
	return err == nil
}

func (s *service) enable() error {
	if _, err := os.Stat(s.path()); err != nil {
		return inItsWords("Failed to enable unit: Unit file %s does not exist.", s.name)
	}
	if err := os.MkdirAll(filepath.Dir(s.wants()), 0o755); err != nil {
		return err
	}
	if err := os.Symlink("/etc/systemd/system/"+s.name, s.wants()); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func (s *service) resetFailed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == "failed" {
		s.state, s.sub, s.result, s.restarts = "", "", "", 0
	}
}

// active is ActiveState.
func (s *service) active() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.activeState()
}

// activeState is ActiveState. The caller holds mu.
func (s *service) activeState() string {
	if s.state == "" {
		return "inactive"
	}
	return s.state
}

// show is systemctl show; with value -P.
func (s *service) show(properties []string, value bool) string {
	disk, err := os.ReadFile(s.path())
	enabled := s.enabled()
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.activeState()
	facts := map[string]string{"LoadState": "loaded", "ActiveState": state, "SubState": s.sub, "Result": s.result,
		"UnitFileState": "disabled", "NeedDaemonReload": "no", "FragmentPath": "/etc/systemd/system/" + s.name, "DropInPaths": "",
		"InvocationID": s.invocation, "NRestarts": strconv.Itoa(s.restarts), "MainPID": "0", "ExecMainStartTimestamp": stamp(s.began)}
	if s.run != nil {
		facts["MainPID"] = strconv.Itoa(s.run.cmd.Process.Pid)
	}
	if s.sub == "" {
		facts["SubState"] = map[bool]string{true: "running", false: "dead"}[state == "active"]
	}
	if s.result == "" {
		facts["Result"] = "success"
	}
	switch {
	case s.masked:
		facts["LoadState"], facts["UnitFileState"] = "masked", "masked"
	case s.loaded == nil:
		facts["LoadState"], facts["FragmentPath"], facts["UnitFileState"] = "not-found", "", ""
	case enabled:
		facts["UnitFileState"] = "enabled"
	}
	if s.loaded != nil && (err != nil || string(disk) != string(s.loaded)) {
		facts["NeedDaemonReload"] = "yes"
	}
	var out strings.Builder
	for _, p := range properties {
		if v, ok := facts[p]; ok && value {
			out.WriteString(v + "\n")
		} else if ok {
			out.WriteString(p + "=" + v + "\n")
		}
	}
	return out.String()
}

// start starts it and returns once it is up, or why it is not.
func (s *service) start(ctx context.Context) error {
	s.job.Lock()
	defer s.job.Unlock()
	return s.startHeld(ctx)
}

// startHeld is start. The caller holds job.
func (s *service) startHeld(ctx context.Context) error {
	s.mu.Lock()
	switch {
	case s.masked:
		s.mu.Unlock()
		return inItsWords("Failed to start %s: Unit %s is masked.", s.name, s.name)
	case s.loaded == nil:
		s.mu.Unlock()
		return inItsWords("Failed to start %s: Unit %s not found.", s.name, s.name)
	case s.bad != nil:
		s.mu.Unlock()
		return inItsWords("Failed to start %s: Unit %s has a bad unit file setting: %w", s.name, s.name, s.bad)
	case s.run != nil:
		s.mu.Unlock()
		return nil
	}
	u := s.unit
	s.state, s.sub, s.result, s.invocation = "activating", "start", "", random(16)
	s.mu.Unlock()
	r, err := s.begin(ctx, u)
	if err == nil {
		select {
		case <-r.ready:
			return nil
		case <-r.ended:
		case <-ctx.Done():
		}
		err = errors.New("the process ended")
	} else {
		s.systemd.journal.say(s.name, err.Error())
		s.mu.Lock()
		s.state, s.sub, s.result = "failed", "failed", "resources"
		s.mu.Unlock()
	}
	return inItsWords("Job for %s failed: %w", s.name, err)
}

// stop ends it and returns once it is gone.
func (s *service) stop() error {
	s.job.Lock()
	defer s.job.Unlock()
	s.mu.Lock()
	r := s.run
	if r == nil {
		s.state, s.sub = "", "" // also no more automatic restart
		s.mu.Unlock()
		return nil
	}
	r.asked = true
	s.state, s.sub = "deactivating", "stop-sigterm"
	s.mu.Unlock()
	return s.end(r, syscall.SIGTERM)
}

// kill is what a loss of power does.
func (s *service) kill() error {
	s.mu.Lock()
	r := s.run
	s.mu.Unlock()
	if r == nil {
		return nil
	}
	return s.end(r, syscall.SIGKILL)
}

// reload runs ExecReload. What came of it the process says itself.
func (s *service) reload() error {
	s.job.Lock()
	defer s.job.Unlock()
	s.mu.Lock()
	r, line := s.run, s.unit.reload
	s.mu.Unlock()
	if r == nil {
		return inItsWords("%s is not active, cannot reload.", s.name)
	}
	if line == "" {
		return inItsWords("Job type reload is not applicable for unit %s.", s.name)
	}
	words, _ := s.words(line, "MAINPID", strconv.Itoa(r.cmd.Process.Pid))
	n := s.systemd.node
	if out, err := n.command(n.ctx, words[0], words[1:]...).CombinedOutput(); err != nil {
		return inItsWords("Job for %s failed: %w: %s", s.name, err, out)
	}
	return nil
}

// reloaded is how many reloads have ended.
func (s *service) reloaded() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reloads
}

// inItsWords is an error as systemctl says it.
func inItsWords(format string, args ...any) error { return fmt.Errorf(format, args...) }

// words is a command line of a unit: its own paths are those of the node, and
// one variable is known. Forgiven says that it may fail.
func (s *service) words(line, name, value string) (words []string, forgiven bool) {
	n := s.systemd.node
	program := strings.TrimLeft(line, "-+!@:")
	forgiven = strings.Contains(line[:len(line)-len(program)], "-")
	for _, word := range strings.Fields(program) {
		if name != "" {
			word = strings.NewReplacer("${"+name+"}", value, "$"+name, value).Replace(word)
		}
		option, path := "", word
		if before, after, ok := strings.Cut(word, "="); ok {
			option, path = before+"=", after
		}
		if strings.HasPrefix(path, "/") {
			if _, err := os.Stat(n.path(path)); err == nil {
				word = option + n.path(path)
			}
		}
		words = append(words, word)
	}
	if len(words) > 1 && words[0] == "/usr/bin/env" && words[1] == "-i" {
		words = append(append(words[:2:2], n.env()...), words[2:]...) // or it would take itself for the host
	}
	return words, forgiven
}
