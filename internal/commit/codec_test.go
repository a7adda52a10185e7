package commit

import (
	"bytes"
	"flag"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

func sampleRecord() *Record {
	return &Record{
		Epoch: 1 << 40,
		Lanes: 4,
		Hint:  2,
		Ended: true,
		Manifest: Manifest{
			Hash: math.MaxUint64,
			Nodes: []Node{
				{Name: "read", Kind: "Read", Position: "main.go:12", Source: true, Out: []string{"beam:coder:string_utf8:v1"}},
				{Name: "count", Kind: "CombinePerKey", Position: "main.go:14", Windowing: "fixed 1m", Key: "beam:coder:string_utf8:v1",
					State: []string{"value acc beam:coder:varint:v1", "timer end"}, Out: []string{"a", ""}, Stateful: true},
			},
		},
		Splits: map[string][]Split{
			"read":  {{ID: "file-1", Done: true, Lane: -1}, {ID: "file-2", Pos: []byte{0, 255}, Lane: 3}},
			"other": nil,
			"":      {{}},
		},
		Times: []Time{{Node: "count", Lane: 0, In: math.MinInt64, Out: math.MaxInt64}, {Node: "count", Lane: 1, In: -1, Out: 0}},
	}
}

// shuffledRecord is a record of one slot of several.
func shuffledRecord() *Record {
	r := sampleRecord()
	r.Shuffle = []byte("so far")
	return r
}

// preparedRecord is a record of a slot whose sinks wait for a cut of the job.
func preparedRecord() *Record {
	r := shuffledRecord()
	r.Prepared = 300
	return r
}

// jointRecord is a record of a savepoint of a job of several slots.
func jointRecord() *Record {
	r := sampleRecord()
	r.Slots = 3
	return r
}

func TestRecord_roundTrip(t *testing.T) {
	for name, r := range map[string]*Record{"full": sampleRecord(), "empty": {}, "one slot of several": shuffledRecord(), "prepared": preparedRecord(), "several slots": jointRecord(), "prepared, alone": {Prepared: 1}} {
		b := AppendRecord([]byte("before"), r)
		require.Equal(t, "before", string(b[:6]))
		got, err := DecodeRecord(b[6:])
		require.NoError(t, err, name)
		assert.Equal(t, r, got, name)
		for range 20 {
			require.Equal(t, b[6:], AppendRecord(nil, r), "the order of a map must not show")
		}
	}
}

func TestRecord_golden(t *testing.T) {
	for file, r := range map[string]*Record{"testdata/record_v1": sampleRecord(), "testdata/record_v1_shuffled": shuffledRecord(), "testdata/record_v1_prepared": preparedRecord(), "testdata/record_v1_joint": jointRecord()} {
		b := AppendRecord(nil, r)
		if *update {
			require.NoError(t, os.WriteFile(file, b, 0o644))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, want, b)
		got, err := DecodeRecord(want)
		require.NoError(t, err)
		assert.Equal(t, r, got)
	}
}

func TestDecodeRecord_refuses(t *testing.T) {
	b := AppendRecord(nil, sampleRecord())
	for _, whole := range [][]byte{b, AppendRecord(nil, shuffledRecord()), AppendRecord(nil, preparedRecord())} {
		for n := range whole {
			_, err := DecodeRecord(whole[:n])
			require.Error(t, err, "cut off at %d", n)
		}
	}
	_, err := DecodeRecord(append(bytes.Clone(b), 0))
	require.ErrorContains(t, err, "bytes behind the end")
	newer := bytes.Clone(b)
	newer[0] = 2
	_, err = DecodeRecord(newer)
	require.ErrorIs(t, err, ErrNewer)
	_, err = DecodeRecord([]byte{1, 0, 1, 2, 2, 0, 0xff, 0xff, 0xff, 0xff, 0x0f})
	require.ErrorContains(t, err, "a length beyond the end")
	_, err = DecodeRecord([]byte{1, 0, 0x81, 0x00})
	require.ErrorContains(t, err, "shortest form")
}

// What is read is what would be written: no two byte strings mean the same.
func FuzzDecodeRecord(f *testing.F) {
	f.Add(AppendRecord(nil, sampleRecord()))
	f.Add(AppendRecord(nil, &Record{}))
	f.Add(AppendRecord(nil, shuffledRecord()))
	f.Add(AppendRecord(nil, preparedRecord()))
	f.Add([]byte{1, 0, 1, 2, 2, 0, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRecord(b)
		if err != nil {
			return
		}
		require.Equal(t, b, AppendRecord(nil, r))
	})
}
