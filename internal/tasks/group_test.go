package tasks

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// Goal: nothing runs once Wait has returned, whoever begins something meanwhile; the race
// detector sees no harm in it.
func TestGroup(t *testing.T) {
	for range 2000 {
		var g Group
		var over, late atomic.Bool
		runs := func() {
			if over.Load() {
				late.Store(true)
			}
		}
		g.Go(runs)
		begun := make(chan struct{})
		go func() {
			defer close(begun)
			for range 10 {
				g.Go(func() { runs(); g.Go(runs) })
			}
		}()
		g.Wait()
		over.Store(true)
		<-begun
		g.Go(runs)
		g.Wait()
		require.False(t, late.Load())
	}
}
