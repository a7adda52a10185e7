package kafka

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/io/kafka/internal/batch"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

// Goal: bad records are set aside, with all that is known of them, in memory of their
// own. Method: with fusion and without, when coders are used.
func TestReadWithBad(t *testing.T) {
	w := newTown(t, 1)
	w.topic("t", 1)
	var b batch.Builder
	b.Reset(nil)
	b.Add(1000, []byte("key"), []byte("bad"), []batch.Header{{Key: "h", Value: []byte("v")}, {Key: "n"}})
	b.Add(2000, nil, []byte("good"), nil)
	b.Add(3000, []byte{}, []byte("bad"), nil)
	w.write("t", 0, b.Finish(batch.Zstd))
	w.write("t", 0, packed(batch.Zstd, 4000, strings.Repeat("x", 100), "fine"))
	for _, cfg := range []local.Config{{Parallelism: 1}, {Parallelism: 2, NoFusion: true}} {
		before := time.Now()
		p := pipeline.New()
		good, bad := ReadWithBad(p, w.url("t?stop=latest"), lines)
		goods, bads := pipeline.Collect(good), pipeline.Collect(bad)
		_, err := local.Run(t.Context(), p, cfg)
		require.NoError(t, err)
		assert.Equal(t, []string{"good", strings.Repeat("x", 100), "fine"}, goods.Values())
		got := bads.Values()
		require.Len(t, got, 2)
		for i := range got {
			assert.WithinRange(t, got[i].At, before, time.Now())
			got[i].At, got[i].Time = time.Time{}, got[i].Time.UTC()
		}
		assert.Equal(t, []BadRecord{
			{Record{"t", 0, 0, time.UnixMilli(1000).UTC(), []byte("key"), []byte("bad"), []Header{{"h", []byte("v")}, {"n", nil}}}, w.ListenAddrs()[0], "it is bad", time.Time{}},
			{Record{"t", 0, 2, time.UnixMilli(3000).UTC(), []byte{}, []byte("bad"), nil}, w.ListenAddrs()[0], "it is bad", time.Time{}},
		}, got)
	}
}

func TestRead_bad(t *testing.T) {
	w := newTown(t, 1)
	w.topic("t", 2)
	w.write("t", 1, packed(batch.None, 1000, "good", "bad", "good"))
	p := pipeline.New()
	pipeline.ForEach(Read(p, w.url("t"), lines), func(context.Context, string) error { return nil })
	_, err := local.Run(t.Context(), p, local.Config{Parallelism: 1})
	require.ErrorContains(t, err, "t/1:1")
	require.ErrorContains(t, err, "decode text: it is bad")

	outage := Format[string]{Name: "away", Decode: func(*Record) (string, error) { return "", &Outage{errors.New("no answer")} }}
	p = pipeline.New()
	ReadWithBad(p, w.url("t"), outage)
	_, err = local.Run(t.Context(), p, local.Config{Parallelism: 1})
	require.ErrorContains(t, err, "no answer")
}

// Goal: the bytes of records in snapshots and shuffles.
func TestRecordCoder_golden(t *testing.T) {
	registerRecords()
	c, err := coder.For[BadRecord]()
	require.NoError(t, err)
	b := BadRecord{Record{"t", 1, 2, time.UnixMilli(3).UTC(), nil, []byte{}, []Header{{"a", nil}, {"b", []byte("c")}}}, "x", "y", time.UnixMilli(4).UTC()}
	raw := c.Append(nil, b)
	got, rest, err := c.Decode(raw)
	require.NoError(t, err)
	assert.Empty(t, rest)
	assert.Equal(t, b, got)
	assert.Equal(t, "\x04\x00\x07\x01\x10\x01t\x01\x02\x02\x00\x00\xc0\x8d\xb7\x01\x00\x00\x00\x00\x02\x02\x01\x02\x01a\x02\x00\x01b\x01c\x01x\x01y\x02\x00\x00\x80\x92\xf4\x01", string(raw))
}
