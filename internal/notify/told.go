package notify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/vaultfleet/reconciler/internal/store/durable"
)

const (
	remember = 30 * 24 * time.Hour // that a message was sent
	maxTold  = 20_000              // messages that are remembered
)

// told is which messages a sink was sent: a line of JSON each, in a file that grows and
// is written anew when most of its lines are of no use.
type told struct {
	path  string
	ids   map[string]int64 // → when it was sent, seconds since 1970
	lines int
	torn  bool // the last line may be a part of one
}

type toldLine struct {
	ID string `json:"id"`
	At int64  `json:"at"`
}

func openTold(path string, now time.Time) (*told, error) {
	t := &told{path: path, ids: map[string]int64{}}
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read what was sent: %w", err)
	}
	for line := range bytes.Lines(data) {
		var one toldLine
		if json.Unmarshal(line, &one) == nil && one.ID != "" { // a line that was cut off says nothing
			t.ids[one.ID] = one.At
		}
		t.lines++
	}
	t.torn = len(data) > 0 && data[len(data)-1] != '\n'
	return t, t.tidy(now)
}

func (t *told) has(id string, now time.Time) bool {
	at, ok := t.ids[id]
	return ok && now.Sub(time.Unix(at, 0)) < remember
}

// last is when the latest was sent.
func (t *told) last() time.Time {
	var last int64
	for _, at := range t.ids {
		last = max(last, at)
	}
	if last == 0 {
		return time.Time{}
	}
	return time.Unix(last, 0).UTC()
}

// add remembers that a message was sent. On an error this process remembers it, and
// the next one may not.
func (t *told) add(id string, now time.Time) error {
	t.ids[id] = now.Unix()
	line, err := json.Marshal(toldLine{id, now.Unix()})
	if err != nil {
		return err
	}
	if t.torn {
		line = append([]byte("\n"), line...)
	}
	if err := t.append(append(line, '\n')); err != nil {
		t.torn = true
		return fmt.Errorf("note that a message was sent: %w", err)
	}
	t.torn = false
	t.lines++
	return t.tidy(now)
}

func (t *told) append(line []byte) error {
	f, err := os.OpenFile(t.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(line)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// tidy writes the file anew once it is more than twice as long as it must be.
func (t *told) tidy(now time.Time) error {
	if t.lines <= 2*len(t.ids)+100 && len(t.ids) <= maxTold {
		return nil
	}
	maps.DeleteFunc(t.ids, func(id string, _ int64) bool { return !t.has(id, now) })
	ids := slices.SortedFunc(maps.Keys(t.ids), func(a, b string) int { return int(t.ids[b] - t.ids[a]) })
	for len(ids) > maxTold*3/4 { // with some room, so as not to write it at each message
		delete(t.ids, ids[len(ids)-1])
		ids = ids[:len(ids)-1]
	}
	var text bytes.Buffer
	for _, id := range ids {
		line, err := json.Marshal(toldLine{id, t.ids[id]})
		if err != nil {
			return err
		}
		text.Write(append(line, '\n'))
	}
	if err := durable.WriteFile(t.path, text.Bytes(), 0o600); err != nil {
		return err
	}
	t.lines, t.torn = len(ids), false
	return nil
}
