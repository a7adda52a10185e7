package statepebble

import (
	"context"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// room makes who writes tables wait until those before are tidied up, as the
// library does for batches.
type room struct {
	ctx    context.Context // its end is the end of the store
	tidied chan struct{}   // something has happened since the last look

	mu  sync.Mutex
	err error // of the last try to tidy up
}

func newRoom(ctx context.Context) *room { return &room{ctx: ctx, tidied: make(chan struct{}, 1)} }

// notice is told whenever the library has tidied up, or could not.
func (r *room) notice(err error) {
	r.mu.Lock()
	r.err = err
	r.mu.Unlock()
	select {
	case r.tidied <- struct{}{}:
	default:
	}
}

// wait waits until reads need not look into too many tables.
func (r *room) wait(db *pebble.DB) error {
	for db.Metrics().Levels[0].Sublevels >= layersMax {
		select {
		case <-r.tidied:
		case <-r.ctx.Done():
			return context.Cause(r.ctx)
		}
		r.mu.Lock()
		err := r.err
		r.mu.Unlock()
		if err != nil && pebble.IsCorruptionError(err) {
			return fmt.Errorf("tidying up: %w", err)
		}
	}
	return nil
}
