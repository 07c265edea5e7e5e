package schedule_test

import (
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/vaultfleet/reconciler/pkg/schedule"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := schedule.Zone(name, time.LoadLocation)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func parse(t testing.TB, text, in string) schedule.Schedule {
	t.Helper()
	s, err := schedule.Parse(text, zone(t, in))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func window(t testing.TB, text, in string, length time.Duration) schedule.Window {
	t.Helper()
	w, err := schedule.NewWindow(parse(t, text, in), length)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// at is an instant as 2026-03-29T02:30+02:00 tells it.
func at(t testing.TB, text string) time.Time {
	t.Helper()
	instant, err := time.Parse("2006-01-02T15:04Z07:00", text)
	if err != nil {
		t.Fatal(err)
	}
	return instant
}

func told(t time.Time, ok bool) string {
	if !ok || t.IsZero() {
		return "none"
	}
	return t.Format("2006-01-02T15:04Z07:00")
}
