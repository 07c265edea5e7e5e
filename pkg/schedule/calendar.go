package schedule

import "time"

// Calendar is when changes may begin: while the window is open, and nothing is
// frozen. A freeze wins over a window, closes one that is open, and one that is
// open still when it ends opens again. The zero value is open at any time.
type Calendar struct {
	Window  *Window // nil: any time will do
	Freezes []Freeze
}

// Frozen is the freeze that now is in; of several the one that ends last. It is
// false when there is none.
func (c Calendar) Frozen(now time.Time) (Freeze, bool) {
	var last Freeze
	for _, f := range c.Freezes {
		if !now.Before(f.From) && now.Before(f.Until) && f.Until.After(last.Until) {
			last = f
		}
	}
	return last, !last.Until.IsZero()
}

// Open says whether changes may begin, and until when: that instant is not in it,
// and zero when no end is in sight. It is told as far ahead as [Window.Open] tells.
func (c Calendar) Open(now time.Time) (until time.Time, open bool) {
	if _, frozen := c.Frozen(now); frozen {
		return time.Time{}, false
	}
	if c.Window != nil {
		if until, open = c.Window.Open(now); !open {
			return time.Time{}, false
		}
	}
	for _, f := range c.Freezes {
		if f.From.After(now) && f.Until.After(f.From) && (until.IsZero() || f.From.Before(until)) {
			until = f.From
		}
	}
	return until, true
}

// NextOpen is the first instant from now on at which changes may begin: now, while
// they may. It is the zero time when there is none, as with the zero window.
func (c Calendar) NextOpen(now time.Time) time.Time {
	for t := now; ; {
		if f, frozen := c.Frozen(t); frozen {
			t = f.Until
			continue
		}
		if c.Window == nil {
			return t
		}
		opens := c.Window.NextOpen(t)
		if opens.IsZero() || opens.Equal(t) {
			return opens
		}
		t = opens
	}
}

// LastSafeStart is until when what takes as long as need may begin, to be done
// before no more may; the zero time when no end is in sight. It is false when
// changes may not begin now, or when it is too late for this one.
func (c Calendar) LastSafeStart(now time.Time, need time.Duration) (time.Time, bool) {
	until, open := c.Open(now)
	if !open || until.IsZero() {
		return time.Time{}, open
	}
	last := until.Add(-need)
	return last, !last.Before(now)
}
