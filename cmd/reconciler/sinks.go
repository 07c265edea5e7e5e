package main

import (
	"fmt"
	"net/mail"
	"os"

	"github.com/vaultfleet/reconciler/internal/notify"
	"github.com/vaultfleet/reconciler/internal/secret"
	"github.com/vaultfleet/reconciler/internal/settings"
)

// sinksOf are the sinks that reconciler.yaml names, and all that is wrong with them.
// Nothing is connected to, and secrets are read for each message.
func sinksOf(h host) (sinks map[string]notify.Sink, wrong []error) {
	sinks = map[string]notify.Sink{}
	for _, name := range h.settings.SinkNames() {
		sink, err := sinkOf(h, h.settings.Notify[name])
		if err != nil {
			wrong = append(wrong, &exitError{code: exitFailed, err: fmt.Errorf("open notify.%s: %w", name, err), hint: "correct it in " + h.settings.File})
			continue
		}
		sinks[name] = sink
	}
	return sinks, wrong
}

func sinkOf(h host, s settings.Sink) (notify.Sink, error) {
	roots, err := rootsOf(s.CA)
	if err != nil {
		return nil, err
	}
	switch s.Kind {
	case settings.SinkMail:
		return mailOf(s, notify.MailServer{Roots: roots})
	case settings.SinkWebhook:
		at := func() (string, error) { return s.URL, nil }
		if s.URLFile != "" {
			at = func() (string, error) {
				text, err := secret.ReadFile(s.URLFile)
				return string(text.Reveal()), err
			}
		}
		return notify.NewWebhook(at, file(s.SecretFile), roots), nil
	case settings.SinkForgeIssue:
		trackers, err := trackersOf(h.settings)
		return notify.NewIssue(func(source string) (notify.Tracker, bool) { t, ok := trackers[source]; return t, ok }), err
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	service := map[settings.SinkKind]notify.Service{settings.SinkSlack: notify.Slack, settings.SinkTeams: notify.Teams}[s.Kind]
	return notify.NewChat(service, file(s.URLFile), roots, program, "notify", "relay"), nil
}

func file(path string) func() (secret.Bytes, error) {
	return func() (secret.Bytes, error) { return secret.ReadFile(path) }
}

func mailOf(s settings.Sink, server notify.MailServer) (notify.Sink, error) {
	from, err := mail.ParseAddress(s.Mail.From)
	if err != nil {
		return nil, err
	}
	server.Address, server.Security, server.From = s.Mail.Server, notify.Security(s.Mail.TLS), *from
	for _, to := range s.Mail.To {
		address, err := mail.ParseAddress(to)
		if err != nil {
			return nil, err
		}
		server.To = append(server.To, *address)
	}
	if s.Mail.Username != "" {
		server.Username, server.Password = s.Mail.Username, file(s.Mail.PasswordFile)
	}
	return notify.NewMail(server)
}

// trackersOf are the forges of the fleets that have one, by what messages name as their
// Source.
func trackersOf(s settings.Settings) (map[string]notify.Tracker, error) {
	trackers := map[string]notify.Tracker{}
	for _, f := range s.Fleets {
		if f.Forge.Kind == "" {
			continue
		}
		client, err := forgeOf(f.Forge)
		if err != nil {
			return nil, err
		}
		trackers[f.Words()] = client
	}
	return trackers, nil
}
