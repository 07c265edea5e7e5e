package outbound

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// LongestWait is the most that a server may ask to be left alone for: what it says is
// hostile until it was read.
const LongestWait = time.Hour

// BusyError says that a server asks to be left alone for a while.
type BusyError struct {
	Status int
	After  time.Duration // zero: it does not say for how long
}

func (e *BusyError) Error() string {
	if e.After == 0 {
		return fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))
	}
	return fmt.Sprintf("%d %s; it asks to be left alone for %v", e.Status, http.StatusText(e.Status), e.After)
}

// RetryAfter is how long to wait, if the server says it.
func (e *BusyError) RetryAfter() time.Duration { return e.After }

// RetryAfter is how long a Retry-After asks for (RFC 9110 §10.2.3), 0 where it says
// nothing of use.
func RetryAfter(header string, now time.Time) time.Duration {
	var d time.Duration
	seconds, err := strconv.ParseUint(header, 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) {
		d = time.Duration(min(seconds, uint64(LongestWait/time.Second))) * time.Second
	} else if at, err := http.ParseTime(header); err == nil {
		d = at.Sub(now)
	}
	return max(0, min(d, LongestWait))
}
