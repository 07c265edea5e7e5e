package schedule_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/vaultfleet/reconciler/pkg/schedule"
)

// change is a day on which clocks are put.
type change struct{ zone, day string }

func changes() []change {
	return []change{
		{"Europe/Berlin", "2026-03-29"}, {"Europe/Berlin", "2026-10-25"},
		{"Europe/Berlin", "2027-03-28"}, {"Europe/Berlin", "2027-10-31"},
		{"America/New_York", "2026-03-08"}, {"America/New_York", "2026-11-01"},
		{"America/New_York", "2027-03-14"}, {"America/New_York", "2027-11-07"},
		{"Australia/Lord_Howe", "2026-04-05"}, {"Australia/Lord_Howe", "2026-10-04"}, // by half an hour
		{"Africa/Cairo", "2026-04-24"}, {"Africa/Cairo", "2026-10-30"}, // at midnight
		{"America/Havana", "2026-03-08"}, {"America/Havana", "2026-11-01"}, // at midnight, and to it
		{"Antarctica/Troll", "2026-03-29"}, {"Antarctica/Troll", "2026-10-25"}, // by two hours
		{"Africa/Casablanca", "2026-02-15"}, {"Africa/Casablanca", "2026-03-22"},
		{"Pacific/Apia", "2011-12-30"},                                         // by a day
		{"America/St_Johns", "2010-11-07"}, {"America/St_Johns", "2011-03-13"}, // at a minute past midnight
		{"Europe/Berlin", "2096-02-29"}, {"America/New_York", "2040-03-11"}, {"America/New_York", "2040-12-31"}, // past the tables
	}
}

// rhythm is a schedule, and whether a clock shows one of its times: told here by
// other means than those of the package.
type rhythm struct {
	text  string
	shows func(wall time.Time) bool
	once  bool // for each time; else as the clock passes
}

func rhythms() []rhythm {
	hm := func(hours, minutes []int) func(time.Time) bool {
		return func(w time.Time) bool {
			return (hours == nil || slices.Contains(hours, w.Hour())) && (minutes == nil || slices.Contains(minutes, w.Minute()))
		}
	}
	return []rhythm{
		{"0 0 * * *", hm([]int{0}, []int{0}), true},
		{"30 0 * * *", hm([]int{0}, []int{30}), true},
		{"30 1 * * *", hm([]int{1}, []int{30}), true},
		{"0 2 * * *", hm([]int{2}, []int{0}), true},
		{"30 2 * * *", hm([]int{2}, []int{30}), true},
		{"15 2 * * *", hm([]int{2}, []int{15}), true},
		{"0 3 * * *", hm([]int{3}, []int{0}), true},
		{"30 23 * * *", hm([]int{23}, []int{30}), true},
		{"0 12 * * *", hm([]int{12}, []int{0}), true},
		{"*/15 2 * * *", hm([]int{2}, []int{0, 15, 30, 45}), true},
		{"* 1-2 * * *", hm([]int{1, 2}, nil), true},
		{"20 */2 * * *", hm([]int{0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22}, []int{20}), true},
		{"0 1 * * SUN", func(w time.Time) bool { return w.Weekday() == time.Sunday && w.Hour() == 1 && w.Minute() == 0 }, true},
		{"0 0 1,25,29 * *", func(w time.Time) bool {
			return slices.Contains([]int{1, 25, 29}, w.Day()) && w.Hour() == 0 && w.Minute() == 0
		}, true},
		{"0 * * * *", hm(nil, []int{0}), false},
		{"40 * * * *", hm(nil, []int{40}), false},
		{"20 0-23 * * *", hm(nil, []int{20}), false},
		{"*/15 * * * *", hm(nil, []int{0, 15, 30, 45}), false},
		{"* * * * *", hm(nil, nil), false},
		{"*/20 * * * SUN", func(w time.Time) bool { return w.Weekday() == time.Sunday && w.Minute()%20 == 0 }, false},
	}
}

