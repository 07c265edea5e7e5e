package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/vaultfleet/reconciler/internal/daemon"
	"github.com/vaultfleet/reconciler/internal/health"
	"github.com/vaultfleet/reconciler/internal/hook"
	"github.com/vaultfleet/reconciler/internal/metrics"
	"github.com/vaultfleet/reconciler/internal/notify"
	"github.com/vaultfleet/reconciler/internal/sdnotify"
	"github.com/vaultfleet/reconciler/internal/settings"
	"github.com/vaultfleet/reconciler/internal/web"
	"github.com/vaultfleet/reconciler/pkg/desired"
)

// standing is the daemon from its start to its end. reconciler.yaml may be read
// several times meanwhile: the keeping of an older reading ends between two steps
// of each cluster, while that of the newer one begins, cluster by cluster, as the
// older one leaves it.
type standing struct {
	*running
	places  *daemon.Places
	pulse   *daemon.Pulse
	board   *board
	session []byte // key of those that see the pages
	manager *sdnotify.Manager

	now    *keeping
	before []*keeping // that may be at their last turns
	hooks  *ear
	health *ear
	post   *post

	episodes *episodes
}

// stand runs until the process is told to end.
func (r *running) stand(ctx context.Context) error {
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	defer signal.Stop(again)
	s := &standing{running: r, places: daemon.NewPlaces(), pulse: daemon.NewPulse(), board: newBoard(), session: web.NewKey(), manager: sdnotify.New(r.here.log)}
	r.metrics = metrics.New(metrics.Ports{Version: version(), Late: s.late, Log: r.here.log})
	r.shown = web.NewBoard()
	s.episodes = newEpisodes(r.here.history, r.metrics)
	next, wrong := s.make(ctx, r.here)
	if len(wrong) > 0 {
		for _, err := range wrong[:len(wrong)-1] {
			exitCode(err, r.stderr)
		}
		return wrong[len(wrong)-1]
	}
	for _, f := range next.fleets {
		f.log.Info("started", "version", version(), "repo", f.only.Repo, "branch", f.only.Branch, "interval", f.only.Interval, "state", r.here.settings.State)
	}
	told := s.tellsEnd(ctx)
	s.turnTo(ctx, next)
	beside, end := context.WithCancel(context.WithoutCancel(ctx))
	go s.manager.Watch(beside, s.late)
	s.wait(ctx, again)
	<-told
	s.manager.Stopping()
	go s.manager.Extend(beside, s.late)
	s.close()
	end()
	r.here.log.Info("ended")
	var by *signalled
	if errors.As(context.Cause(ctx), &by) && by.signal == syscall.SIGTERM {
		return nil
	}
	return context.Cause(ctx)
}

// late are the loops that should have been heard of.
func (s *standing) late() []string { return s.pulse.Late(time.Now()) }

// tellsEnd says once that the daemon is about to end.
func (s *standing) tellsEnd(ctx context.Context) (told chan struct{}) {
	told = make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(told)
		words := "ending after what is in flight"
		if s.letSignals() {
			words += "; a second signal ends at once"
		}
		s.here.log.Info(words, daemon.KeyReason, context.Cause(ctx))
	})
	return told
}

// tellEvery is how often systemd is told how it goes.
const tellEvery = time.Second

// wait reads reconciler.yaml again each time it is asked to, until the context
// ends, and tells systemd how it goes.
func (s *standing) wait(ctx context.Context, again <-chan os.Signal) {
	beat := time.NewTicker(tellEvery)
	defer beat.Stop()
	for ready := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-again:
			s.manager.Reloading()
			s.readAgain(ctx)
			s.manager.Ready()
		case <-beat.C:
			if !ready && len(s.now.waiting()) == 0 {
				ready = true
				s.manager.Ready()
			}
			s.manager.Status(s.board.words(s.now.waiting(), s.now.claims))
		}
	}
}

// readAgain takes reconciler.yaml as it is now, or, when anything is wrong with it,
// says all of that and leaves the settings that are in force.
func (s *standing) readAgain(ctx context.Context) {
	log := s.here.log
	h, wrong := s.reread()
	var next *made
	if len(wrong) == 0 {
		next, wrong = s.make(ctx, h)
	}
	for _, err := range wrong {
		attrs := []any{daemon.KeyError, err}
		if hint := hintOf(err); hint != "" {
			attrs = append(attrs, "hint", hint)
		}
		log.Error("wrong in reconciler.yaml", attrs...)
	}
	if len(wrong) > 0 {
		s.metrics.Reloaded(false)
		log.Error("reconciler.yaml is not taken: the settings that were read before stay in force", "file", h.settings.File, "errors", len(wrong))
		return
	}
	s.metrics.Reloaded(true)
	log.Info("reconciler.yaml is taken", "file", h.settings.File, "fleets", len(next.fleets))
	s.here = h
	h.history.SetKeep(h.settings.History.Keep)
	s.turnTo(ctx, next)
}

