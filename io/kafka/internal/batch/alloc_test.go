package batch

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAllocs(t *testing.T) {
	var r Reader
	var x Record
	aborted := []Aborted{{1, 0}, {2, 5}}
	read := func(raw []byte) func() {
		return func() {
			r.Reset(raw, 0, Options{Committed: true, Aborted: aborted})
			for r.Next(&x) {
				x.Header("b")
			}
		}
	}
	plain, n := batchesOf(100<<10, 100, None)
	assert.Zero(t, testing.AllocsPerRun(20, read(plain)), "%d records", n)
	aborting := join(part(t, 0, []string{"a"}, by(1)), abortOf(t, 1, 1), part(t, 2, []string{"b"}, by(2)))
	assert.Zero(t, testing.AllocsPerRun(20, read(aborting)))
	// Some for a batch, none for a record; the race detector empties pools at random.
	for _, c := range codecs[1:] {
		raw, n := batchesOf(100<<10, 100, c)
		perRecord := testing.AllocsPerRun(20, read(raw)) / float64(n)
		assert.Less(t, perRecord, 0.5, "%s: %d records", c, n)
	}

	var b Builder
	var buf []byte
	headers := []Header{{"a", []byte("1")}}
	key, value := []byte("key"), filler(100, 1)
	assert.Zero(t, testing.AllocsPerRun(20, func() {
		b.Reset(buf)
		for i := range 1000 {
			b.Add(int64(i), key, value, headers)
		}
		buf = b.Finish(None)
		Stamp(buf, Producer{1, 1}, 1, true)
		Partition(key, 7)
	}))
}
