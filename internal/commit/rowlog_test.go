package commit

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// told is a LaneWriter that notes what it is told.
type told []string

func (t *told) note(format string, args ...any) { *t = append(*t, fmt.Sprintf(format, args...)) }

func (t *told) Node(name string)                  { t.note("node %s", name) }
func (t *told) Put(group int, key, val []byte)    { t.note("put %d %q %q", group, key, val) }
func (t *told) Append(group int, key, val []byte) { t.note("append %d %q %q", group, key, val) }
func (t *told) Delete(group int, key []byte)      { t.note("delete %d %q", group, key) }

// some writes rows of all kinds.
func some(w LaneWriter) {
	w.Node("count")
	w.Put(0, []byte("a"), []byte("1"))
	w.Append(1023, nil, make([]byte, 300))
	w.Node("clock")
	w.Put(EveryLane, nil, nil)
	w.Delete(LaneBound, []byte("gone"))
	w.Node("")
	w.Delete(7, make([]byte, 200))
}

func TestRowLog(t *testing.T) {
	l := NewRowLog(nil)
	some(l)
	var want, got told
	some(&want)
	require.NoError(t, Replay(l.Bytes(), &got))
	require.Equal(t, want, got)

	again := NewRowLog(nil)
	again.Node("count")
	again.Node("count")
	require.Equal(t, "\x00\x05count", string(again.Bytes()), "a node is named once")

	for n := range l.Bytes() {
		var few told
		if Replay(l.Bytes()[:n], &few) == nil && n > 0 {
			require.Equal(t, want[:len(few)], few, "cut to %d bytes, between two rows", n)
		}
	}
	require.ErrorIs(t, Replay([]byte{1, 2, 0, 0}, &told{}), errRowLog, "a row of no node")
	require.ErrorIs(t, Replay([]byte{0, 0, 9, 2, 0, 0}, &told{}), errRowLog, "a kind that there is not")
}

func FuzzReplay(f *testing.F) {
	l := NewRowLog(nil)
	some(l)
	f.Add(l.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		var once, twice told
		again := NewRowLog(nil)
		if Replay(b, &once) != nil || Replay(b, again) != nil {
			return
		}
		require.NoError(t, Replay(again.Bytes(), &twice))
		require.Subset(t, once, twice, "a node is named no more than it has to be")
	})
}
