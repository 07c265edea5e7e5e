package schedule

import "time"

// Window is a span of time that begins whenever a schedule is due, and lasts. What
// it lasts is told by a stopwatch: two hours are two, also when clocks are put
// meanwhile. A beginning that comes while it is open, or as it ends, makes it
// longer. The zero value is never open.
type Window struct {
	schedule Schedule
	length   time.Duration
}

// foreseen is how far ahead the end of a window is looked for.
const foreseen = 31 * day

// NewWindow is a window that opens, and closes again. One that stays open for more
// than a month is refused, with a [Refusal].
func NewWindow(s Schedule, length time.Duration) (Window, error) {
	if s.spec == nil {
		return Window{}, Refusal{"a window without a schedule never opens", fiveFields}
	}
	if length <= 0 {
		return Window{}, Refusal{"a window of " + length.String() + " is none", "write how long it is, as in 2h"}
	}
	w := Window{s, length}
	if begun := s.Next(time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)); w.end(begun).Sub(begun) > foreseen {
		return Window{}, Refusal{
			"a window of " + length.String() + " at " + quoted(s.text) + " does not close",
			"make it shorter or less often, or leave it out: without one any time will do",
		}
	}
	return w, nil
}

// String is the schedule as it was written, its zone, and the length.
func (w Window) String() string { return w.schedule.String() + " for " + w.length.String() }

// Length is how long it is open after each beginning.
func (w Window) Length() time.Duration { return w.length }

// Open says whether the window is open, and until when: that instant is not in it.
// It is told for a month ahead; a window that is open for longer closes later than
// it says.
func (w Window) Open(now time.Time) (until time.Time, open bool) {
	begun, open := w.schedule.Missed(now.Add(-w.length), now)
	if !open {
		return time.Time{}, false
	}
	return w.end(begun), true
}

// NextOpen is the first instant from now on at which the window is open: now, while
// it is. It is the zero time for the zero window.
func (w Window) NextOpen(now time.Time) time.Time {
	if _, open := w.Open(now); open {
		return now
	}
	return w.schedule.Next(now)
}

// LastSafeStart is until when what takes as long as need may begin, to be done
// before the window closes. It is false when the window is closed, or when it is too
// late in it.
func (w Window) LastSafeStart(now time.Time, need time.Duration) (time.Time, bool) {
	return Calendar{Window: &w}.LastSafeStart(now, need)
}

// end is when a window that begun has ended, or is open for longer than is foreseen.
func (w Window) end(begun time.Time) time.Time {
	end := begun.Add(w.length)
	for next := w.schedule.Next(begun); !next.After(end) && end.Sub(begun) <= foreseen; next = w.schedule.Next(next) {
		end = next.Add(w.length)
	}
	return end
}
