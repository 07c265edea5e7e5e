package schedule_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/pkg/schedule"
)

func TestParseTakes(t *testing.T) {
	for _, row := range []struct{ text, next, said string }{
		{"0 22 * * TUE", "2026-05-05T22:00+02:00", "0 22 * * TUE Europe/Berlin"},
		{" 0\t22  * * tue ", "2026-05-05T22:00+02:00", "0 22 * * tue Europe/Berlin"},
		{"0 8-18/5,23 1 JAN,jun *", "2026-06-01T08:00+02:00", ""},
		{"? ? ? ? ?", "2026-05-01T12:01+02:00", ""},
		{"5/20 * * * *", "2026-05-01T12:05+02:00", ""},
		{"0 0 13 * FRI", "2026-05-08T00:00+02:00", ""}, // either day
		{"0 0 */2 * FRI", "2026-05-03T00:00+02:00", ""},
		{"0 0 * * FRI", "2026-05-08T00:00+02:00", ""},
		{"0 0 29 2 *", "2028-02-29T00:00+01:00", ""},
		{"0 0 31 4 SUN", "2027-04-04T00:00+02:00", ""}, // April has Sundays
		{"@hourly", "2026-05-01T13:00+02:00", "@hourly Europe/Berlin"},
		{"@daily", "2026-05-02T00:00+02:00", ""},
		{"@midnight", "2026-05-02T00:00+02:00", ""},
		{"@weekly", "2026-05-03T00:00+02:00", ""},
		{"@monthly", "2026-06-01T00:00+02:00", ""},
		{"@yearly", "2027-01-01T00:00+01:00", ""},
		{"@annually", "2027-01-01T00:00+01:00", ""},
	} {
		s := parse(t, row.text, "Europe/Berlin")
		if got := told(s.Next(at(t, "2026-05-01T12:00+02:00")), true); got != row.next {
			t.Errorf("%q is due at %s, want %s", row.text, got, row.next)
		}
		if row.said != "" && s.String() != row.said {
			t.Errorf("%q is called %q", row.text, s)
		}
	}
	s, err := schedule.Parse("@daily", nil)
	if err != nil || s.String() != "@daily UTC" {
		t.Errorf("without a zone: %v %v", s, err)
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                             `"" has not five fields; write minute hour day month weekday, as in "0 22 * * TUE"`,
		"0 22 * *":                     "has not five fields",
		"0 0 22 * * TUE":               "has not five fields",
		"TZ=0":                         "has a zone in it; take it out, and write the zone under its own key",
		"TZ=":                          "has a zone in it",
		"CRON_TZ=UTC":                  "has a zone in it",
		"TZ=UTC 0 22 * * *":            "has a zone in it",
		"CRON_TZ=UTC 0 22 * * *":       "has a zone in it",
		"0 22 * * TZ=":                 "has a zone in it",
		"tz=UTC 0 22 * * *":            `there is "=" in it`,
		"0 22 * * TUE\u00a0":           `there is "\u00a0" in it`,
		"0 22 * * \x1b[31m":            `there is "\x1b" in it`,
		"0 22 * * \xff":                `is no schedule`,
		"60 * * * *":                   `"60 * * * *" has the minute "60"; a minute is 0 to 59; * is any, and there are 1-5, */2 and 1,3`,
		"-1 * * * *":                   `has the minute "-1"`,
		"*/0 * * * *":                  `has the minute "*/0"`,
		"1/2/3 * * * *":                `has the minute "1/2/3"`,
		"5-1 * * * *":                  `has the minute "5-1"`,
		"1- * * * *":                   `has the minute "1-"`,
		", * * * *":                    `has the minute ","`,
		"1,,2 * * * *":                 `has the minute "1,,2"`,
		"1, * * * *":                   `has the minute "1,"`,
		"*-5 * * * *":                  `has the minute "*-5"`,
		"*5 * * * *":                   `has the minute "*5"`,
		"** * * * *":                   `has the minute "**"`,
		"99999999999999999999 0 * * *": `has the minute`,
		"0 24 * * *":                   `has the hour "24"; an hour is 0 to 23`,
		"0 0 0 * *":                    `has the day "0"; a day of the month is 1 to 31`,
		"0 0 L * *":                    `has the day "L"`,
		"0 0 1 13 *":                   `has the month "13"; a month is 1 to 12, or JAN to DEC`,
		"0 0 1 MAY-JAN *":              `has the month "MAY-JAN"`,
		"0 0 * * 7":                    `has the weekday "7"; a weekday is 0 to 6, or SUN to SAT; Sunday is 0`,
		"0 0 * * MON-SUN":              `has the weekday "MON-SUN"`,
		"0 0 * * FRI@":                 `has the weekday "FRI@"`,
		"@":                            `there is no "@"; there are @hourly`,
		"@Daily":                       `there is no "@Daily"`,
		"@reboot":                      `there is no "@reboot"`,
		"@daily 5":                     `there is no "@daily 5"`,
		"@every 1h":                    `counts from whenever it was read; write when it is due, as in "*/15 * * * *"`,
		"0 0 31 2 *":                   `"0 0 31 2 *" never comes; choose a day that the month has`,
		"0 0 30 2 *":                   "never comes",
		"0 0 31 4,6,9,11 *":            "never comes",
		strings.Repeat("1,", 5000):     "has not five fields",
	} {
		s, err := schedule.Parse(text, time.UTC)
		if refused := (schedule.Refusal{}); !errors.As(err, &refused) || refused.Hint == "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		} else if len(err.Error()) > 300 || !s.Equal(schedule.Schedule{}) {
			t.Errorf("%.40q: %v %v", text, s, err)
		}
	}
}