// expected are the instants of a span, found by looking at a clock each minute: a
// time is due when the clock has come to it, for the first time or each time.
func (r rhythm) expected(from, until time.Time, z *time.Location) []time.Time {
	var due []time.Time
	reading := func(t time.Time) time.Time {
		t = t.In(z)
		return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), 0, 0, time.UTC)
	}
	furthest := reading(from.Add(-48 * time.Hour))
	for t := from.Add(-48 * time.Hour); t.Before(until); t = t.Add(time.Minute) {
		is := false
		for shown := reading(t); r.once && furthest.Before(shown); {
			furthest = furthest.Add(time.Minute)
			is = is || r.shows(furthest)
		}
		if (is || !r.once && r.shows(reading(t))) && !t.Before(from) {
			due = append(due, t)
		}
	}
	return due
}

// TestTheWeekRoundAChange lets a clock step through each minute of a week in which
// clocks are put, and does what is due.
func TestTheWeekRoundAChange(t *testing.T) {
	for _, c := range changes() {
		z := zone(t, c.zone)
		day, err := time.ParseInLocation(time.DateOnly, c.day, z)
		if err != nil {
			t.Fatal(err)
		}
		from, until := day.Add(-84*time.Hour).Truncate(time.Hour), day.Add(84*time.Hour).Truncate(time.Hour)
		for _, r := range rhythms() {
			s, want := parse(t, r.text, c.zone), r.expected(from, until, z)
			if done := eachMinute(s, from, until); !slices.EqualFunc(done, want, time.Time.Equal) {
				t.Errorf("%s %s round %s:\n%s\nwant\n%s", r.text, c.zone, c.day, times(done, z), times(want, z))
			}
			for last, now := from.Add(-1), from; now.Before(until); last, now = now, now.Add(67*time.Minute) {
				got := told(s.Missed(last, now))
				if newest := told(newestOf(want, last, now, z)); got != newest {
					t.Errorf("%s %s from %v to %v: %s was missed, want %s", r.text, c.zone, last, now, got, newest)
				}
			}
		}
	}
}

// eachMinute is when somebody who looks at each minute whether it is due does it.
func eachMinute(s schedule.Schedule, from, until time.Time) []time.Time {
	var done []time.Time
	next := s.Next(from.Add(-1))
	for now := from; now.Before(until); now = now.Add(time.Minute) {
		if !next.After(now) {
			done = append(done, now)
			next = s.Next(now)
		}
	}
	return done
}

func newestOf(all []time.Time, last, now time.Time, z *time.Location) (time.Time, bool) {
	i, found := slices.BinarySearchFunc(all, now, time.Time.Compare)
	if found {
		i++
	}
	if i == 0 || !all[i-1].After(last) {
		return time.Time{}, false
	}
	return all[i-1].In(z), true
}

func times(all []time.Time, z *time.Location) string {
	var words []string
	for _, t := range all {
		words = append(words, told(t.In(z), true))
	}
	if len(words) > 40 {
		words = append(words[:40], fmt.Sprint("… of ", len(all)))
	}
	return strings.Join(words, " ")
}

