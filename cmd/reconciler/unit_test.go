//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const unitFile = "../../packaging/reconciler.service"

// directives are the lines of a unit, by key; a key may have several.
func directives(t *testing.T, file string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(file)
	check(t, err)
	all := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if key, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			all[key] = append(all[key], value)
		}
	}
	return all
}

// TestTheUnitShutsOutWhatTheDaemonDoesNotNeed: the directives themselves, also where
// there is no systemd to judge them.
func TestTheUnitShutsOutWhatTheDaemonDoesNotNeed(t *testing.T) {
	got := directives(t, unitFile)
	for key, want := range map[string][]string{
		"Type":                     {"notify", "notify-reload"},
		"NotifyAccess":             {"main"},
		"User":                     {"reconciler"},
		"StateDirectory":           {"reconciler"},
		"StateDirectoryMode":       {"0700"},
		"UMask":                    {"0077"},
		"LimitCORE":                {"0"},
		"KillMode":                 {"mixed"},
		"TimeoutStartSec":          {"infinity"},
		"NoNewPrivileges":          {"true"},
		"CapabilityBoundingSet":    {""},
		"AmbientCapabilities":      {""},
		"ProtectSystem":            {"strict"},
		"ProtectHome":              {"true"},
		"PrivateTmp":               {"true"},
		"PrivateDevices":           {"true"},
		"PrivateUsers":             {"true"},
		"ProtectKernelTunables":    {"true"},
		"ProtectKernelModules":     {"true"},
		"ProtectControlGroups":     {"true"},
		"ProtectProc":              {"invisible"},
		"RestrictNamespaces":       {"true"},
		"RestrictSUIDSGID":         {"true"},
		"MemoryDenyWriteExecute":   {"true"},
		"RestrictAddressFamilies":  {"AF_INET AF_INET6 AF_UNIX"},
		"SystemCallArchitectures":  {"native"},
		"SystemCallFilter":         {"@system-service", "~@privileged @resources"},
		"RestartPreventExitStatus": {fmt.Sprint(exitUsage) + " 6"},
	} {
		if !slices.Equal(got[key], want) {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
	if got["WatchdogSec"] == nil {
		t.Error("there is no watchdog")
	}
}

// TestTheScoreOfTheUnitIsTheOneInTheDocuments where systemd is there to ask; where it
// is not, the directives were held above.
func TestTheScoreOfTheUnitIsTheOneInTheDocuments(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	check(t, err)
	said := regexp.MustCompile(`systemd-analyze security --offline=true packaging/reconciler.service. gives it ([0-9]\.[0-9])`).FindSubmatch(text)
	if said == nil {
		t.Fatal("docs/operations.md does not say the score of the unit")
	}
	program, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze here")
	}
	out, err := exec.Command(program, "security", "--offline=true", "--threshold=15", unitFile).CombinedOutput()
	score := regexp.MustCompile(`Overall exposure level for reconciler.service: ([0-9.]+)`).FindSubmatch(out)
	if err != nil || score == nil {
		t.Fatalf("the unit is not below 1.5: %v\n%s", err, out)
	}
	if string(score[1]) != string(said[1]) {
		t.Errorf("its score is %s, and docs/operations.md says %s", score[1], said[1])
	}
}
