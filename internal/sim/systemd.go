package sim

// Systemd is one unit as systemd keeps it.
type Systemd struct {
	Loaded  string // digest of the unit that was loaded; empty: not found
	Enabled bool
	Masked  bool
	Active  string // active inactive failed
	Result  string
	Runs    int // how often it was started, which names the invocation
}

// Reload loads what lies on disk (daemon-reload).
func (s *Systemd) Reload(digest string) { s.Loaded = digest }

// Start is asked to start the unit, by systemctl or at boot.
func (s *Systemd) Start(run func() error) error {
	if s.Masked || s.Loaded == "" {
		return errNotFound
	}
	if s.Active == "active" {
		return nil
	}
	s.Runs++
	if err := run(); err != nil {
		s.Active, s.Result = "failed", "exit-code"
		return err
	}
	s.Active, s.Result = "active", "success"
	return nil
}

// Stop stops the unit cleanly.
func (s *Systemd) Stop() {
	if s.Active == "active" {
		s.Active, s.Result = "inactive", "success"
	}
}

// Kill is the process dying of a signal that systemd did not send.
func (s *Systemd) Kill() {
	if s.Active == "active" {
		s.Active, s.Result = "failed", "signal"
	}
}
