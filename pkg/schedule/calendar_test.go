package schedule_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/pkg/schedule"
)

func freeze(t testing.TB, from, until, in string) schedule.Freeze {
	t.Helper()
	f, err := schedule.ParseFreeze(from, until, zone(t, in), from)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestParseFreeze(t *testing.T) {
	for _, row := range []struct{ from, until, zone, want string }{
		{"2026-12-20", "2027-01-03", "Europe/Berlin", "2026-12-20T00:00+01:00 2027-01-04T00:00+01:00"},
		{"2026-12-24", "2026-12-24", "Europe/Berlin", "2026-12-24T00:00+01:00 2026-12-25T00:00+01:00"},
		{"2026-12-20T18:00:00+01:00", "2026-12-21T06:00:00Z", "Europe/Berlin", "2026-12-20T18:00+01:00 2026-12-21T07:00+01:00"},
		{"2026-12-20T18:00:00+01:00", "2026-12-20", "Europe/Berlin", "2026-12-20T18:00+01:00 2026-12-21T00:00+01:00"},
		{"2026-04-24", "2026-04-24", "Africa/Cairo", "2026-04-24T01:00+03:00 2026-04-25T00:00+03:00"},   // no midnight
		{"2026-10-31", "2026-11-01", "America/Havana", "2026-10-31T00:00-04:00 2026-11-02T00:00-05:00"}, // two of them
		{"2026-11-01", "2026-11-01", "America/Havana", "2026-11-01T00:00-04:00 2026-11-02T00:00-05:00"},
	} {
		f := freeze(t, row.from, row.until, row.zone)
		if got := told(f.From, true) + " " + told(f.Until, true); got != row.want || f.Reason != row.from {
			t.Errorf("%s to %s: %s for %s, want %s", row.from, row.until, got, f.Reason, row.want)
		}
	}
	for _, row := range []struct{ from, until, want string }{
		{"2027-01-03", "2026-12-20", `the freeze ends at "2026-12-20", which is not after "2027-01-03"; write the earlier one first`},
		{"2026-12-20T18:00:00Z", "2026-12-20T18:00:00Z", "which is not after"},
		{"2026-02-30", "2026-12-20", `"2026-02-30" is no day and no instant; write 2026-12-20 for all of a day, or 2026-12-20T18:00:00+01:00`},
		{"2026-12-20", "20.12.2026", `"20.12.2026" is no day`},
		{"2026-12-20", "", `"" is no day`},
		{"2026-12-20 18:00", "2026-12-21", `"2026-12-20 18:00" is no day`},
		{"2026-12-20T18:00:00", "2026-12-21", "is no day and no instant"}, // of which zone?
	} {
		_, err := schedule.ParseFreeze(row.from, row.until, nil, "")
		if refused := (schedule.Refusal{}); !errors.As(err, &refused) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s to %s: %v, want %s", row.from, row.until, err, row.want)
		}
	}
}

func TestAFreezeWins(t *testing.T) {
	nights := window(t, "0 22 * * *", "UTC", 4*time.Hour)
	never := schedule.Window{}
	freezes := []schedule.Freeze{
		freeze(t, "2026-12-20", "2026-12-24", "UTC"),
		freeze(t, "2026-12-23", "2026-12-31", "UTC"),                                      // overlaps it
		freeze(t, "2027-01-05T23:00:00Z", "2027-01-06T01:00:00Z", "UTC"),                  // amid a window
		{From: at(t, "2027-02-01T23:00Z"), Until: at(t, "2027-02-01T23:00Z")},             // is none
		{From: at(t, "2027-02-01T23:30Z"), Until: at(t, "2027-02-01T22:00Z"), Reason: ""}, // and neither is this
	}
	for _, row := range []struct {
		name     string
		calendar schedule.Calendar
		now      string
		frozen   string // its from, or none
		until    string
		opens    string
		half     string // until when what takes half an hour may begin
	}{
		{"open, nothing frozen", schedule.Calendar{Window: &nights, Freezes: freezes}, "2026-12-01T22:00Z", "none", "2026-12-02T02:00Z", "2026-12-01T22:00Z", "2026-12-02T01:30Z"},
		{"shut, nothing frozen", schedule.Calendar{Window: &nights, Freezes: freezes}, "2026-12-01T21:00Z", "none", "none", "2026-12-01T22:00Z", "none"},
		{"a freeze comes", schedule.Calendar{Window: &nights, Freezes: freezes}, "2026-12-19T22:00Z", "none", "2026-12-20T00:00Z", "2026-12-19T22:00Z", "2026-12-19T23:30Z"},
		{"it is too late before it", schedule.Calendar{Window: &nights, Freezes: freezes}, "2026-12-19T23:40Z", "none", "2026-12-20T00:00Z", "2026-12-19T23:40Z", "none"},
		{"frozen, and open else", schedule.Calendar{Window: &nights, Freezes: freezes}, "2026-12-20T00:00Z", "2026-12-20", "none", "2027-01-01T00:00Z", "none"},
		{"two freezes", schedule.Calendar{Window: &nights, Freezes: freezes}, "2026-12-23T12:00Z", "2026-12-23", "none", "2027-01-01T00:00Z", "none"},
		{"amid a window", schedule.Calendar{Window: &nights, Freezes: freezes}, "2027-01-05T23:00Z", "2027-01-05T23:00:00Z", "none", "2027-01-06T01:00Z", "none"},
		{"open again", schedule.Calendar{Window: &nights, Freezes: freezes}, "2027-01-06T01:00Z", "none", "2027-01-06T02:00Z", "2027-01-06T01:00Z", "2027-01-06T01:30Z"},
		{"freezes that are none", schedule.Calendar{Window: &nights, Freezes: freezes}, "2027-02-01T23:00Z", "none", "2027-02-02T02:00Z", "2027-02-01T23:00Z", "2027-02-02T01:30Z"},
		{"no window, before a freeze", schedule.Calendar{Freezes: freezes}, "2026-12-01T12:00Z", "none", "2026-12-20T00:00Z", "2026-12-01T12:00Z", "2026-12-19T23:30Z"},
		{"no window, frozen", schedule.Calendar{Freezes: freezes}, "2026-12-24T12:00Z", "2026-12-23", "none", "2027-01-01T00:00Z", "none"},
		{"a window that never opens", schedule.Calendar{Window: &never, Freezes: freezes}, "2026-12-24T12:00Z", "2026-12-23", "none", "none", "none"},
	} {
		now := at(t, row.now)
		f, frozen := row.calendar.Frozen(now)
		if !frozen {
			f.Reason = "none"
		}
		until, open := row.calendar.Open(now)
		got := []string{f.Reason, told(until, open), told(row.calendar.NextOpen(now), true), told(row.calendar.LastSafeStart(now, 30*time.Minute))}
		if want := []string{row.frozen, row.until, row.opens, row.half}; strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s: frozen, until, opens, half an hour\n got %v\nwant %v", row.name, got, want)
		}
	}
	var any schedule.Calendar
	now := at(t, "2026-12-24T12:00Z")
	until, open := any.Open(now)
	last, fits := any.LastSafeStart(now, time.Hour)
	if !open || !until.IsZero() || !fits || !last.IsZero() || !any.NextOpen(now).Equal(now) {
		t.Error("without a window and a freeze it is not open at any time")
	}
}
