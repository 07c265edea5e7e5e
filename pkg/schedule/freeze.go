package schedule

import "time"

// Freeze is a time in which no change begins, whatever window is open.
type Freeze struct {
	From, Until time.Time // Until is not in it
	Reason      string    // for people
}

// ParseFreeze reads both ends of a freeze: days of a zone, as in 2026-12-20, from
// the first instant of one to the last of the other, or instants, as in
// 2026-12-20T18:00:00+01:00, of which the second is not in it. A nil zone is UTC.
// The error is a [Refusal].
func ParseFreeze(from, until string, zone *time.Location, reason string) (Freeze, error) {
	if zone == nil {
		zone = time.UTC
	}
	f := Freeze{Reason: reason}
	var err error
	if f.From, err = freezeEnd(from, zone, 0); err != nil {
		return Freeze{}, err
	}
	if f.Until, err = freezeEnd(until, zone, 1); err != nil {
		return Freeze{}, err
	}
	if !f.Until.After(f.From) {
		return Freeze{}, Refusal{"the freeze ends at " + quoted(until) + ", which is not after " + quoted(from), "write the earlier one first"}
	}
	return f, nil
}

// freezeEnd is an instant as it is written, or the first one of the day that is
// some days after the one that is written. Midnight may be a time that does not
// exist, or be there twice.
func freezeEnd(text string, zone *time.Location, days int) (time.Time, error) {
	if wall, err := time.Parse(time.DateOnly, text); err == nil {
		return clock{zone}.first(wall.AddDate(0, 0, days)).In(zone), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, Refusal{quoted(text) + " is no day and no instant", "write 2026-12-20 for all of a day, or 2026-12-20T18:00:00+01:00"}
	}
	return t.In(zone), nil
}
