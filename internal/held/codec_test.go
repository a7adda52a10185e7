package held

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// examples is one of each thing, with all fields set.
func examples() []thing {
	history := []Span{{1<<32 | 7, 0}, {2<<32 | 9, 41}}
	tag := Tag{Cut: 5, At: Ident{2, 2<<32 | 9, 44}, Void: true, Version: 3, Moving: true}
	given := []Given{{Group: 9, Version: 3, Inc: 2<<32 | 9, Epoch: 43}}
	job := Job{Version: 12, Gen: 2, Cut: 4, At: []Ident{{2, 2<<32 | 9, 40}, {1, 1<<32 | 7, 38}}, Settled: true, Groups: Assignment{4, []int{0, 0, 1, 0}}}
	return []thing{
		&Data{Gen: 2, Src: 1, Dst: 3, Inc: 2<<32 | 9, Epoch: 45, Class: 2, Frame: 17, Size: 32768},
		&End{Gen: 2, Src: 1, Dst: 3, Inc: 2<<32 | 9, Epoch: 45, Prev: 43, Colour: 4, Version: 3, Counts: []int{0, 3, 18}, Marks: []byte("marks")},
		&Ack{Gen: 2, Dst: 3, DstInc: 3 << 32, Process: 77, Standby: true, Src: 1, SrcInc: 2<<32 | 9, Epoch: 45},
		&State{
			Gen: 2, Slot: 1, Inc: 2<<32 | 9, N: 300, Process: 77, History: history, Epoch: 44, Colour: 5, Tag: tag, Last: []Epoch{44, 0}, Marks: []byte("m"),
			At: [][]Pos{{{45, 0}, {44, 3}}, {{1, 0}, {1, 0}}}, Have: []Epoch{45, 0}, Seen: []Inc{2<<32 | 9, 0}, Full: true, Lost: true, Waits: true,
			Moves: Moves{Version: 3, Before: []byte("b"), Await: []int{5, 6}, Given: given, Drained: 42},
		},
		&News{Job: job, Asked: 5, Told: 9, Rest: true},
		&Record{
			Gen: 2, Slot: 1, Inc: 2<<32 | 9, Epoch: 44, History: history, Colour: 5, Tag: tag, Last: []Epoch{44, 0}, Marks: []byte("m"),
			At:   [][]Place{{{Pos{45, 0}, []byte("w"), 3, []byte("late")}, {Pos{44, 3}, nil, 2, nil}}},
			Kept: []Kept{{Dst: 3, Inc: 1<<32 | 7, Epoch: 40, Prev: 38, Colour: 3, Version: 2, Frames: [][]int{{32768, 12}, nil}, Marks: []byte("k")}},
			Groups: Groups{
				Assignment: Assignment{3, []int{1, 0, 0}}, Before: []byte("b"), Await: []Await{{5, true, []int{0, 70}}, {6, false, nil}},
				Give: []int{8}, Given: given, Drained: 42,
			},
			Chunks: []Chunk{{2, 2<<32 | 9, 44, 3, 0xdeadbeef}}, State: []byte("state"), Rests: true, Word: 7, Unshown: true,
		},
		&job,
		&Cell{Ballot: 3 << 32, By: 2<<32 | 9, Version: 6, Value: []byte("value"), Learns: true},
	}
}

func blank(t thing) thing {
	switch t.kind() {
	case kindData:
		return &Data{}
	case kindEnd:
		return &End{}
	case kindAck:
		return &Ack{}
	case kindState:
		return &State{}
	case kindNews:
		return &News{}
	case kindRecord:
		return &Record{}
	case kindJob:
		return &Job{}
	}
	return &Cell{}
}

// Goal: what is written is read. Method: one of each, and an empty one of each.
func TestDecode(t *testing.T) {
	for _, want := range examples() {
		for _, want := range []thing{want, blank(want)} {
			got := blank(want)
			require.NoError(t, Decode(Append(nil, want), got))
			assert.Equal(t, want, got)
		}
	}
}

// Goal: bytes of version 1 stay readable. Method: golden bytes; a new version gets a
// file of its own.
func TestDecode_golden(t *testing.T) {
	var b strings.Builder
	for _, e := range examples() {
		fmt.Fprintf(&b, "%T %s\n", e, hex.EncodeToString(Append(nil, e)))
	}
	name := filepath.Join("testdata", "format_v1.txt")
	if *update {
		require.NoError(t, os.WriteFile(name, []byte(b.String()), 0o644))
	}
	want, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, string(want), b.String())
}

// Goal: a damaged byte is seen. Method: each bit of one of each is flipped.
func TestDecode_damaged(t *testing.T) {
	for _, e := range examples() {
		b := Append(nil, e)
		for i := range len(b) * 8 {
			b[i/8] ^= 1 << (i % 8)
			require.Error(t, Decode(b, blank(e)), "%T bit %d", e, i)
			b[i/8] ^= 1 << (i % 8)
		}
		for n := range b {
			require.Error(t, Decode(b[:n], blank(e)))
		}
	}
}

func TestDecode_newer(t *testing.T) {
	b := resum([]byte{byte(kindAck), formatVersion + 1})
	require.ErrorIs(t, Decode(b, &Ack{}), ErrNewer)
}

func TestDecodeMessage(t *testing.T) {
	for _, e := range examples() {
		m, err := DecodeMessage(Append(nil, e))
		if e.kind() > kindNews {
			require.Error(t, err)
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, e, m)
	}
}

// resum puts the sum behind b.
func resum(b []byte) []byte { return appendSum(slices.Clone(b), 0) }

// Goal: no bytes make decoding fail otherwise than by an error, and what is read is
// what would be written. The sum is put right, so that the fields are reached.
func FuzzDecode(f *testing.F) {
	for _, e := range examples() {
		b := Append(nil, e)
		f.Add(b[:len(b)-4])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 || b[0] == 0 || kind(b[0]) > kindCell {
			return
		}
		b = resum(b)
		for _, e := range examples() {
			if e.kind() != kind(b[0]) {
				continue
			}
			got := blank(e)
			if Decode(b, got) == nil {
				require.Equal(t, b, Append(nil, got))
			}
		}
	})
}
