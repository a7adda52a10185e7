package upgrade

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/commit"
)

// every has every kind of part.
var every = []commit.Node{
	stateful("cells", "value a "+total1+" ttl", "bag b "+varint, "set c "+str, "map d millrace:coder:map:v1<"+str+","+total1+">", "combining e "+total1,
		"ordered-list f "+total1+" event-ttl", "event-timer g", "processing-timer-family h", "broadcast i "+total1, "parked elements "+total1),
	stateful("windows", "bag b beam:coder:global_window:v1"),
	combine("a", "fixed(1m0s)", "combined accumulator "+total1),
	combine("b", "fixed(1m0s)", "grouped values "+total1),
	combine("c", "fixed(1m0s)", "paned accumulator "+total1+" words=2"),
	combine("d", "sessions(1m0s)", "merging values "+total1+" words=1"),
	keyed(combine("e", "fixed(1m0s)", "view-panes elements "+total1), ""),
	keyed(combine("f", "global", "view elements "+total1), ""),
	keyed(combine("g", "fixed(1m0s)", "held elements "+total1+" windows"), ""),
	keyed(combine("h", "fixed(1m0s)", "waiting elements "+total1+" sides=2"), ""),
	keyed(combine("i", "global", "writer state"), ""),
}

// Goal: no bytes make the reader of rows panic, and what it has read is shown, and put
// together as what reads the same.
func FuzzSplit(f *testing.F) {
	key := append(appendInt(appendInt(nil, 0), 60000), "\x01k"...)
	for i := range every {
		for _, val := range []string{"", "\x00", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "\x01\x01\x00\x02\x00\x011\x02", "\x08\x01\x00\x02\x00\x011\x02", "\x0b\x01\x00\x02\x00\x011\x02\x05\x05", "\x02\x02\x00\x00\x00\x02\x01\x00\x02\x00\x011\x02"} {
			f.Add(uint8(i), key, []byte(val))
			f.Add(uint8(i), []byte("parked\x01k"), []byte(val))
			f.Add(uint8(i), []byte("shared/i"), []byte(val))
			f.Add(uint8(i), append([]byte("part\x01a"), key...), []byte(val))
			f.Add(uint8(i), key, append([]byte{0x80, 0, 2, 0, 3}, val...))
		}
	}
	var layouts []*Layout
	for _, n := range every {
		l, err := LayoutOf(n)
		require.NoError(f, err)
		layouts = append(layouts, l)
	}
	f.Fuzz(func(t *testing.T, which uint8, key, val []byte) {
		l := layouts[int(which)%len(layouts)]
		e, err := l.Split(key, val)
		if err != nil {
			return
		}
		text, err := e.AppendJSON(nil)
		require.NoError(t, err)
		require.True(t, json.Valid(text), "%s", text)
		key, val, err = l.Join(e)
		require.NoError(t, err)
		again, err := l.Split(key, val)
		require.NoError(t, err)
		twice, err := again.AppendJSON(nil)
		require.NoError(t, err)
		require.Equal(t, string(text), string(twice))
	})
}

// Goal: a row that is cut short is an error, not another row.
func TestSplit_cutShort(t *testing.T) {
	l, err := LayoutOf(every[0])
	require.NoError(t, err)
	var zero []Part
	for _, s := range l.parts {
		b, err := s.typ.AppendZero(nil)
		require.NoError(t, err)
		zero = append(zero, Part{s.part.Name, s.part.Kind, s.typ, b})
	}
	e := Entry{Key: []byte("\x01k"), KeyType: l.key, Parts: zero}
	require.True(t, e.Empty())
	zero[1].Bytes = []byte("\x00\x00\x00\x01\x07")
	require.False(t, e.Empty())
	key, val, err := l.Join(e)
	require.NoError(t, err)
	for n := range val {
		_, err := l.Split(key, val[:n:n])
		require.Error(t, err)
	}
	_, err = l.Split(key, append(val, 0))
	require.ErrorContains(t, err, "there is more in the row than was declared")
}

func TestCheck_looksForRows(t *testing.T) {
	old := of(stateful("watermarks only", "value a "+varint), stateful("rows", "value a "+varint), source("in"))
	s := commit.NewMemory()
	ep := s.Begin(1)
	w := ep.Lane(0)
	for _, n := range []string{"watermarks only", "rows"} {
		w.Node(n)
		w.Put(commit.EveryLane, []byte("output"), []byte{0})
	}
	w.Put(5, []byte("key"), []byte{0})
	require.NoError(t, ep.Commit(&commit.Record{Lanes: 1, Manifest: old}))
	r, err := Check(s, of(keyed(stateful("watermarks only", "value a "+varint), varint)), Options{})
	require.NoError(t, err)
	require.Equal(t, `kept      watermarks only  shop/main.go:10
            it has no rows, and begins anew: its key was string and is int64 now, and rows are found by the bytes of their keys
refused   rows             shop/main.go:10 of the old version
            the pipeline does not have it any more, and its state would be lost
refused   in               shop/main.go:5 of the old version
            the pipeline does not have this source any more, and where it was read to would be forgotten
`, r.String())
	require.Error(t, r.Err())
	require.NotNil(t, r.Migration("watermarks only"))
	r, err = Check(commit.NewMemory(), old, Options{})
	require.NoError(t, err)
	require.NoError(t, r.Err())
}