func TestZone(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "America/Port-au-Prince", "Etc/GMT+5", "US/Eastern"} {
		if z := zone(t, name); z.String() != name {
			t.Errorf("%s is %s", name, z)
		}
	}
	for name, want := range map[string]string{
		"":                              `"" is no name of a time zone; write an IANA name, as in Europe/Berlin or UTC`,
		"Local":                         "is no name",
		"localtime":                     "is no name",
		"EST":                           "is no name",
		"EST5EDT":                       "is no name",
		"CET":                           "is no name",
		"/etc/localtime":                "is no name",
		"Europe/":                       "is no name",
		"right/Europe/Berlin":           "is no name",
		"posix/Europe/Berlin":           "is no name",
		"Europe/B\x1brlin":              `"Europe/B\x1brlin" is no name`,
		"Europe/../secret":              "is no name",
		"Europe/Atlantis":               `there is no time zone "Europe/Atlantis"; write an IANA name`,
		"A/" + strings.Repeat("a", 100): "is no name",
	} {
		z, err := schedule.Zone(name, time.LoadLocation)
		if refused := (schedule.Refusal{}); !errors.As(err, &refused) || z != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v %v, want %s", name, z, err, want)
		}
	}
	if z, err := schedule.Zone("Europe/Atlantis", nil); z != nil || err != nil {
		t.Errorf("by its name alone: %v %v", z, err)
	}
}

// FuzzParse feeds it texts. Whatever they are, it ends with a schedule that comes,
// and is read again as the same, or with a refusal that is safe to print.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"0 22 * * TUE", "*/15 * * * *", "@hourly", "@every 1h", "TZ=0", "TZ=", "CRON_TZ=UTC", "TZ=UTC 0 0 * * *", "0 0 31 2 *", "0 0 29 2 *",
		", , , , ,", "*-5 ?/2 1-31/9223372036854775807 JAN-DEC SUN,1", "+1 +2 +3 +4 +5", "0 0 0 0 0",
	} {
		f.Add(seed)
	}
	now := time.Date(2026, time.March, 28, 12, 0, 0, 0, time.UTC)
	berlin := zone(f, "Europe/Berlin")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := schedule.Parse(text, berlin)
		if err != nil {
			if refused := (schedule.Refusal{}); !errors.As(err, &refused) || refused.Hint == "" || strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r > '~' && r != '…' }) {
				t.Errorf("%q: %q", text, err)
			}
			return
		}
		next := s.Next(now)
		if !next.After(now) {
			t.Errorf("%q is due at %v", text, next)
		}
		again, err := schedule.Parse(strings.TrimSuffix(s.String(), " Europe/Berlin"), berlin)
		if err != nil || !again.Equal(s) || !again.Next(now).Equal(next) {
			t.Errorf("%q is read again as %v: %v", text, again, err)
		}
	})
}
