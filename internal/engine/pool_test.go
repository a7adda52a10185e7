package engine

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Goal: a split that was open in the snapshot goes back to its lane, whose watermarks
// were restored; the others go to whoever is free.
func TestPool_restored(t *testing.T) {
	p := newPool([]string{"a", "b", "c", "d"}, 4, bounded, 2, nil)
	require.Equal(t, []int{0}, p.take(0))
	require.Equal(t, []int{1}, p.take(1))
	p.finish(0)
	require.Equal(t, []int{2}, p.take(0))
	saved := p.save(map[int][]byte{1: {1}, 2: {2}})

	p = newPool([]string{"a", "b", "c", "d"}, 4, bounded, 2, saved)
	require.Equal(t, 3, p.waiting)
	require.Equal(t, []int{2}, p.take(0), "not b, which was lane 1's")
	p.finish(2)
	require.Equal(t, []int{3}, p.take(0))
	p.finish(3)
	require.Empty(t, p.take(0))
	require.Equal(t, []int{1}, p.take(1))
	require.Zero(t, p.waiting)
}
