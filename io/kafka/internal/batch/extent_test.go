package batch

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Goal: where a Reader ends is known before it reads. Method: batches with gaps
// between them, cut anywhere.
func TestExtentOf(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var raw []byte
		at := rnd.Int64N(100)
		for range rnd.IntN(5) {
			var b Builder
			b.Reset(nil)
			for range 1 + rnd.IntN(3) {
				b.Add(1, nil, []byte("value"), nil)
			}
			one := b.Finish(None)
			header(one).setBase(at)
			at += int64(Count(one)) + rnd.Int64N(3)
			raw = append(raw, one...)
		}
		raw = raw[:len(raw)-rnd.IntN(min(len(raw), 150)+1)]
		e := ExtentOf(raw)
		var r Reader
		r.Reset(raw, 0, Options{})
		var rec Record
		for r.Next(&rec) {
		}
		require.NoError(t, r.Err())
		assert.Equal(t, r.Need(), e.Need)
		assert.Equal(t, r.LeaderEpoch(), e.Epoch)
		if e.Next >= 0 {
			assert.Equal(t, r.NextOffset(), e.Next)
		} else {
			assert.Zero(t, r.NextOffset())
		}
	}
}
