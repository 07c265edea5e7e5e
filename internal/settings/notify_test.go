package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLoadReadsWhereMessagesGo(t *testing.T) {
	path := write(t, `fleets: [{repo: "https://git.internal/acme/fleet", forge: {kind: gitea, token_file: t}}]
notify:
  ops:
    mail: {server: "smtp.internal:587", from: "Reconciler <reconciler@example.com>", to: [ops@example.com, "On call <oncall@example.com>"], username: rec, password_file: mail.pass, ca: ca.pem}
  local: {mail: {server: "[::1]:25", tls: none, from: a@example.com, to: [b@example.com]}}
  chat: {slack: {url_file: slack.url}}
  teams: {teams: {url_file: /etc/reconciler/teams.url, ca: ca.pem}}
  matrix: {shoutrrr: {url_file: matrix.url}}
  hook: {webhook: {url: "https://hooks.internal/reconciler", secret_file: hook.secret}}
  hidden: {webhook: {url_file: hook.url, secret_file: hook.secret}}
  board: {forge_issue: {}}
`)
	in := func(name string) string { return filepath.Join(filepath.Dir(path), name) }
	want := map[string]Sink{
		"ops": {Kind: SinkMail, CA: in("ca.pem"), Mail: Mail{Server: "smtp.internal:587", TLS: "starttls", Username: "rec", PasswordFile: in("mail.pass"),
			From: "Reconciler <reconciler@example.com>", To: []string{"ops@example.com", "On call <oncall@example.com>"}}},
		"local":  {Kind: SinkMail, Mail: Mail{Server: "[::1]:25", TLS: "none", From: "a@example.com", To: []string{"b@example.com"}}},
		"chat":   {Kind: SinkSlack, URLFile: in("slack.url")},
		"teams":  {Kind: SinkTeams, URLFile: "/etc/reconciler/teams.url", CA: in("ca.pem")},
		"matrix": {Kind: SinkShoutrrr, URLFile: in("matrix.url")},
		"hook":   {Kind: SinkWebhook, URL: "https://hooks.internal/reconciler", SecretFile: in("hook.secret")},
		"hidden": {Kind: SinkWebhook, URLFile: in("hook.url"), SecretFile: in("hook.secret")},
		"board":  {Kind: SinkForgeIssue},
	}
	s, problems := Load(path)
	if len(problems) > 0 {
		t.Fatal(said(path, problems))
	}
	if diff := cmp.Diff(want, s.Notify); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := strings.Join(s.SinkNames(), " "); got != "board chat hidden hook local matrix ops teams" {
		t.Errorf("names %s", got)
	}
}

func TestLoadRefusesASinkAndShowsNoSecret(t *testing.T) {
	const canary = "canary3f1c9d"
	mail := func(rest string) string {
		return `{mail: {server: "smtp.internal:587", from: a@example.com, to: [b@example.com]` + rest + `}}`
	}
	for sink, want := range map[string]string{
		`{}`: "is 0 things; give one of mail",
		`{slack: {url_file: f}, forge_issue: {}}`: "is 2 things",
		`{forge_issue: {}}`:                       "no fleet has a forge; add forge",
		`{forge_issue: {label: x}}`:               `unknown key "label"`,
		`{slak: {url_file: f}}`:                   "did you mean slack?",
		`{slack: {}}`:                             "add url_file: FILE",
		`{slack: {url: "https://hooks.slack.com/services/` + canary + `"}}`:         "such a URL is a secret; write it into a file",
		`{slack: {url_file: f, ca: c}}`:                                             `unknown key "ca"`,
		`{webhook: {url: "https://h/x"}}`:                                           "has no secret_file",
		`{webhook: {secret_file: f}}`:                                               "needs one of url and url_file",
		`{webhook: {url: "https://h/x", url_file: u, secret_file: f}}`:              "needs one of url and url_file",
		`{webhook: {url: "https://u:` + canary + `@h/x", secret_file: f}}`:          "holds a login or a ?",
		`{webhook: {url: "https://h/x?token=` + canary + `", secret_file: f}}`:      "give that as url_file",
		`{webhook: {url: "http://h/` + canary + `", secret_file: f}}`:               "use https",
		`{webhook: {url: "http://localhost/x", secret_file: f}}`:                    "use https",
		`{webhook: {url: "h/x", secret_file: f}}`:                                   "is not the URL of a webhook",
		`{mail: {from: a@example.com, to: [b@example.com]}}`:                        "does not say which server",
		`{mail: {server: "smtp.internal:587", to: [b@example.com]}}`:                "whom the mails are from",
		`{mail: {server: "smtp.internal:587", from: a@example.com}}`:                "whom the mails are to",
		`{mail: {server: smtp.internal, from: a@example.com, to: [b@example.com]}}`: "is not a host with a port",
		`{mail: {server: "smtp.internal:587", from: nobody, to: [b@example.com]}}`:  "is not the address of a mail",
		mail(`, tls: maybe`):                    "cannot be \"maybe\"; choose one of",
		mail(`, tls: none`):                     "without TLS whoever is on the way",
		mail(`, username: u`):                   "only one of username and password_file",
		mail(`, password_file: p`):              "only one of username and password_file",
		mail(`, password: "` + canary + `"`):    "a password does not stand here",
		mail(`, username: u, password_file: 1`): "must be a string",
	} {
		path := write(t, "state: s\nnotify: {x: "+sink+"}\n")
		_, problems := Load(path)
		text := strings.Join(said(path, problems), "\n")
		if !strings.Contains(text, want) || !strings.Contains(text, ":2:") {
			t.Errorf("%s: %s", sink, text)
		}
		if strings.Contains(text, canary) {
			t.Errorf("%s: the secret is in %s", sink, text)
		}
	}
}

func TestLoadLooksAtTheModesOfSecretsOfSinks(t *testing.T) {
	for _, sink := range []string{
		`{slack: {url_file: open}}`, `{webhook: {url: "https://h/x", secret_file: open}}`, `{webhook: {url_file: open, secret_file: f}}`,
		`{mail: {server: "smtp.internal:587", from: a@example.com, to: [b@example.com], username: u, password_file: open}}`,
	} {
		path := write(t, "notify: {x: "+sink+"}\n")
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), "open"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(filepath.Dir(path), "open"), 0o644); err != nil {
			t.Fatal(err)
		}
		_, problems := Load(path)
		if text := strings.Join(said(path, problems), "\n"); !strings.Contains(text, "everybody on this host may use it; chmod 600") {
			t.Errorf("%s: %s", sink, text)
		}
	}
}