// reread is the host that reconciler.yaml says now, and everything that is wrong
// with it.
func (s *standing) reread() (host, []error) {
	file, state := s.here.settings.File, s.here.settings.State
	read, problems := settings.Load(file)
	var wrong []error
	for _, p := range problems {
		wrong = append(wrong, p)
	}
	read.File = file
	if len(wrong) > 0 {
		return host{settings: read}, wrong
	}
	h, err := hostFrom(read, s.here.log)
	h.settings.File, h.history = file, s.here.history
	if err != nil {
		return h, []error{err}
	}
	if h.settings.State != state {
		return h, []error{desired.Problem{Place: desired.Place{File: file}, Severity: desired.SeverityError,
			Text: fmt.Sprintf("state cannot change from %s to %s while the daemon runs: what it remembers lies there", state, h.settings.State),
			Hint: "change it back, or restart the daemon"}}
	}
	return h, nil
}

// made is a keeping that could begin, and where it would be heard.
type made struct {
	*keeping
	hooks, health *ear
	sinks         map[string]notify.Sink
	door          door
}

// make opens all that settings name, and says everything that is wrong.
func (s *standing) make(ctx context.Context, h host) (*made, []error) {
	k, wrong := s.prepare(ctx, h)
	next := &made{keeping: k}
	var err error
	if err := checkHooks(h.settings.Webhook); err != nil {
		wrong = append(wrong, err)
	}
	if next.hooks, err = listen(h.settings.Webhook.Listen, s.hooks, hook.Serve); err != nil {
		wrong = append(wrong, errBusy("hear webhooks", "webhook.listen", err))
	}
	if next.health, err = listen(h.settings.HTTP.Listen, s.health, web.Serve); err != nil {
		wrong = append(wrong, errBusy("tell how it goes over http", "http.listen", err))
	}
	var unfit []error
	next.sinks, unfit = sinksOf(h)
	wrong = append(wrong, unfit...)
	if k != nil {
		if k.post, err = openPost(h.settings.State, next.sinks, s.post, h.log); err != nil {
			wrong = append(wrong, err)
		}
	}
	if next.door, err = openDoor(h.settings.HTTP, s.session); err != nil {
		wrong = append(wrong, err)
	}
	if len(wrong) > 0 {
		s.unmake(next)
		return nil, wrong
	}
	return next, nil
}

// unmake lets go of what will not begin.
func (s *standing) unmake(next *made) {
	if next.hooks != s.hooks {
		next.hooks.close()
	}
	if next.health != s.health {
		next.health.close()
	}
	if next.keeping == nil {
		return
	}
	if next.post != s.post {
		next.post.close()
	}
	if next.world != nil {
		next.world.close()
	}
}

// turnTo begins a keeping, and ends the one before it after what that has in
// flight. Nothing can go wrong any more.
func (s *standing) turnTo(ctx context.Context, next *made) {
	log := s.here.log
	if s.now != nil {
		s.now.stop()
		s.before = append(s.over(), s.now)
	}
	s.board.forget()
	s.post = next.post
	s.post.use(next.sinks, log)
	s.metrics.Keep(next.titles())
	s.follows(next)
	next.begin(ctx, daemon.Ports{Seen: s.seen, Event: s.event, Recovered: s.metrics.Recovered, Places: s.places, Pulse: s.pulse})
	s.now = next.keeping
	oldHooks, oldHealth := s.hooks, s.health
	s.hooks, s.health = next.hooks, next.health
	if s.hooks != nil {
		s.hooks.answer(next.keeping.hooks(log), log, "webhooks are not heard any more")
		if s.hooks != oldHooks {
			log.Info("hearing webhooks", "listen", s.hooks.address, "path", hook.Path)
		}
	}
	if s.health != nil {
		s.health.tls.Store(next.door.tls)
		s.health.answer(s.pages(next.waiting, next.door), log, "nobody is told over http any more how it goes")
		s.shown.AskAgain()
		if s.health != oldHealth {
			log.Info("telling how it goes over http", "listen", s.health.address, "paths", strings.Join([]string{health.Healthz, health.Readyz, metrics.Path}, " "))
		}
	}
	if oldHooks != s.hooks {
		oldHooks.close()
	}
	if oldHealth != s.health {
		oldHealth.close()
	}
}

// over are the keepings before that are still at it.
func (s *standing) over() (still []*keeping) {
	for _, k := range s.before {
		select {
		case <-k.ended:
		default:
			still = append(still, k)
		}
	}
	return still
}

// close ends everything after what is in flight.
func (s *standing) close() {
	s.hooks.close()
	for _, k := range append(s.before, s.now) {
		<-k.ended
	}
	s.post.close()
	s.health.close()
}

// waiting are the fleets that have no commit in force.
func (k *keeping) waiting() (names []string) {
	for _, f := range k.fleets {
		if f.inForce.Load() == nil {
			names = append(names, f.only.Words())
		}
	}
	return names
}
