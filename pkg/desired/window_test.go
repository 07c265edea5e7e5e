package desired_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/pkg/desired"
)

func loadWindow(t *testing.T, window string, opts desired.Options) desired.Fleet {
	t.Helper()
	return desired.Load(edited(t, inSpec("pause: 30s", "window: "+window)), opts)
}

func TestAWindowOpensByTheClocksOfItsZone(t *testing.T) {
	const written = `{cron: "0 22 * * TUE", duration: 4h, timezone: Europe/Berlin}`
	tuesday := time.Date(2026, time.May, 5, 22, 30, 0, 0, time.UTC)
	for name, row := range map[string]struct {
		opts desired.Options
		want string
	}{
		"known zones":   {desired.Options{Zone: time.LoadLocation}, "2026-05-06T02:00:00+02:00"},
		"unknown zones": {desired.Options{}, "closed"},
	} {
		fleet := loadWindow(t, written, row.opts)
		c, ok := fleet.Cluster("prod-eu")
		if !ok || c.Rollout.Calendar.Window == nil {
			t.Fatalf("%s: %v", name, fleet.Problems)
		}
		got := "closed"
		if until, open := c.Rollout.Calendar.Window.Open(tuesday); open {
			got = until.Format(time.RFC3339)
		}
		if got != row.want {
			t.Errorf("with %s it is open until %s, want %s", name, got, row.want)
		}
	}
}

func TestAWindowIsRefused(t *testing.T) {
	for written, want := range map[string]string{
		`{cron: "TZ=UTC", duration: 2h, timezone: Europe/Berlin}`:         "`rollout.window.cron`: \"TZ=UTC\" has a zone in it; take it out, and write the zone under its own key",
		`{cron: "0 22 * * 7", duration: 2h, timezone: Europe/Berlin}`:     "`rollout.window.cron`: \"0 22 * * 7\" has the weekday \"7\"; a weekday is 0 to 6, or SUN to SAT; Sunday is 0",
		`{cron: "0 22 31 2 *", duration: 2h, timezone: Europe/Berlin}`:    "`rollout.window.cron`: \"0 22 31 2 *\" never comes; choose a day that the month has",
		`{cron: "0 22 * * TUE", duration: 2h, timezone: Local}`:           "`rollout.window.timezone`: \"Local\" is no name of a time zone; write an IANA name, as in Europe/Berlin or UTC",
		`{cron: "0 22 * * TUE", duration: 2h, timezone: Europe/Atlantis}`: `there is no time zone "Europe/Atlantis"; write an IANA name, as in Europe/Berlin or UTC`,
		`{cron: "0 22 * * *", duration: 24h, timezone: UTC}`:              `a window of 24h0m0s at "0 22 * * *" does not close; make it shorter or less often, or leave it out: without one any time will do`,
		`{cron: "0 22 * * TUE", duration: 2h}`:                            "`timezone` is missing; write the zone that cron is told in, as in timezone: Europe/Berlin",
		`{duration: 2h, timezone: UTC}`:                                   "`cron` is missing; write when the window begins",
		`{cron: "0 22 * * TUE", timezone: UTC}`:                           "`duration` is missing; write how long it is, as in duration: 2h",
	} {
		told := words(loadWindow(t, written, desired.Options{Zone: func(name string) (*time.Location, error) {
			if name == "Europe/Atlantis" {
				return nil, errors.New("it sank")
			}
			return time.LoadLocation(name)
		}}))
		if !strings.Contains(told, want) || strings.Count(told, "error: ") != 1 || !strings.Contains(told, "broken: prod-eu") {
			t.Errorf("%s:\n%swant %s", written, told, want)
		}
	}
}

func TestAFreezeWinsOverTheWindow(t *testing.T) {
	fleet := desired.Load(edited(t, []edit{{spec, "rollout: {approval: none, pause: 30s}",
		"rollout: {pause: 30s, freezes: [{from: 2026-12-20, until: 2027-01-02, timezone: Europe/Berlin, reason: end of year}]}"}}), desired.Options{Zone: time.LoadLocation})
	c, ok := fleet.Cluster("prod-eu")
	if !ok {
		t.Fatal(fleet.Problems)
	}
	for at, want := range map[string]bool{"2026-12-19T22:59:59Z": false, "2026-12-19T23:00:00Z": true, "2027-01-02T22:59:59Z": true, "2027-01-02T23:00:00Z": false} {
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if f, frozen := c.Rollout.Calendar.Frozen(now); frozen != want || frozen && f.Reason != "end of year" {
			t.Errorf("%s: %v %+v", at, frozen, f)
		}
	}
}

func TestAFreezeIsRefused(t *testing.T) {
	for freeze, want := range map[string]string{
		"{from: 2026-12-20, until: 2026-12-19, timezone: UTC, reason: r}":       "which is not after",
		"{from: tomorrow, until: 2026-12-19, timezone: UTC, reason: r}":         "is no day and no instant",
		"{from: 2026-12-20, until: 2026-12-21, reason: r}":                      "`timezone` is missing",
		"{from: 2026-12-20, until: 2026-12-21, timezone: UTC}":                  "`reason` is missing",
		"{from: 2026-12-20, until: 2026-12-21, timezone: Mars/X, reason: r}":    `there is no time zone "Mars/X"`,
		"{from: 2026-12-20, until: 2026-12-21, timezone: UTC, reason: r, x: 1}": "unknown key `x`",
	} {
		told := words(desired.Load(edited(t, []edit{{spec, "rollout: {approval: none, pause: 30s}", "rollout: {pause: 30s, freezes: [" + freeze + "]}"}}), desired.Options{Zone: time.LoadLocation}))
		if !strings.Contains(told, want) {
			t.Errorf("%s: %s", freeze, told)
		}
	}
}
