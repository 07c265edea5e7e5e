package schedule_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vaultfleet/reconciler/pkg/schedule"
)

func TestWindow(t *testing.T) {
	for _, row := range []struct {
		text   string
		length time.Duration
		now    string
		until  string // or none
		opens  string
	}{
		{"0 22 * * TUE", 2 * time.Hour, "2026-05-05T21:59+02:00", "none", "2026-05-05T22:00+02:00"},
		{"0 22 * * TUE", 2 * time.Hour, "2026-05-05T22:00+02:00", "2026-05-06T00:00+02:00", "2026-05-05T22:00+02:00"},
		{"0 22 * * TUE", 2 * time.Hour, "2026-05-05T23:59+02:00", "2026-05-06T00:00+02:00", "2026-05-05T23:59+02:00"},
		{"0 22 * * TUE", 2 * time.Hour, "2026-05-06T00:00+02:00", "none", "2026-05-12T22:00+02:00"},
		// Two hours over a change of clocks are two hours.
		{"0 1 * * *", 2 * time.Hour, "2026-03-29T01:30+01:00", "2026-03-29T04:00+02:00", "2026-03-29T01:30+01:00"},
		{"0 1 * * *", 2 * time.Hour, "2026-03-29T04:00+02:00", "none", "2026-03-30T01:00+02:00"},
		{"0 1 * * *", 2 * time.Hour, "2026-10-25T02:59+02:00", "2026-10-25T02:00+01:00", "2026-10-25T02:59+02:00"},
		{"0 1 * * *", 2 * time.Hour, "2026-10-25T02:00+01:00", "none", "2026-10-26T01:00+01:00"},
		// It opens in the gap, and once in the hour that is there twice.
		{"30 2 * * *", time.Hour, "2026-03-29T03:00+02:00", "2026-03-29T04:00+02:00", "2026-03-29T03:00+02:00"},
		{"30 2 * * *", time.Hour, "2026-10-25T02:30+01:00", "none", "2026-10-26T02:30+01:00"},
		// Beginnings that overlap, or touch, are one window.
		{"0 20-22 * * TUE", 90 * time.Minute, "2026-05-05T20:10+02:00", "2026-05-05T23:30+02:00", "2026-05-05T20:10+02:00"},
		{"0 20-22 * * TUE", time.Hour, "2026-05-05T20:10+02:00", "2026-05-05T23:00+02:00", "2026-05-05T20:10+02:00"},
		{"0 0 * * SAT,SUN", 24 * time.Hour, "2026-05-02T10:00+02:00", "2026-05-04T00:00+02:00", "2026-05-02T10:00+02:00"},
		// A month is seen ahead, and no further.
		{"0 0 * 2,6,7 *", 24 * time.Hour, "2026-06-01T10:00+02:00", "2026-07-03T00:00+02:00", "2026-06-01T10:00+02:00"},
	} {
		w := window(t, row.text, "Europe/Berlin", row.length)
		now := at(t, row.now).In(zone(t, "Europe/Berlin"))
		if until := told(w.Open(now)); until != row.until {
			t.Errorf("%s for %v at %s: open until %s, want %s", row.text, row.length, row.now, until, row.until)
		}
		if opens := told(w.NextOpen(now), true); opens != row.opens {
			t.Errorf("%s for %v at %s: opens at %s, want %s", row.text, row.length, row.now, opens, row.opens)
		}
	}
}

func TestAWindowThatIsNone(t *testing.T) {
	for _, row := range []struct {
		text   string
		length time.Duration
		want   string
	}{
		{"0 22 * * *", 0, "a window of 0s is none; write how long it is, as in 2h"},
		{"0 22 * * *", -time.Hour, "a window of -1h0m0s is none"},
		{"0 22 * * *", 24 * time.Hour, `a window of 24h0m0s at "0 22 * * *" does not close; make it shorter or less often`},
		{"* * * * *", time.Minute, "does not close"},
		{"0 0 * 6,7 *", 24 * time.Hour, "does not close"},
		{"0 0 1 * *", 31 * 24 * time.Hour, "does not close"},
	} {
		w, err := schedule.NewWindow(parse(t, row.text, "UTC"), row.length)
		if refused := (schedule.Refusal{}); !errors.As(err, &refused) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s for %v: %v, want %s", row.text, row.length, err, row.want)
		}
		if _, open := w.Open(at(t, "2026-06-01T22:30Z")); open {
			t.Errorf("%s for %v is open", row.text, row.length)
		}
	}
	if _, err := schedule.NewWindow(schedule.Schedule{}, time.Hour); err == nil {
		t.Error("a window without a schedule is one")
	}
	var none schedule.Window
	now := at(t, "2026-06-01T22:30Z")
	if _, open := none.Open(now); open || !none.NextOpen(now).IsZero() {
		t.Error("the zero window opens")
	}
}

func TestWhatIsLeftOfAWindow(t *testing.T) {
	w := window(t, "0 22 * * TUE", "UTC", 2*time.Hour)
	for _, row := range []struct {
		now  string
		need time.Duration
		want string
	}{
		{"2026-05-05T22:00Z", 2 * time.Hour, "2026-05-05T22:00Z"}, // all of it
		{"2026-05-05T22:01Z", 2 * time.Hour, "none"},
		{"2026-05-05T22:01Z", 30 * time.Minute, "2026-05-05T23:30Z"},
		{"2026-05-05T23:30Z", 30 * time.Minute, "2026-05-05T23:30Z"},
		{"2026-05-05T23:31Z", 30 * time.Minute, "none"},
		{"2026-05-05T21:00Z", 30 * time.Minute, "none"},
		{"2026-05-05T23:59Z", 0, "2026-05-06T00:00Z"},
	} {
		if got := told(w.LastSafeStart(at(t, row.now), row.need)); got != row.want {
			t.Errorf("%v at %s: %s, want %s", row.need, row.now, got, row.want)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, c := range []struct {
		text   string
		length time.Duration
	}{{"0 22 * * TUE", 2 * time.Hour}, {"* 0-22 * * *", time.Minute}} {
		b.Run(c.text, func(b *testing.B) {
			w, now := window(b, c.text, "Europe/Berlin", c.length), at(b, "2026-05-05T22:30+02:00")
			b.ReportAllocs()
			for b.Loop() {
				w.Open(now)
			}
		})
	}
}

func BenchmarkAWindowThatIsRefused(b *testing.B) {
	s := parse(b, "* * * * *", "Europe/Berlin")
	for b.Loop() {
		if _, err := schedule.NewWindow(s, time.Minute); err == nil {
			b.Fatal("it was taken")
		}
	}
}
