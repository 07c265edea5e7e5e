package vault

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultfleet/reconciler/pkg/actual"
)

const (
	token         = "hvs.CANARYtoken"
	configuration = `{"data":{"config":{"index":0,"servers":[
		{"node_id":"eu-2","address":"10.1.0.12:8201","leader":false,"protocol_version":"3","voter":true},
		{"node_id":"eu-1","address":"10.1.0.11:8201","leader":true,"protocol_version":"3","voter":true},
		{"node_id":"eu-3","address":"10.1.0.13:8201","leader":false,"protocol_version":"3","voter":false}]}}}`
	state = `{"data":{"healthy":true,"failure_tolerance":1,"leader":"eu-1","servers":{
		"eu-1":{"id":"eu-1","healthy":true,"stable_since":"2026-11-23T10:00:00.5Z"},
		"eu-2":{"id":"eu-2","healthy":false,"stable_since":"2026-11-23T11:00:00+01:00"}},"voters":["eu-1","eu-2"]}}`
)

func TestRaftReadsTheMembership(t *testing.T) {
	s := newServer(t)
	s.set("sys/storage/raft/configuration", says(200, configuration))
	s.set("sys/storage/raft/autopilot/state", says(200, state))
	got, err := s.client(t).Raft(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	want := actual.Raft{
		Servers: []actual.Server{
			{ID: "eu-1", Address: "10.1.0.11:8201", Voter: true, Leader: true},
			{ID: "eu-2", Address: "10.1.0.12:8201", Voter: true},
			{ID: "eu-3", Address: "10.1.0.13:8201"},
		},
		Autopilot: &actual.Autopilot{
			Healthy: true, FailureTolerance: 1, HealthyServers: map[string]bool{"eu-1": true, "eu-2": false},
			StableSince: map[string]time.Time{
				"eu-1": time.Date(2026, 11, 23, 10, 0, 0, 500_000_000, time.UTC), "eu-2": time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC),
			},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("raft (-want +got):\n%s", diff)
	}
	for _, r := range s.seen {
		if r.Header.Get("X-Vault-Token") != token || r.Header.Get("X-Vault-Request") != "true" {
			t.Errorf("%s with %v", r.URL, r.Header)
		}
	}
}

func TestRaftRefusesMembershipsThatMakeNoSense(t *testing.T) {
	for name, body := range map[string]string{
		"no data":          `{}`,
		"no members":       `{"data":{"config":{"servers":[]}}}`,
		"the same twice":   strings.Replace(configuration, "eu-2", "eu-1", 1),
		"an address twice": strings.Replace(configuration, "10.1.0.12", "10.1.0.11", 1),
		"two leaders":      strings.Replace(configuration, `"leader":false`, `"leader":true`, 1),
		"a nameless one":   strings.Replace(configuration, "eu-2", "", 1),
		"a coloured one":   strings.Replace(configuration, "eu-2", `\u001b[31m`, 1),
		"a crowd":          `{"data":{"config":{"servers":[` + strings.Repeat(`{"node_id":"x"},`, 100) + `{"node_id":"y"}]}}}`,
		"another type":     `{"data":{"config":{"servers":{}}}}`,
	} {
		s := newServer(t)
		s.set("sys/storage/raft/configuration", says(200, body))
		if got, err := s.client(t).Raft(t.Context(), token); err == nil || len(got.Servers) > 0 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestAutopilotIsUnknownWhenItMakesNoSense(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"null":                    says(200, `{"data":null}`),
		"nothing":                 says(200, `{"data":{}}`),
		"forbidden":               says(403, `{"errors":["permission denied"]}`),
		"HTML":                    says(200, `<html>`),
		"a negative tolerance":    says(200, strings.Replace(state, `"failure_tolerance":1`, `"failure_tolerance":-1`, 1)),
		"tolerance of all":        says(200, strings.Replace(state, `"failure_tolerance":1`, `"failure_tolerance":3`, 1)),
		"a leader from elsewhere": says(200, strings.Replace(state, `"leader":"eu-1"`, `"leader":"us-1"`, 1)),
		"a member from elsewhere": says(200, strings.Replace(state, `"eu-2":{`, `"us-2":{`, 1)),
		"a time that is none":     says(200, strings.Replace(state, "2026-11-23T10", "yesterday", 1)),
		"a redirect to the leader": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		},
	} {
		s := newServer(t)
		s.set("sys/storage/raft/configuration", says(200, configuration))
		s.set("sys/storage/raft/autopilot/state", answer)
		got, err := s.client(t).Raft(t.Context(), token)
		if err != nil || got.Autopilot != nil || len(got.Servers) != 3 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestDevicesReadsTheAuditDevices(t *testing.T) {
	for body, want := range map[string]map[string]actual.Device{
		`{"data":{"file/":{"type":"file","path":"file/","local":false,"options":{"file_path":"/var/log/vault/audit.log","log_raw":true}},"syslog/":{"type":"syslog","options":null}}}`: {
			"file":   {Type: "file", Options: map[string]string{"file_path": "/var/log/vault/audit.log", "log_raw": "true"}},
			"syslog": {Type: "syslog"},
		},
		`{"data":{}}`: {},
	} {
		s := newServer(t)
		s.set("sys/audit", says(200, body))
		got, err := s.client(t).Devices(t.Context(), token)
		if err != nil || got == nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("devices (-want +got):\n%s", diff)
		}
	}
	for _, body := range []string{`{}`, `{"data":null}`, `{"data":[]}`, ``} {
		s := newServer(t)
		s.set("sys/audit", says(200, body))
		if got, err := s.client(t).Devices(t.Context(), token); err == nil || got != nil {
			t.Errorf("%s: %v", body, got)
		}
	}
}

func TestForbiddenSaysSo(t *testing.T) {
	s := newServer(t)
	s.set("sys/audit", says(403, `{"errors":["permission denied"]}`))
	_, err := s.client(t).Devices(t.Context(), token)
	var no *StatusError
	if !errors.As(err, &no) || no.Code != 403 || !strings.Contains(err.Error(), "sys/audit answers 403: permission denied; does the policy") {
		t.Error(err)
	}
}

// Two machines of one fleet share a CA: a compromised standby must not be able
// to send our token on.
func TestATokenFollowsNoRedirect(t *testing.T) {
	s := newServer(t)
	canary := newServerOf(t, s.authority, nil)
	for _, code := range []int{301, 302, 303, 307, 308} {
		answer := func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", canary.URL+r.URL.Path)
			w.WriteHeader(code)
		}
		client := s.client(t)
		for _, path := range []string{"sys/audit", "sys/storage/raft/configuration", "auth/approle/login", "sys/seal-status"} {
			s.set(path, answer)
		}
		_, devices := client.Devices(t.Context(), token)
		_, raft := client.Raft(t.Context(), token)
		_, _, login := client.Login(t.Context(), "role", "CANARYsecret")
		_, _, status := client.Status(t.Context())
		for _, err := range []error{devices, raft, login, status} {
			if !errors.Is(err, errRedirect) {
				t.Errorf("%d: %v", code, err)
			}
		}
	}
	if canary.asked() != 0 {
		t.Errorf("the canary saw %d requests", canary.asked())
	}
}

func TestLoginExchangesTheCredential(t *testing.T) {
	s := newServer(t)
	s.set("auth/approle/login", says(200, `{"auth":{"client_token":"hvs.new","lease_duration":1200,"policies":["reconciler"]}}`))
	got, lasts, err := s.client(t).Login(t.Context(), "role", "CANARYsecret")
	if err != nil || got != "hvs.new" || lasts != 20*time.Minute {
		t.Errorf("%q for %v, %v", got, lasts, err)
	}
	if r := s.seen[0]; s.asked() != 1 || r.Method != "PUT" || s.bodies[0] != `{"role_id":"role","secret_id":"CANARYsecret"}` || r.Header.Get("X-Vault-Token") != "" {
		t.Errorf("%d requests: %s %s %s", s.asked(), r.Method, r.URL, s.bodies[0])
	}
}

func TestLoginKeepsSecretsOutOfItsErrors(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"refused, repeating":  says(400, `{"errors":["invalid secret id CANARYsecret"]}`),
		"no token":            says(200, `{"auth":null}`),
		"an empty token":      says(200, `{"auth":{"client_token":""}}`),
		"a coloured token":    says(200, `{"auth":{"client_token":"hvs.CANARY\u001b[31m"}}`),
		"a huge token":        says(200, `{"auth":{"client_token":"`+strings.Repeat("CANARY", 10_000)+`"}}`),
		"a negative lease":    says(200, `{"auth":{"client_token":"hvs.CANARY","lease_duration":-1}}`),
		"half an answer":      says(200, `{"auth":{"client_token":"hvs.CANARY`),
		"a token of no type":  says(200, `{"auth":{"client_token":["CANARY"]}}`),
		"a lease beyond time": says(200, `{"auth":{"client_token":"hvs.CANARY","lease_duration":9e18}}`),
	} {
		s := newServer(t)
		s.set("auth/approle/login", answer)
		got, _, err := s.client(t).Login(t.Context(), "CANARYrole", "CANARYsecret")
		if err == nil || got != "" || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if s.asked() != 1 {
			t.Errorf("%s: asked %d times", name, s.asked())
		}
	}
}

