package host

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A digest of a binary costs a second of CPU and 400 MB of reading, ten thousand
// times the rest of a look, so it is taken once and remembered by what stat
// tells of the file: device, inode, size, mtime, ctime. That is git's rule
// (racy-git): it proves an unchanged file only if the file was last changed well
// before it was hashed, by the node's own clock. Ctime cannot be set back with
// utimes; root with a moved clock can still beat it, so all is hashed anew once
// a day.
const (
	hashLife  = 24 * time.Hour
	hashRacy  = 2 * time.Second
	hashesMax = 16 // of one machine
)

// print is a fingerprint: "dev ino size mtime ctime" of stat, times in seconds
// with nine decimals.
type fingerprint string

// changed is the file's ctime.
func (f fingerprint) changed() (time.Time, bool) {
	fields := strings.Fields(string(f))
	if len(fields) != 5 {
		return time.Time{}, false
	}
	return parseSeconds(fields[4])
}

// Hashes remembers digests of binaries. It is safe for concurrent use.
type Hashes struct {
	mu   sync.Mutex
	seen map[string]map[fingerprint]hashed // by machine
}

type hashed struct {
	Digest string    `json:"digest"`
	At     time.Time `json:"at"`
}

// NewHashes makes an empty memory of digests.
func NewHashes() *Hashes {
	return &Hashes{seen: map[string]map[fingerprint]hashed{}}
}

// Load reads what Save wrote. What cannot be read is forgotten: it is only a
// memory of what can be read again.
func (h *Hashes) Load(r io.Reader) error {
	seen := map[string]map[fingerprint]hashed{}
	if err := json.NewDecoder(io.LimitReader(r, 64<<20)).Decode(&seen); err != nil {
		return fmt.Errorf("read remembered digests: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen = seen
	return nil
}

// Save writes the memory as JSON.
func (h *Hashes) Save(w io.Writer) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := json.NewEncoder(w).Encode(h.seen); err != nil {
		return fmt.Errorf("write remembered digests: %w", err)
	}
	return nil
}

// get finds the digest of a file of a machine.
func (h *Hashes) get(machine string, f fingerprint, now time.Time) (string, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e, ok := h.seen[machine][f]
	if !ok || now.Sub(e.At) > hashLife+jitter(machine) || now.Before(e.At) {
		return "", false
	}
	return e.Digest, true
}

// put remembers a digest that was taken when the node's clock said clock. A file
// that had just changed is not remembered: it may change again within the same
// tick.
func (h *Hashes) put(machine string, f fingerprint, digest string, clock, now time.Time) {
	changed, ok := f.changed()
	if machine == "" || !ok || !changed.Before(clock.Add(-hashRacy)) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.seen[machine]
	if m == nil {
		m = map[fingerprint]hashed{}
		h.seen[machine] = m
	}
	m[f] = hashed{digest, now}
	for len(m) > hashesMax {
		delete(m, oldest(m))
	}
}

func oldest(m map[fingerprint]hashed) fingerprint {
	var key fingerprint
	for f, e := range m {
		if key == "" || e.At.Before(m[key].At) || (e.At.Equal(m[key].At) && f < key) {
			key = f
		}
	}
	return key
}

// jitter spreads the daily hashing of a fleet over two hours.
func jitter(machine string) time.Duration {
	f := fnv.New32a()
	_, _ = f.Write([]byte(machine)) // a hash never fails to write
	return time.Duration(f.Sum32()%7200) * time.Second
}

// parseSeconds reads "SECONDS.NANOSECONDS" as stat and date print them.
func parseSeconds(s string) (time.Time, bool) {
	whole, part, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || sec < 0 || sec > 1<<40 {
		return time.Time{}, false
	}
	var nsec uint64
	if part != "" {
		if len(part) > 9 {
			part = part[:9]
		}
		if nsec, err = strconv.ParseUint(part, 10, 32); err != nil {
			return time.Time{}, false
		}
		for range 9 - len(part) {
			nsec *= 10
		}
	}
	return time.Unix(sec, int64(nsec)).UTC(), true
}