// TestADayOnWhichClocksArePut says in figures what the rules come to: how often
// something is due from midnight to midnight, and for what is daily, when.
func TestADayOnWhichClocksArePut(t *testing.T) {
	for _, row := range []struct {
		text, zone, day string
		want            int
		first           string
	}{
		{"30 2 * * *", "Europe/Berlin", "2026-03-29", 1, "2026-03-29T03:00+02:00"},
		{"30 2 * * *", "Europe/Berlin", "2026-10-25", 1, "2026-10-25T02:30+02:00"},
		{"0 3 * * *", "Europe/Berlin", "2026-10-25", 1, "2026-10-25T03:00+01:00"},
		{"30 2 * * *", "America/New_York", "2026-03-08", 1, "2026-03-08T03:00-04:00"},
		{"30 1 * * *", "America/New_York", "2026-11-01", 1, "2026-11-01T01:30-04:00"},
		{"15 2 * * *", "Australia/Lord_Howe", "2026-10-04", 1, "2026-10-04T02:30+11:00"},
		{"45 1 * * *", "Australia/Lord_Howe", "2026-04-05", 1, "2026-04-05T01:45+11:00"},
		{"0 0 * * *", "Africa/Cairo", "2026-04-24", 1, "2026-04-24T01:00+03:00"},
		{"0 0 * * *", "America/Havana", "2026-03-08", 1, "2026-03-08T01:00-04:00"},
		{"0 0 * * *", "America/Havana", "2026-11-01", 1, "2026-11-01T00:00-04:00"},
		{"0 12 30 12 *", "Pacific/Apia", "2011-12-31", 1, "2011-12-31T00:00+14:00"},
		{"*/15 2 * * *", "Europe/Berlin", "2026-03-29", 1, "2026-03-29T03:00+02:00"}, // four fall into one gap
		{"*/15 2 * * *", "Europe/Berlin", "2026-10-25", 4, "2026-10-25T02:00+02:00"},
		{"0 */2 * * *", "Europe/Berlin", "2026-03-29", 12, "2026-03-29T00:00+01:00"},
		{"0 */2 * * *", "Europe/Berlin", "2026-10-25", 12, "2026-10-25T00:00+02:00"},
		{"0 * * * *", "Europe/Berlin", "2026-03-29", 23, "2026-03-29T00:00+01:00"},
		{"0 * * * *", "Europe/Berlin", "2026-10-25", 25, "2026-10-25T00:00+02:00"},
		{"*/15 * * * *", "America/New_York", "2027-03-14", 92, "2027-03-14T00:00-05:00"},
		{"*/15 * * * *", "America/New_York", "2027-11-07", 100, "2027-11-07T00:00-04:00"},
		{"*/15 * * * *", "Australia/Lord_Howe", "2026-04-05", 98, "2026-04-05T00:00+11:00"},
	} {
		s := parse(t, row.text, row.zone)
		day, err := time.ParseInLocation(time.DateOnly, row.day, zone(t, row.zone))
		if err != nil {
			t.Fatal(err)
		}
		// The first and the last instant whose clock shows that day: midnight
		// itself may not be there.
		until := day.Add(36 * time.Hour)
		day = day.Add(-12 * time.Hour)
		var due []time.Time
		for next := s.Next(day); next.Before(until); next = s.Next(next) {
			if next.Format(time.DateOnly) == row.day {
				due = append(due, next)
			}
		}
		if len(due) != row.want || told(due[0], true) != row.first {
			t.Errorf("%s %s on %s: %d times, %s", row.text, row.zone, row.day, len(due), times(due, zone(t, row.zone)))
		}
	}
}

// TestWhatTheLibraryDoesInstead is why its Next is not asked about clocks that are
// put. Where one of these fails the library was mended.
func TestWhatTheLibraryDoesInstead(t *testing.T) {
	for _, row := range []struct{ text, zone, after, library, want string }{
		{"30 2 * * *", "Europe/Berlin", "2026-03-28T12:00+01:00", "2026-03-30T02:30+02:00", "2026-03-29T03:00+02:00"}, // left out
		{"30 2 * * *", "America/New_York", "2027-03-13T12:00-05:00", "2027-03-15T02:30-04:00", "2027-03-14T03:00-04:00"},
		{"30 2 * * *", "Europe/Berlin", "2026-10-25T02:30+02:00", "2026-10-25T02:30+01:00", "2026-10-26T02:30+01:00"}, // twice
		{"30 1 * * *", "America/New_York", "2027-11-07T01:30-04:00", "2027-11-07T01:30-05:00", "2027-11-08T01:30-05:00"},
		{"15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00+10:30", "2026-10-05T02:15+11:00", "2026-10-04T02:30+11:00"},
		{"0 0 * * *", "Africa/Cairo", "2026-04-23T12:00+02:00", "2026-04-25T00:00+03:00", "2026-04-24T01:00+03:00"},
		{"0 0 * * *", "America/Havana", "2026-11-01T00:00-04:00", "2026-11-01T00:00-05:00", "2026-11-02T00:00-05:00"},
		{"0 0 29 2 *", "Europe/Berlin", "2096-03-01T00:00+01:00", "none", "2104-02-29T00:00+01:00"},
	} {
		z := zone(t, row.zone)
		library, err := cron.ParseStandard(row.text)
		if err != nil {
			t.Fatal(err)
		}
		after := at(t, row.after).In(z)
		if got := told(library.Next(after), true); got != row.library {
			t.Errorf("%s %s after %s: the library says %s, and said %s", row.text, row.zone, row.after, got, row.library)
		}
		if got := told(parse(t, row.text, row.zone).Next(after), true); got != row.want {
			t.Errorf("%s %s after %s: %s, want %s", row.text, row.zone, row.after, got, row.want)
		}
	}
}

