package notify

import (
	"errors"
	"net/url"
	"strings"

	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/discord"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/googlechat"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/lark"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/matrix"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/mattermost"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/rocketchat"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/signal"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/slack"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/teams"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/telegram"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/wecom"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/zulip"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/incident/opsgenie"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/incident/pagerduty"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/bark"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/gotify"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/ifttt"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/join"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/ntfy"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/pushbullet"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/pushover"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/specialized/notifiarr"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
)

// service is that of a URL, in the notation of shoutrrr. Its own router is not used: it
// brings smtp, logger and generic, which fill in templates, and a program that does
// keeps every method that it has, 12 MB of them. There are sinks of ours for what those
// are for.
func service(raw string) (types.Service, error) {
	at, err := url.Parse(raw)
	if err != nil {
		return nil, errNoService
	}
	name, _, custom := strings.Cut(at.Scheme, "+")
	s := named(name)
	if s == nil {
		return nil, errNoService
	}
	if custom {
		c, ok := s.(types.CustomURLService)
		if !ok {
			return nil, errNoService
		}
		if at, err = c.GetConfigURLFromCustom(at); err != nil {
			return nil, errNoService
		}
	}
	if s.Initialize(at, nil) != nil { // its error quotes the URL
		return nil, errNoService
	}
	return s, nil
}

var errNoService = errors.New("the url of the chat is none that is taken; see the page of the service at shoutrrr.nickfedor.com (for generic, logger and smtp use a sink of webhook or mail)")

func named(name string) types.Service {
	switch name {
	case "bark":
		return &bark.Service{}
	case "discord":
		return &discord.Service{}
	case "googlechat", "hangouts":
		return &googlechat.Service{}
	case "gotify":
		return &gotify.Service{}
	case "ifttt":
		return &ifttt.Service{}
	case "join":
		return &join.Service{}
	case "lark":
		return &lark.Service{}
	case "matrix":
		return &matrix.Service{}
	case "mattermost":
		return &mattermost.Service{}
	case "notifiarr":
		return &notifiarr.Service{}
	case "ntfy":
		return &ntfy.Service{}
	case "opsgenie":
		return &opsgenie.Service{}
	case "pagerduty":
		return &pagerduty.Service{}
	case "pushbullet":
		return &pushbullet.Service{}
	case "pushover":
		return &pushover.Service{}
	case "rocketchat":
		return &rocketchat.Service{}
	case "signal":
		return &signal.Service{}
	case "slack":
		return &slack.Service{}
	case "teams":
		return &teams.Service{}
	case "telegram":
		return &telegram.Service{}
	case "wecom":
		return &wecom.Service{}
	case "zulip":
		return &zulip.Service{}
	}
	return nil
}
