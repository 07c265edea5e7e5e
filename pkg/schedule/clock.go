package schedule

import (
	"sort"
	"time"
)

// A clock shows times that are no instants: some it leaves out, some it shows
// twice. They are written here as the instant at which a clock of UTC shows the
// same.
//
// Its offset is only asked for, and when it is put is searched for: the bounds that
// [time.Time.ZoneBounds] tells are beyond a zone's table those of a year, and on the
// last day of a leap year they end before they begin.

// day is more than any clock was ever put by at once (Samoa left out 30 December
// 2011, all of it), and none was put twice within two.
const day = 24 * time.Hour

type clock struct{ zone *time.Location }

func (c clock) offset(t time.Time) time.Duration {
	_, seconds := t.In(c.zone).Zone()
	return time.Duration(seconds) * time.Second
}

// reading is what the clock shows at an instant.
func (c clock) reading(t time.Time) time.Time { return t.UTC().Add(c.offset(t)) }

// first is the instant at which the clock first shows a time, or for one that it
// leaves out the first instant after the gap.
func (c clock) first(wall time.Time) time.Time {
	before, after := c.offset(wall.Add(-day)), c.offset(wall.Add(day))
	early, late := wall.Add(-before), wall.Add(-after)
	switch {
	case c.offset(early) == before:
		return early
	case c.offset(late) == after:
		return late
	}
	put, _ := c.put(late, early)
	return put
}

// put is the instant after from, and at most a day later, at which the clock is
// put forward or back; false when until comes first.
func (c clock) put(from, until time.Time) (time.Time, bool) {
	was := c.offset(from)
	if c.offset(until) == was {
		return time.Time{}, false
	}
	second := func(i int) time.Time { return from.Truncate(time.Second).Add(time.Duration(i+1) * time.Second) }
	return second(sort.Search(int(day/time.Second), func(i int) bool { return c.offset(second(i)) != was })), true
}
