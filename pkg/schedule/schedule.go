package schedule

import (
	"time"

	"github.com/robfig/cron/v3"
)

// When a schedule is due while clocks are put forward or back, after Vixie's cron:
//
// One that holds in every hour of a day (its hour is *, or comes to that) follows
// the clock as it passes: it is due at each instant at which the clock shows one of
// its times. What is due each quarter of an hour is so every 15 minutes, all the
// year.
//
// Any other is told by a time that people mean once: a time that is left out comes
// at the first instant after the gap, and one that is shown twice comes at the
// first. Several that fall into one gap come together, once.
//
// robfig/cron v3.0.1 leaves out what is in the gap, and comes twice for what is
// shown twice. So it is only asked about clocks that are never put: those of UTC.

// Schedule is a moment that comes again and again. The zero value never does.
type Schedule struct {
	spec *cron.SpecSchedule
	zone *time.Location
	text string
}

// String is the schedule as it was written, and its zone.
func (s Schedule) String() string {
	if s.spec == nil {
		return "never"
	}
	return s.text + " " + s.zone.String()
}

// Equal says whether both were written the same, for the same zone.
func (s Schedule) Equal(other Schedule) bool { return s.String() == other.String() }

// Next is the first instant after another at which the schedule is due, in its
// zone; the zero time for the zero schedule.
func (s Schedule) Next(after time.Time) time.Time {
	if s.spec == nil {
		return time.Time{}
	}
	c := clock{s.zone}
	if s.inEveryHour() {
		return s.passing(c, after).In(s.zone)
	}
	due := time.Time{}
	for wall := s.match(c.reading(after)); !wall.IsZero() && !due.After(after); wall = s.match(wall) {
		due = c.first(wall)
	}
	return due.In(s.zone)
}

// Missed is the newest instant at which the schedule was due after last and until
// now, now among them; false when there was none. What was due many times since
// last is so told once. With a zero last it is the newest of all.
func (s Schedule) Missed(last, now time.Time) (time.Time, bool) {
	due := s.Next(last)
	if due.IsZero() || due.After(now) {
		return time.Time{}, false
	}
	// There may be millions between. due is one that was, and none is between
	// none and now.
	for none := now; ; {
		next := s.Next(due)
		if next.After(now) {
			return due, true
		}
		due = next
		middle := due.Add(none.Sub(due) / 2)
		if next = s.Next(middle); next.After(now) {
			none = middle
		} else {
			due = next
		}
	}
}

func (s Schedule) inEveryHour() bool {
	const all = 1<<24 - 1
	return s.spec.Hour&all == all
}

// match is the first time of the schedule after another, both as a clock shows
// them. robfig/cron looks five years ahead, and there are eight from 29 February
// 2096 to the next.
func (s Schedule) match(wall time.Time) time.Time {
	if next := s.spec.Next(wall); !next.IsZero() {
		return next
	}
	return s.spec.Next(wall.AddDate(4, 0, 0))
}

// passing is the first instant after another at which the clock shows a time of
// the schedule.
func (s Schedule) passing(c clock, after time.Time) time.Time {
	for t := after; ; {
		shown := c.reading(t)
		wall := s.match(shown)
		next := t.Add(wall.Sub(shown)) // unless the clock is put before
		until := next
		if until.Sub(t) > day {
			until = t.Add(day)
		}
		switch put, is := c.put(t, until); {
		case is && s.match(c.reading(put).Add(-1)).Equal(c.reading(put)):
			return put
		case is:
			t = put
		case until.Equal(next):
			return next
		default:
			// Until two days before it, no clock that is put shows wall, and
			// none shows again what it showed at t.
			if t = until; t.Before(next.Add(-2 * day)) {
				t = next.Add(-2 * day)
			}
		}
	}
}
