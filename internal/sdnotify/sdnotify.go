package sdnotify

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// Manager is whoever manages the service. All of it may be called by many.
type Manager struct {
	log   *slog.Logger
	every time.Duration // the watchdog has to be fed at least twice in that long; 0: there is none

	mu     sync.Mutex
	status string // that was told last
	mute   bool   // that nothing can be told was logged
}

// New finds the manager of this process, from $NOTIFY_SOCKET and $WATCHDOG_USEC.
func New(log *slog.Logger) *Manager {
	m := &Manager{log: log}
	var err error
	if m.every, err = daemon.SdWatchdogEnabled(false); err != nil {
		log.Error("the watchdog of systemd is not fed", "error", err)
	}
	return m
}

// Ready says that the service does what it is for, also after [Manager.Reloading].
func (m *Manager) Ready() { m.tell(daemon.SdNotifyReady) }

// Reloading says that the settings are being read anew. Ready has to follow, also
// when nothing came of it.
func (m *Manager) Reloading() {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return // never: the clock is one of every Linux
	}
	m.tell(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000))
}

// Stopping says that the service ends after what is in flight.
func (m *Manager) Stopping() { m.tell(daemon.SdNotifyStopping) }

// longer is how much longer is asked for at a time, and moreOften how often.
const (
	longer    = time.Minute
	moreOften = 20 * time.Second
)

// Extend asks for time until the context ends, for as long as all goes on.
func (m *Manager) Extend(ctx context.Context, late func() []string) {
	each(ctx, moreOften, func() {
		if len(late()) == 0 {
			m.tell(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", longer.Microseconds()))
		}
	})
}

// Status is one line about the service, for whoever asks systemctl status.
func (m *Manager) Status(line string) {
	line = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' ' // a line break would begin another word of the protocol
		}
		return r
	}, line)
	m.mu.Lock()
	again := m.status == line
	m.status = line
	m.mu.Unlock()
	if !again {
		m.tell("STATUS=" + line)
	}
}

// Watch feeds the watchdog until the context ends, for as long as all goes on.
// What does not is logged once.
func (m *Manager) Watch(ctx context.Context, late func() []string) {
	if m.every == 0 {
		return
	}
	told := false
	each(ctx, m.every/3, func() {
		hung := late()
		if len(hung) == 0 {
			m.tell(daemon.SdNotifyWatchdog)
		} else if !told {
			m.log.Error("does not go on: systemd is to start it anew", "what", strings.Join(hung, "; "))
		}
		told = len(hung) > 0
	})
}

// each does something now and then until the context ends.
func each(ctx context.Context, every time.Duration, do func()) {
	beat := time.NewTicker(every)
	defer beat.Stop()
	for ctx.Err() == nil {
		do()
		select {
		case <-ctx.Done():
		case <-beat.C:
		}
	}
}

// tell says something to the manager, where there is one.
func (m *Manager) tell(words string) {
	_, err := daemon.SdNotify(false, words)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil && !m.mute {
		m.log.Error("systemd cannot be told how the service is", "error", err)
	}
	m.mute = err != nil
}