func TestMissed(t *testing.T) {
	for _, row := range []struct{ text, last, now, want string }{
		{"0 7 * * *", "2026-05-01T07:00+02:00", "2026-05-01T07:00+02:00", "none"},
		{"0 7 * * *", "2026-05-01T07:00+02:00", "2026-05-02T06:59+02:00", "none"},
		{"0 7 * * *", "2026-05-01T07:00+02:00", "2026-05-02T07:00+02:00", "2026-05-02T07:00+02:00"},
		{"0 7 * * *", "2026-05-01T07:00+02:00", "2026-05-09T12:00+02:00", "2026-05-09T07:00+02:00"}, // eight were missed, one is made
		{"0 7 * * *", "2026-05-09T07:00+02:00", "2026-05-01T12:00+02:00", "none"},                   // the clock was put back
		{"30 2 * * *", "2026-03-28T12:00+01:00", "2026-03-29T03:00+02:00", "2026-03-29T03:00+02:00"},
		{"* * * * *", "1996-05-01T07:00+02:00", "2026-05-01T07:00+02:00", "2026-05-01T07:00+02:00"},
		{"0 0 29 2 *", "1996-05-01T07:00+02:00", "2026-05-01T07:00+02:00", "2024-02-29T00:00+01:00"},
		{"0 7 * * *", "0001-01-01T00:00Z", "2026-05-01T07:30+02:00", "2026-05-01T07:00+02:00"},
	} {
		if got := told(parse(t, row.text, "Europe/Berlin").Missed(at(t, row.last), at(t, row.now))); got != row.want {
			t.Errorf("%s from %s to %s: %s, want %s", row.text, row.last, row.now, got, row.want)
		}
	}
}

func TestTheZeroScheduleNeverComes(t *testing.T) {
	var s schedule.Schedule
	now := time.Date(2026, time.May, 1, 0, 0, 0, 0, time.UTC)
	if _, missed := s.Missed(time.Time{}, now); !s.Next(now).IsZero() || missed || s.String() != "never" {
		t.Errorf("%v is due at %v", s, s.Next(now))
	}
	if s.Equal(parse(t, "@daily", "UTC")) || !parse(t, "@daily", "UTC").Equal(parse(t, "@daily", "UTC")) {
		t.Error("equal is what is written the same")
	}
}

func BenchmarkNext(b *testing.B) {
	for _, text := range []string{"30 2 * * *", "*/15 * * * *", "0 22 * * TUE", "0 0 29 2 *", "0 * 29 2 *", "59 23 31 12 *"} {
		b.Run(text, func(b *testing.B) {
			s, after := parse(b, text, "Europe/Berlin"), at(b, "2096-02-29T23:59+01:00")
			b.ReportAllocs()
			for b.Loop() {
				s.Next(after)
			}
		})
	}
}

func BenchmarkMissed(b *testing.B) {
	s := parse(b, "* * * * *", "Europe/Berlin")
	last, now := at(b, "2016-01-01T00:00Z"), at(b, "2026-01-01T00:00Z")
	b.ReportAllocs()
	for b.Loop() {
		s.Missed(last, now)
	}
}
