package main

import (
	"testing"
	"time"

	"github.com/millrace/millrace/runners/local"
	"github.com/stretchr/testify/require"
)

// Goal: what an hour shows shows in five minutes, too: every event is in a session
// and at a timer, and memory stays flat while all keys change fifteen times. With
// and without snapshots.
func TestSoak_memoryIsFlat(t *testing.T) {
	minutes := 5.0
	if testing.Short() {
		minutes = 1
	}
	for _, cfg := range []local.Config{{Parallelism: 2}, {Parallelism: 2, Checkpoint: 50 * time.Millisecond}} {
		res, err := run(minutes, 20_000, cfg)
		require.NoError(t, err)
		if testing.Short() {
			res.Growth = 0 // too short to tell
		}
		require.NoError(t, res.check(), "%+v", res)
	}
}
