package client

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// parsers are all that take answers apart, for any version.
var parsers = []struct {
	a     api
	parse func(r *reader, v int16)
}{
	{apiVersions, func(r *reader, _ int16) {
		if _, err := parseVersions(r.b); err != nil {
			r.fail()
		}
	}},
	{apiMetadata, func(r *reader, v int16) { parseMetadata(r, v) }},
	{apiFetch, func(r *reader, _ int16) {
		parseFetch(r, []FetchPart{{Topic: "t"}}, func(string, int32, int32, int32) bool { return true })
	}},
	{apiProduce, func(r *reader, v int16) {
		parseProduce(r, v, func(string, int32, int32, int32) bool { return true }, func(TopicPartition, Produced) {})
	}},
	{apiListOffsets, func(r *reader, _ int16) {
		parseOffsets(r, map[TopicPartition]OffsetEpoch{}, map[TopicPartition]error{})
	}},
	{apiEpochEnds, func(r *reader, _ int16) {
		parseEpochEnds(r, map[TopicPartition]EpochEnd{}, map[TopicPartition]error{})
	}},
	{apiFindCoordinator, func(r *reader, _ int16) { parseCoordinator(r) }},
	{apiOffsetFetch, func(r *reader, _ int16) { parseOffsetFetch(r, []TopicPartition{{"t", 0}}) }},
	{apiOffsetCommit, func(r *reader, _ int16) { parseCodes(apiOffsetCommit, []TopicPartition{{"t", 0}})(r) }},
	{apiInitProducer, func(r *reader, _ int16) { parseProducer(r) }},
	{apiEndTxn, func(r *reader, _ int16) { parseCode(apiEndTxn)(r) }},
	{apiCreateTopics, func(r *reader, _ int16) { parseCreated(r, "t") }},
	{apiCreatePartitions, func(r *reader, _ int16) { parsePartitioned(r, "t") }},
}

// Goal: no answer, however broken, panics or makes us allocate much more than it
// has bytes. Method: any bytes, to every parser in every version.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 100))
	f.Add(bytes.Repeat([]byte{2, 1}, 100))
	f.Add(append(bytes.Repeat([]byte{0}, 6), 0x7f, 0xff, 0xff, 0xff))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, p := range parsers {
			for v := p.a.min; v <= p.a.max; v++ {
				r := reader{b: b, flex: v >= p.a.flex}
				p.parse(&r, v)
			}
		}
	})
}

// An array that counts more elements than there are bytes is an error at once.
func TestCountsAreNotBelieved(t *testing.T) {
	lie := append(make([]byte, 6), 0x7f, 0xff, 0xff, 0xff, 0x7f)
	for _, p := range parsers {
		for v := p.a.min; v <= p.a.max; v++ {
			for cut := range len(lie) {
				r := reader{b: lie[cut:], flex: v >= p.a.flex}
				allocated := testing.AllocsPerRun(1, func() { p.parse(&r, v) })
				assert.Less(t, allocated, 100.0)
			}
		}
	}
}

func TestAnswerLengths(t *testing.T) {
	lie := binary.BigEndian.AppendUint32(nil, 900<<20)
	lie = append(binary.BigEndian.AppendUint32(lie, 1), make([]byte, 100)...)
	huge := binary.BigEndian.AppendUint32(nil, 0xfffffff0)
	other := append([]byte{0, 0, 0, 8, 0, 0, 0, 9}, make([]byte, 8)...)
	for _, tt := range []struct {
		name string
		in   []byte
		want error
	}{
		{"it ends early", lie, io.ErrUnexpectedEOF},
		{"a length that none has", append(huge, 0, 0, 0, 1), errCorrupt},
		{"of another request", other, errCorrupt},
	} {
		x := &exchange{request: request{api: apiFetch, version: 12}, id: 1}
		_, err := x.receive(bytes.NewReader(tt.in))
		require.ErrorIs(t, err, tt.want, tt.name)
	}
}

func TestReadN(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 500_000)
	for _, tt := range []struct{ buf, expect int }{{0, 0}, {0, 2 << 20}, {0, 10 << 20}, {6 << 20, 0}, {100, 0}} {
		got, err := readN(bytes.NewReader(data), len(data), make([]byte, tt.buf), tt.expect)
		require.NoError(t, err)
		assert.True(t, bytes.Equal(data, got))
	}
}

func TestAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"a": "a:9092", "a:1": "a:1", "[::1]:9": "[::1]:9", "": "", ":9": "", "a:x": "", "a:0": "", "a:70000": "", "kafka://a:9092": "", "u@a:9": "",
	} {
		got, err := address(in)
		assert.Equal(t, want, got, in)
		assert.Equal(t, want == "", err != nil, in)
	}
}

func TestErrorText(t *testing.T) {
	e := &Error{Code: 6, Op: "produce", Topic: "t", Partition: 3, Broker: "h:1"}
	assert.EqualError(t, e, "produce topic t partition 3 at h:1: another broker leads the partition now (NOT_LEADER_OR_FOLLOWER)")
	assert.Equal(t, "error code 999", CodeText(999))
}
