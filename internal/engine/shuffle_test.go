package engine

import (
	"testing"

	"github.com/millrace/millrace/internal/keygroup"
	"github.com/stretchr/testify/require"
)

// Goal: every key group has one lane, the same as all slots see it, and each slot and
// each lane have their share.
func TestPlace_owners(t *testing.T) {
	for _, at := range []place{{0, 1, 1}, {0, 1, 3}, {0, 3, 2}, {2, 3, 2}, {6, 7, 5}} {
		own := at.owners()
		require.Equal(t, own, place{0, at.slots, at.lanes}.owners())
		has := make([]int, at.all())
		for _, lane := range own {
			has[lane]++
		}
		for lane, n := range has {
			require.InDelta(t, keygroup.N/at.all(), n, float64(at.all()), "lane %d of %v", lane, at)
		}
	}
	require.Equal(t, uint16(5), place{0, 2, 4}.owners()[keygroup.N/2+1], "a group is on lane g mod lanes of its slot")
}

// Goal: each split is one slot's, by its place, or where more turn up by its name alone.
func TestPlace_reads(t *testing.T) {
	for _, kind := range []rootKind{bounded, unbounded, growing} {
		for i, id := range []string{"a", "b", "c", "d", "e"} {
			n := 0
			for s := range 3 {
				at := place{s, 3, 2}
				if at.reads(kind, i, id) {
					n++
				}
				if kind == growing {
					require.Equal(t, at.reads(kind, i, id), at.reads(kind, i+1, id))
				} else {
					require.Equal(t, i%3 == s, at.reads(kind, i, id))
				}
			}
			require.Equal(t, 1, n)
		}
	}
	require.True(t, place{0, 1, 4}.reads(growing, 3, "x"))
}
