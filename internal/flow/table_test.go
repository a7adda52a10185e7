package flow

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/internal/keygroup"
	"github.com/stretchr/testify/require"
)

// Goal: a directory with removals is a map, whatever the order, and its columns
// and changed rows follow.
// Method: random puts, removals and rounds of deltas against Go's map, with few
// keys, so that graves and sweeps are frequent.
func TestDir_isAMap(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		keys := 1 << (3 + seed%8)
		d := NewDir[int](keygroup.Of[int](nil))
		col := AddColumn[int](d)
		want, changed := map[int]int{}, map[int]bool{}
		for step := range 5000 {
			k := r.IntN(keys)
			switch r.IntN(5) {
			case 0, 1:
				row, fresh := d.Row(k)
				_, had := want[k]
				require.Equal(t, !had, fresh)
				col.Vals[row] = step
				d.Touch(row)
				want[k], changed[k] = step, true
			case 2, 3:
				row := d.Find(k)
				_, had := want[k]
				require.Equal(t, had, row != none)
				if had {
					require.Equal(t, want[k], col.Vals[row])
					d.Remove(row)
					delete(want, k)
					delete(changed, k)
				}
			default:
				if r.IntN(20) > 0 {
					continue
				}
				got := map[int]bool{}
				d.EachDirty(func(row uint32) {
					require.False(t, got[d.Keys[row]], "twice")
					got[d.Keys[row]] = true
				})
				require.Equal(t, changed, got, "seed %d", seed)
				clear(changed)
			}
			require.Equal(t, len(want), d.Len())
		}
		got := map[int]int{}
		d.Each(func(row uint32) { got[d.Keys[row]] = col.Vals[row] })
		require.Equal(t, want, got)
	}
}

// Goal: keys that come and go for ever cost no more memory than those that live.
func TestDir_staysSmall(t *testing.T) {
	d := NewDir[string](keygroup.Of[string](func(b []byte, s string) []byte { return append(b, s...) }))
	for i := range 200_000 {
		row, _ := d.Row(fmt.Sprint(i))
		d.Touch(row) // nobody may ask for what changed: the list of it must not grow
		if i >= 100 {
			d.Remove(d.Find(fmt.Sprint(i - 100)))
		}
	}
	require.Equal(t, 100, d.Len())
	require.LessOrEqual(t, len(d.ctrl), 1024)
	require.LessOrEqual(t, cap(d.dirty), 1024)
}

// Goal: keys that come in the order of a large table's slots are put into a growing
// one in about the time that others take. Method: the longest way that any has to its
// home, in a table that is filled so.
func TestDir_restoredInOrder(t *testing.T) {
	hash := keygroup.Of[uint64](nil)
	from, to := NewDir[uint64](hash), NewDir[uint64](hash)
	for k := range uint64(340_000) { // near to where it grows: the worst case
		from.Row(k)
	}
	farthest := uint64(0)
	from.Each(func(r uint32) {
		k := from.Keys[r]
		at, _ := to.Row(k)
		farthest = max(farthest, (uint64(at)-hash.Sum(k))&uint64(len(to.ctrl)-1))
	})
	require.LessOrEqual(t, farthest, uint64(farAway))
	require.LessOrEqual(t, len(to.ctrl), 2*len(from.ctrl))
}