// Everything that vault/api reads from the environment, pointing elsewhere.
func TestTheEnvironmentIsIgnored(t *testing.T) {
	canary := newServer(t)
	canary.serving()
	missing := filepath.Join(t.TempDir(), "gone.pem")
	good := map[string]string{
		"VAULT_ADDR": canary.URL, "VAULT_AGENT_ADDR": canary.URL, "VAULT_PROXY_ADDR": canary.URL, "VAULT_HTTP_PROXY": canary.URL,
		"HTTPS_PROXY": canary.URL, "ALL_PROXY": canary.URL,
		"VAULT_TOKEN": "hvs.environment", "VAULT_NAMESPACE": "environment", "VAULT_HEADERS": `{"X-Environment":"yes"}`,
		"VAULT_SKIP_VERIFY": "true", "VAULT_MAX_RETRIES": "9", "VAULT_TLS_SERVER_NAME": "environment", "VAULT_WRAP_TTL": "60s",
	}
	bad := map[string]string{
		"VAULT_CACERT": missing, "VAULT_CAPATH": missing, "VAULT_CLIENT_CERT": missing, "VAULT_CLIENT_KEY": missing,
		"VAULT_HEADERS": `{`, "VAULT_SKIP_VERIFY": "perhaps", "VAULT_RATE_LIMIT": "x", "VAULT_CLIENT_TIMEOUT": "x",
		"VAULT_MAX_RETRIES": "x", "VAULT_SRV_LOOKUP": "x", "VAULT_DISABLE_REDIRECTS": "x", "VAULT_TOKEN": "hvs.environment\n",
	}
	for name, env := range map[string]map[string]string{"that points elsewhere": good, "that is broken": bad} {
		t.Run(name, func(t *testing.T) {
			for k, v := range env {
				t.Setenv(k, v)
			}
			s := newServer(t)
			s.serving()
			s.set("sys/audit", says(200, `{"data":{}}`))
			client := s.client(t)
			if _, _, err := client.Status(t.Context()); err != nil {
				t.Error(err)
			}
			if _, err := client.Devices(t.Context(), token); err != nil {
				t.Error(err)
			}
			for _, r := range s.seen {
				want := ""
				if r.URL.Path == "/v1/sys/audit" {
					want = token
				}
				if r.Header.Get("X-Vault-Token") != want || r.Header.Get("X-Vault-Namespace") != "" || r.Header.Get("X-Environment") != "" || r.Header.Get("X-Vault-Wrap-TTL") != "" {
					t.Errorf("%s with %v", r.URL, r.Header)
				}
			}
			if canary.asked() != 0 {
				t.Errorf("the canary saw %d requests", canary.asked())
			}
			for k, v := range env {
				if os.Getenv(k) != v {
					t.Errorf("%s is %q afterwards", k, os.Getenv(k))
				}
			}
		})
	}
}

func FuzzStatus(f *testing.F) {
	f.Add(sealOpen, healthOpen, leaderSelf, 200)
	f.Add(sealShut, healthShut, leaderNone, 503)
	f.Add(sealNew, healthNew, "null", 501)
	s := newServer(f)
	client := s.client(f)
	f.Fuzz(func(t *testing.T, seal, health, leader string, code int) {
		if code < 200 || code > 599 {
			return
		}
		s.set("sys/seal-status", says(200, seal))
		s.set("sys/health", says(code, health))
		s.set("sys/leader", says(200, leader))
		v, _, err := client.Status(t.Context())
		if err != nil {
			if v != (actual.Vault{}) {
				t.Errorf("an error and a status: %+v", v)
			}
			return
		}
		if v.Threshold > v.Shares || v.Progress > v.Threshold || v.Threshold < 0 || v.Progress < 0 || !v.Initialized && !v.Sealed || v.Health == 0 {
			t.Errorf("believed %+v", v)
		}
	})
}
