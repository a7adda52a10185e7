package flow

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/keygroup"
)

// A count of each of half a million keys, looked up by batches of several sizes.
func BenchmarkRowsOf(b *testing.B) {
	for _, size := range []int{1, 32, 64, 128, 256, 512} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			d := NewDir[uint64](keygroup.Of[uint64](nil))
			col := AddColumn[optional[uint64]](d)
			const keys = 500_000
			for k := range uint64(keys) {
				d.Row(k)
			}
			rnd := rand.New(rand.NewPCG(1, 2))
			in := make([]coder.KV[uint64, uint64], 1<<20)
			for i := range in {
				in[i].Key = rnd.Uint64N(keys)
			}
			var s rows
			n := 0
			for b.Loop() {
				if n+size > len(in) {
					n = 0
				}
				v := in[n : n+size]
				n += size
				if size == 1 {
					r, _ := d.Row(v[0].Key)
					col.Vals[r].v++
					continue
				}
				for _, r := range rowsOf(d, v, &s) {
					col.Vals[r].v++
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/key")
		})
	}
}
