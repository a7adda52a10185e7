package flow

import (
	"testing"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/keygroup"
	"github.com/stretchr/testify/require"
)

// Goal: what is spelled out for speed is what package keygroup says.
func TestHashWord_isTheHashersSum(t *testing.T) {
	type id int64
	u, i, n := keygroup.Of[uint64](nil), keygroup.Of[id](nil), keygroup.Of[int](nil)
	require.True(t, isWord[uint64]() && isWord[id]() && isWord[int]())
	require.False(t, isWord[int32]() || isWord[string]() || isWord[[8]byte]() || isWord[float64]())
	for k := uint64(1); k != 0; k *= 6 {
		x, y, z := k, id(k), int(k)
		require.Equal(t, u.Sum(x), hashWord(&x))
		require.Equal(t, i.Sum(y), hashWord(&y))
		require.Equal(t, n.Sum(z), hashWord(&z))
		require.Equal(t, keygroup.Group(u.Sum(x)), int(u.Sum(x)>>groupShift))
	}
}

// Goal: a KeyBy that has become part of what follows does as the two apart.
func TestKeyBy_partOfWhatFollows(t *testing.T) {
	key := func(v int64) int64 { return v % 3 }
	sent := func(c *graph.Ctx, fused bool) (keys []int64) {
		e := KeyedType(cod[int64](t), cod[int64](t)).NewEdge(graph.EdgeConfig{Kind: graph.ByKey, Size: 4})
		send, flush := e.Sender(c, c.Run.Owner, func(_ int, b graph.Batch) graph.Batch {
			for _, kv := range b.(*Batch[coder.KV[int64, int64]]).vals {
				keys = append(keys, kv.Key, kv.Value)
			}
			return nil
		})
		if !fused {
			send = recvOf[coder.KV[int64, int64]](send)
		}
		in, _ := KeyBy(key, cod[int64](t)).Open(c, []any{send})
		for v := range int64(10) {
			recvOf[int64](in[0])(c, v)
		}
		flush()
		return keys
	}
	require.Len(t, sent(testLane(t), true), 20)
	require.Equal(t, sent(testLane(t), false), sent(testLane(t), true))
	require.Equal(t, sent(testLane(t, careful), false), sent(testLane(t, careful), true))
}
