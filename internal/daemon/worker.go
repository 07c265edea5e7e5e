package daemon

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/vaultfleet/reconciler/internal/loop"
	"github.com/vaultfleet/reconciler/pkg/apply"
)

// worker is one cluster that takes its turns.
type worker struct {
	name string

	mu   sync.Mutex
	kept Kept

	news  chan struct{} // something else is wanted
	stop  context.CancelFunc
	ended chan struct{} // closed after its last turn
}

// over waits for the last turn of a worker; there may have been none.
func (w *worker) over() {
	if w != nil {
		<-w.ended
	}
}

// give replaces what the next turn is of. It is news, within some time, only
// where something else is wanted: most commits touch other clusters.
func (w *worker) give(k Kept, within time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	news := w.kept.Digest != k.Digest
	w.kept = k
	if news {
		time.AfterFunc(rand.N(within+1), w.wake)
	}
}

// differs says that something else is wanted than the next turn is of.
func (w *worker) differs(k Kept) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.kept.Digest != k.Digest
}

func (w *worker) wake() {
	select {
	case w.news <- struct{}{}:
	default: // told already, and not heard yet
	}
}

func (w *worker) order() (loop.Ports, loop.Spec, error) {
	w.mu.Lock()
	order := w.kept.Order
	w.mu.Unlock()
	return order()
}

// keep takes turns until the context ends. A turn that panics is a defect of
// ours in this cluster's situation: the others go on.
func (d *daemon) keep(ctx context.Context, w *worker) {
	teller := NewTeller(d.log, w.name)
	pulse := d.Pulse.join("the turns of " + w.name)
	defer pulse.leave()
	for ctx.Err() == nil {
		d.attempt(ctx, w, teller, pulse)
		pulse.within(2*d.every + grace)
		if d.Wait(ctx, jittered(d.every), w.news) != nil {
			return
		}
	}
}

func (d *daemon) attempt(ctx context.Context, w *worker, teller *Teller, pulse *beats) {
	defer func() {
		if p := recover(); p != nil {
			d.recovered()
			teller.log.Error("a turn ended in a defect of reconciler, please report it", KeyError, fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	loop.Keeping{
		Order: func() (loop.Ports, loop.Spec, error) {
			pulse.within(turnIsSilent)
			ports, spec, err := w.order()
			ports.Watch = func(e apply.Event) {
				pulse.within(turnIsSilent)
				teller.Event(e)
				if d.Event != nil {
					d.Event(w.name, e)
				}
			}
			return ports, spec, err
		},
		Wait: func(ctx context.Context, wait time.Duration) error {
			pulse.within(2*wait + grace)
			defer pulse.within(turnIsSilent)
			return d.Wait(ctx, jittered(wait), w.news)
		},
		Every: d.every,
		Seen: func(t loop.Turned) {
			if ctx.Err() == nil { // else the look was cut short, and tells nothing
				t.Cluster = w.name // also where nothing could be ordered
				teller.Turned(t)
				if d.Seen != nil {
					d.Seen(t)
				}
			}
		},
	}.Keep(ctx)
}
