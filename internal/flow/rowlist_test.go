package flow

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

func TestRowList(t *testing.T) {
	codec := cod[int64](t)
	var l rowList
	const n = 30_000 // several blocks
	for i := range n {
		b := appendRowKey(l.bytes, i%3000, window.Interval{End: int64(i)}, codec, int64(i))
		if i%2 == 0 {
			l.addKey(b)
		} else {
			l.add(strconv.AppendInt(b, int64(i), 10), len(b))
		}
	}
	require.Greater(t, len(l.full), 2)
	i := 0
	l.take(func(group int, key, val []byte) {
		w, k, err := splitRowKey(key, codec)
		require.NoError(t, err)
		require.Equal(t, int64(i), k)
		require.Equal(t, window.Interval{End: int64(i)}, w)
		require.Equal(t, i%3000, group)
		if i%2 == 0 {
			require.Empty(t, val)
		} else {
			require.Equal(t, strconv.Itoa(i), string(val))
		}
		i++
	})
	assert.Equal(t, n, i)
	l.take(func(int, []byte, []byte) { t.Error("it was emptied") })
}

// A row that goes costs no allocation of its own.
func TestRowList_allocs(t *testing.T) {
	const rows = 100_000
	codec := cod[int64](t)
	per := testing.AllocsPerRun(3, func() {
		var l rowList
		for i := range rows {
			l.addKey(appendRowKey(l.bytes, 1, window.Interval{}, codec, int64(i)))
		}
		l.delete(discard{})
	})
	assert.Less(t, per, float64(rows)/500)
}

type discard struct{}

var _ graph.DeltaWriter = discard{}

func (discard) Put(int, []byte, []byte)    {}
func (discard) Append(int, []byte, []byte) {}
func (discard) Delete(int, []byte)         {}
