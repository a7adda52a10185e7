package kafka

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func sampleLetter() BadRecord {
	return BadRecord{
		Record: Record{
			Topic: "orders", Partition: 3, Offset: 42, Time: time.UnixMilli(1_700_000_000_120).UTC(),
			Key: []byte("key"), Value: []byte{0, 1}, Headers: []Header{{"trace", []byte("x")}, {"trace", nil}},
		},
		Cluster: "west", Error: "no JSON", At: time.UnixMilli(1_780_000_000_000).UTC(),
	}
}

// Goal: a letter gives the record back as it was, also one that is in another letter.
func TestDeadLetter_roundTrip(t *testing.T) {
	f := deadLetters()
	bare := sampleLetter()
	bare.Time, bare.Key, bare.Value, bare.Headers, bare.Error = time.Time{}, nil, nil, nil, ""
	for _, want := range []BadRecord{sampleLetter(), bare} {
		var r Record
		require.NoError(t, f.Encode(want, &r))
		assert.Equal(t, [2][]byte{want.Key, want.Value}, [2][]byte{r.Key, r.Value})
		assert.Equal(t, want.At, r.Time)
		assert.Empty(t, r.Topic, "the sink's topic counts")

		outer := BadRecord{Record: r, Cluster: "east", Error: "again", At: want.At}
		outer.Topic = "letters"
		var r2 Record
		require.NoError(t, f.Encode(outer, &r2))
		got2, err := f.Decode(&r2)
		require.NoError(t, err)
		assert.Equal(t, outer, got2)

		r.Headers = append(r.Headers, Header{"added", []byte("by somebody")})
		got, err := f.Decode(&r)
		require.NoError(t, err)
		want.Headers = append(want.Headers, Header{"added", []byte("by somebody")})
		assert.Equal(t, want, got)
	}
}

// Goal: the headers are text, as other tools show them.
func TestDeadLetter_headers(t *testing.T) {
	var r Record
	require.NoError(t, deadLetters().Encode(sampleLetter(), &r))
	var got []string
	for _, h := range r.Headers[2:] {
		got = append(got, h.Key+": "+string(h.Value))
	}
	assert.Equal(t, []string{
		"millrace.error: no JSON",
		"millrace.topic: orders",
		"millrace.partition: 3",
		"millrace.offset: 42",
		"millrace.timestamp: 2023-11-14T22:13:20.12Z",
		"millrace.cluster: west",
		"millrace.at: 2026-05-28T20:26:40Z",
	}, got)
}

func TestDeadLetter_longError(t *testing.T) {
	l := sampleLetter()
	l.Error = strings.Repeat("ü", errorBytesMax)
	l.Error = "x" + l.Error
	var r Record
	require.NoError(t, deadLetters().Encode(l, &r))
	got, err := deadLetters().Decode(&r)
	require.NoError(t, err)
	assert.True(t, utf8.ValidString(got.Error))
	assert.Len(t, got.Error, errorBytesMax-1)
}

func TestDeadLetter_sentences(t *testing.T) {
	_, err := deadLetters().Decode(&Record{Headers: []Header{{"millrace.error", nil}}})
	require.EqualError(t, err, "no dead letter: there is no header millrace.topic")
	var r Record
	require.NoError(t, deadLetters().Encode(sampleLetter(), &r))
	for i, h := range r.Headers {
		if h.Key == headerOffset {
			r.Headers[i].Value = []byte("x")
		}
	}
	_, err = deadLetters().Decode(&r)
	require.ErrorContains(t, err, `no dead letter: strconv.ParseInt: parsing "x"`)
}

func FuzzDeadLetter(f *testing.F) {
	f.Add("e", "t", "1", "2", "2023-11-14T22:13:20Z", "c", "2023-11-14T22:13:20Z")
	f.Fuzz(func(t *testing.T, e, topic, partition, offset, stamp, cluster, at string) {
		r := Record{Headers: []Header{
			{headerError, []byte(e)}, {headerTopic, []byte(topic)}, {headerPartition, []byte(partition)}, {headerOffset, []byte(offset)},
			{headerTimestamp, []byte(stamp)}, {headerCluster, []byte(cluster)}, {headerAt, []byte(at)},
		}}
		l, err := deadLetters().Decode(&r)
		if err != nil {
			return
		}
		var w Record
		require.NoError(t, deadLetters().Encode(l, &w))
		again, err := deadLetters().Decode(&w)
		require.NoError(t, err)
		require.Equal(t, [3]any{l.Topic, l.Partition, l.Offset}, [3]any{again.Topic, again.Partition, again.Offset})
		require.Equal(t, clip(l.Error, errorBytesMax), again.Error)
	})
}
