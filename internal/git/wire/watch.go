package wire

import (
	"context"
	"fmt"
	"time"
)

// quiet is for how long a server may send nothing.
const quiet = 30 * time.Second

// watch ends a context when nothing was heard for too long; 0: [quiet]. The caller
// ends it in any case.
func watch(ctx context.Context, most time.Duration) (watched context.Context, heard, end func()) {
	if most == 0 {
		most = quiet
	}
	ctx, cancel := context.WithCancelCause(ctx)
	silent := time.AfterFunc(most, func() { cancel(fmt.Errorf("nothing came for %v", most)) })
	return ctx, func() { silent.Reset(most) }, func() { silent.Stop(); cancel(nil) }
}
