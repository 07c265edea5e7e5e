package embed

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// systemd keeps the services of a node, as far as systemctl and journalctl are
// asked there: units of /etc/systemd/system, of Type notify and simple.
type systemd struct {
	node    *Node
	journal journal

	mu       sync.Mutex
	services map[string]*service // by unit name; what systemd knows, not what lies on disk
}

func newSystemd(n *Node) *systemd {
	return &systemd{node: n, services: map[string]*service{}}
}

// powerOff kills everything and waits for it.
func (s *systemd) powerOff() error {
	var failed []error
	for _, name := range s.names() {
		failed = append(failed, s.service(name).kill())
	}
	return errors.Join(failed...)
}

func (s *systemd) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name := range s.services {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// service is what systemd knows of a unit; one that it does not know is
// not-found.
func (s *systemd) service(name string) *service {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.services[name] == nil {
		s.services[name] = &service{systemd: s, name: name}
	}
	return s.services[name]
}

// daemonReload takes up the units that lie on disk.
func (s *systemd) daemonReload() {
	dir := s.node.path("/etc/systemd/system")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // no folder, no units
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".service") {
			body, err := os.ReadFile(filepath.Join(dir, e.Name()))
			s.service(e.Name()).load(body, err)
		}
	}
	for _, name := range s.names() {
		if _, err := os.Lstat(filepath.Join(dir, name)); errors.Is(err, fs.ErrNotExist) {
			s.service(name).load(nil, err)
		}
	}
}

// systemctl does one call of systemctl.
func (s *systemd) systemctl(args []string) told {
	var words, properties []string
	value := false
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "-p" && i+1 < len(args):
			i++
			properties = append(properties, strings.Split(args[i], ",")...)
		case args[i] == "-P" && i+1 < len(args):
			i++
			properties, value = append(properties, strings.Split(args[i], ",")...), true
		case strings.HasPrefix(args[i], "-"): // --no-pager, --quiet
		default:
			words = append(words, args[i])
		}
	}
	if len(words) == 1 && words[0] == "daemon-reload" {
		s.daemonReload()
		return told{}
	}
	if len(words) != 2 {
		return told{Stderr: fmt.Sprintf("systemctl of an embedded node does not know %q\n", args), Code: 1}
	}
	name := words[1]
	if !strings.HasSuffix(name, ".service") {
		name += ".service"
	}
	u := s.service(name)
	var err error
	switch words[0] {
	case "show":
		return told{Stdout: u.show(properties, value)}
	case "is-active":
		state := u.active()
		return told{Stdout: state + "\n", Code: map[bool]int{true: 0, false: 3}[state == "active"]}
	case "start":
		err = u.start(s.node.ctx)
	case "stop":
		err = u.stop()
	case "reload":
		err = u.reload()
	case "enable":
		err = u.enable()
	case "reset-failed":
		u.resetFailed()
	default:
		err = fmt.Errorf("systemctl of an embedded node does not know %q", args)
	}
	if err != nil {
		return told{Stderr: err.Error() + "\n", Code: 1}
	}
	return told{}
}

// stamp is a time as systemd shows it.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("Mon 2006-01-02 15:04:05 UTC")
}
