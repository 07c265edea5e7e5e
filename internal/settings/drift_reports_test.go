package settings

import (
	"strings"
	"testing"
	"time"
)

const told = `notify: {ops: {webhook: {url: "https://hook.internal/x", secret_file: hook.secret}}}
`

func TestDriftReportsAreRead(t *testing.T) {
	s, problems := Load(write(t, told+
		`drift_reports: [{cron: "30 8 * * MON-FRI", timezone: Europe/Berlin, clusters: ["prod-*"], sinks: [ops]}]`+"\n"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	r := s.DriftReports[0]
	saturday := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	if due := r.Schedule.Next(saturday); !due.Equal(time.Date(2026, 11, 30, 7, 30, 0, 0, time.UTC)) || r.Sinks[0] != "ops" || r.Clusters[0] != "prod-*" {
		t.Errorf("%v %+v", due, r)
	}
}

func TestDriftReportsAreRefused(t *testing.T) {
	for item, want := range map[string]string{
		`{timezone: UTC, sinks: [ops]}`:                                  "does not say when",
		`{cron: "0 8 * * *", sinks: [ops]}`:                              "in which time zone",
		`{cron: "0 8 * * *", timezone: UTC}`:                             "who is told",
		`{cron: "0 8 * * *", timezone: UTC, sinks: [osp]}`:               `notify has no sink "osp"; did you mean ops?`,
		`{cron: "0 8 31 2 *", timezone: UTC, sinks: [ops]}`:              "0 8 31 2 *",
		`{cron: "TZ=UTC 0 8 * * *", timezone: UTC, sinks: [ops]}`:        "TZ=UTC",
		`{cron: "0 8 * * *", timezone: Mars/X, sinks: [ops]}`:            `there is no time zone "Mars/X"`,
		`{cron: "0 8 * * *", timezone: UTC, sinks: [ops], cluster: [x]}`: `unknown key "cluster"`,
	} {
		_, problems := Load(write(t, told+"drift_reports: ["+item+"]\n"))
		var all []string
		for _, p := range problems {
			all = append(all, p.Error())
		}
		if text := strings.Join(all, "\n"); len(all) != 1 || !strings.Contains(text, want) {
			t.Errorf("%s: %q does not say %q", item, text, want)
		}
	}
}
