package schedule_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vaultfleet/reconciler/pkg/schedule"
)

// drawn is a schedule that somebody could write, in a zone with some history.
func drawn(t *rapid.T, zones []*time.Location) schedule.Schedule {
	fields := [5]string{}
	for i, choices := range [5][]string{
		{"*", "*/15", "0", "7,52", "30-34", "59"},
		{"*", "*/2", "*/7", "0", "1-3", "2", "22,23"},
		{"*", "*", "*", "1", "29", "*/5", "13-17"},
		{"*", "*", "*", "2", "3,10", "*/4"},
		{"*", "*", "*", "SUN", "MON-FRI"},
	} {
		fields[i] = rapid.SampledFrom(choices).Draw(t, "field")
	}
	text := fmt.Sprintf("%s %s %s %s %s", fields[0], fields[1], fields[2], fields[3], fields[4])
	s, err := schedule.Parse(text, rapid.SampledFrom(zones).Draw(t, "zone"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func drawnZones(t testing.TB) []*time.Location {
	zones := []*time.Location{time.UTC}
	seen := map[string]bool{}
	for _, c := range changes() {
		if !seen[c.zone] {
			zones, seen[c.zone] = append(zones, zone(t, c.zone)), true
		}
	}
	return zones
}

func instant(t *rapid.T, label string) time.Time {
	from := time.Date(2010, time.January, 1, 0, 0, 0, 0, time.UTC)
	return from.Add(time.Duration(rapid.Int64Range(0, int64(100*365*24*time.Hour)).Draw(t, label)))
}

func TestNextIsLaterAndInOrder(t *testing.T) {
	zones := drawnZones(t)
	rapid.Check(t, func(t *rapid.T) {
		s, a := drawn(t, zones), instant(t, "a")
		next := s.Next(a)
		if !next.After(a) {
			t.Fatalf("%v after %v is due at %v", s, a, next)
		}
		// None is left out: from anywhere before it, it is the next.
		between := a.Add(time.Duration(rapid.Int64Range(0, int64(next.Sub(a))-1).Draw(t, "between")))
		if again := s.Next(between); !again.Equal(next) {
			t.Fatalf("%v is due at %v after %v, and at %v after %v", s, next, a, again, between)
		}
		b := instant(t, "b")
		if later := s.Next(b); b.After(a) && later.Before(next) || b.Before(a) && later.After(next) {
			t.Fatalf("%v: %v then %v, and %v then %v", s, a, next, b, later)
		}
	})
}

func TestMissedIsTheLastOfThoseThatFollowEachOther(t *testing.T) {
	zones := drawnZones(t)
	rapid.Check(t, func(t *rapid.T) {
		s, last := drawn(t, zones), instant(t, "last")
		now := last.Add(time.Duration(rapid.Int64Range(-int64(time.Hour), int64(40*24*time.Hour)).Draw(t, "down")))
		if rapid.Bool().Draw(t, "at the minute") {
			now = now.Truncate(time.Minute)
		}
		var want time.Time
		for next := s.Next(last); !next.After(now); next = s.Next(next) {
			want = next
		}
		got, ok := s.Missed(last, now)
		if ok == want.IsZero() || ok && !got.Equal(want) {
			t.Fatalf("%v from %v to %v: %v %v, want %v", s, last, now, got, ok, want)
		}
	})
}

// TestACalendarIsAtOneWithItself holds its answers against each other at any
// instants.
func TestACalendarIsAtOneWithItself(t *testing.T) {
	zones := drawnZones(t)
	rapid.Check(t, func(t *rapid.T) {
		now := instant(t, "now")
		span := func(label string) time.Duration {
			return time.Duration(rapid.Int64Range(1, int64(72*time.Hour)).Draw(t, label))
		}
		var c schedule.Calendar
		if w, err := schedule.NewWindow(drawn(t, zones), span("length")); err == nil {
			c.Window = &w
		}
		for range rapid.IntRange(0, 4).Draw(t, "freezes") {
			from := now.Add(span("from") - 36*time.Hour)
			c.Freezes = append(c.Freezes, schedule.Freeze{From: from, Until: from.Add(span("until"))})
		}
		opens := c.NextOpen(now)
		until, open := c.Open(opens)
		if !open || opens.Before(now) || !until.IsZero() && !until.After(opens) {
			t.Fatalf("at %v it opens at %v, and is then open %v until %v", now, opens, open, until)
		}
		if _, isOpen := c.Open(now); isOpen != opens.Equal(now) {
			t.Fatalf("at %v it is open %v, and opens at %v", now, isOpen, opens)
		}
		if shut := opens.Add(-1); !shut.Before(now) {
			if _, open := c.Open(shut); open {
				t.Fatalf("at %v it opens at %v, and is open just before", now, opens)
			}
		}
		if until.IsZero() || until.Sub(opens) > 30*24*time.Hour {
			return
		}
		if _, open := c.Open(until); open {
			t.Fatalf("it is open until %v, and then as well", until)
		}
		within := opens.Add(time.Duration(rapid.Int64Range(0, int64(until.Sub(opens))-1).Draw(t, "within")))
		if u, open := c.Open(within); !open || !u.Equal(until) {
			t.Fatalf("at %v it is open until %v, at %v %v until %v", opens, until, within, open, u)
		}
		need := span("need")
		last, fits := c.LastSafeStart(within, need)
		if fits != !within.Add(need).After(until) || fits && !last.Add(need).Equal(until) {
			t.Fatalf("what needs %v in what is open until %v may begin until %v, %v, at %v", need, until, last, fits, within)
		}
	})
}
