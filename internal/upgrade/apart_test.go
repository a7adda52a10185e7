package upgrade

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/window"
)

// migrated is what becomes of rows, in JSON, in the layout of the new version.
func migrated(t *testing.T, was, is commit.Node, rows [][2]string) (out []string) {
	t.Helper()
	r := Plan(of(was), of(is), Options{})
	require.NoError(t, r.Err())
	l, err := LayoutOf(is)
	require.NoError(t, err)
	for _, row := range rows {
		require.NoError(t, r.Migration("cells")(7, []byte(row[0]), []byte(row[1]), func(group int, key, val []byte) {
			require.Equal(t, 7, group)
			e, err := l.Split(key, val)
			require.NoError(t, err)
			text, err := e.AppendJSON(nil)
			require.NoError(t, err)
			out = append(out, strings.TrimSuffix(string(text), "}")+fmt.Sprintf(" %q", e.Apart))
		}))
	}
	return out
}

// Goal: what lies apart is migrated as the rest of its row is. Method: a row of a value and a
// bag that lie apart of a number, for versions that declare otherwise.
func TestMigration_ofWhatLiesApart(t *testing.T) {
	was := stateful("cells", "value a "+str, "value n "+varint, "bag c "+varint+" ttl", "event-timer t")
	l, err := LayoutOf(was)
	require.NoError(t, err)
	name := l.RowKey(window.Global, []byte("\x01k"))
	head := "\x80\x00\x02\x00\x02" + "\x01\x05" + "\x00\x00"
	rows := [][2]string{
		{string(l.PartKey("c", window.Global, []byte("\x01k"))), "\x02\x03\x04\x00"},
		{string(name), head},
		{string(l.PartKey("a", window.Global, []byte("\x01k"))), "\x01\x03abc"},
	}
	for _, row := range rows {
		e, err := l.Split([]byte(row[0]), []byte(row[1]))
		require.NoError(t, err)
		require.False(t, e.Empty())
		key, val, err := l.Join(e)
		require.NoError(t, err)
		require.Equal(t, row, [2]string{string(key), string(val)})
	}
	for _, tc := range []struct {
		name  string
		state []string
		want  []string
	}{
		{"in another order, and one more", []string{"value m " + varint, "bag c " + varint + " ttl", "value n " + varint, "value a " + str, "event-timer t"}, []string{
			`{"key":"k","state":{"c":{"value":[3,4],"expires":null}} []`,
			`{"key":"k","state":{"m":null,"n":5,"t":null} ["c" "a"]`,
			`{"key":"k","state":{"a":"abc"} []`,
		}},
		{"one is dropped, the other lives for ever", []string{"value n " + varint, "bag c " + varint, "event-timer t"}, []string{
			`{"key":"k","state":{"c":[3,4]} []`,
			`{"key":"k","state":{"n":5,"t":null} ["c"]`,
		}},
		{"both are dropped", []string{"value n " + varint}, []string{`{"key":"k","state":{"n":5} []`}},
		{"nothing else is left", []string{"value a " + str}, []string{`{"key":"k","state":{} ["a"]`, `{"key":"k","state":{"a":"abc"} []`}},
		{"nothing is left", []string{"event-timer t"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Equal(t, tc.want, migrated(t, was, stateful("cells", tc.state...), rows))
		})
	}
}

func TestSplit_marksThatMeanNothing(t *testing.T) {
	l, err := LayoutOf(stateful("cells", "value a "+str, "bag b "+varint, "event-timer c"))
	require.NoError(t, err)
	key := l.RowKey(window.Global, []byte("\x01k"))
	for _, val := range []string{"\x80\x00", "\x80\x00\x00\x00\x00\x00\x00", "\x80\x00\x01", "\x80\x00\x01\x02\x00\x00", "\x80\x00\x02\x01\x00\x00\x00", "\x80\x00\x02\x01\x01\x00\x00\x00", "\x80\x00\x01\x09\x00\x00"} {
		_, err := l.Split(key, []byte(val))
		require.Error(t, err, "% x", val)
	}
	_, err = l.Split(l.PartKey("c", window.Global, []byte("\x01k")), []byte{0, 0})
	require.ErrorContains(t, err, `a state "c", which is not declared`)
	_, err = l.Split(l.PartKey("a", window.Global, []byte("\x01k")), []byte{0, 0})
	require.ErrorIs(t, err, errRest)
	_, _, err = l.Join(Entry{Key: []byte("\x01k"), KeyType: l.key, Apart: []string{"c"}})
	require.ErrorIs(t, err, errMark)
}

// Goal: behind a state whose coder is not registered, marks are still read and written.
func TestSplit_opaquePartsAndWhatLiesApart(t *testing.T) {
	l, err := LayoutOf(stateful("cells", "value a "+str, "value b example.com:coder:money:v1", "value c "+varint, "bag d "+varint))
	require.NoError(t, err)
	for val, want := range map[string]string{
		"\x80\x00\x01\x03\x01\x01x\x01money\x01\x05":    `{"a":"x","bytes":"AW1vbmV5AQU="}`,
		"\x80\x00\x02\x00\x01\x01\x05\x01\x04":          `{"c":5,"d":[4]}`,
		"\x80\x00\x01\x01\x01\x01x\x01\x05\x02\x04\x05": `{"a":"x","c":5,"d":[4,5]}`,
	} {
		e, err := l.Split(l.RowKey(window.Global, []byte("\x01k")), []byte(val))
		require.NoError(t, err)
		text, err := e.AppendJSON(nil)
		require.NoError(t, err)
		require.Equal(t, `{"key":"k","state":`+want+`}`, string(text))
		_, again, err := l.Join(e)
		require.NoError(t, err)
		require.Equal(t, val, string(again))
		if want[2] == 'a' {
			continue
		}
		require.NoError(t, l.Gather(&e, Part{Name: "a", Kind: "value", Type: l.parts[0].typ, Bytes: []byte("\x01\x01y")}))
		require.Equal(t, []string{"b"}, e.Apart)
		require.Equal(t, "a", e.Parts[0].Name)
	}
	e, err := l.Split(l.RowKey(window.Global, []byte("\x01k")), []byte("\x80\x00\x01\x03\x01\x01x\x01money\x01\x05"))
	require.NoError(t, err)
	require.ErrorContains(t, l.Gather(&e, Part{Name: "d", Kind: "bag"}), "lies behind a part whose coder this program has not registered")
}
