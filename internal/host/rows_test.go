package host

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/transforms"
)

// Goal: the groups of each slot and of each lane are spread over all parts.
func TestPartOf(t *testing.T) {
	const slots, lanes, groups = 4, 2, 1024
	most := map[[3]int]int{}
	for g := range groups {
		require.Less(t, partOf(g), part(lanePart))
		most[[3]int{g % slots, g % lanes, int(partOf(g))}]++
		most[[3]int{-g * slots / groups, g % lanes, int(partOf(g))}]++
	}
	for at, n := range most {
		require.LessOrEqual(t, n, 3*groups/slots/(parts-1), at)
	}
	require.Equal(t, part(lanePart), partOf(commit.LaneBound))
	require.Equal(t, part(lanePart), partOf(commit.EveryLane))
}

// Goal: operators whose rows are written anew in parts, those that append to them among them,
// have after any takeover what they had. Method: slots end all the time, and each second epoch
// has a part; what comes out is what the numbers say.
func TestRun_inParts(t *testing.T) {
	const n, keys = 120_000, 60
	out := &ledger{shown: map[uint64][]string{}}
	j := newJob(t, 3, 2, func() *pipeline.Pipeline {
		p := pipeline.New()
		byKey := pipeline.KeyBy(pipeline.GenerateSequence(p, n), func(v uint64) uint64 { return v % keys })
		lists := pipeline.MapValues(pipeline.GroupByKey(byKey), func(all iter.Seq[uint64]) string {
			count, sum := 0, uint64(0)
			for v := range all {
				count, sum = count+1, sum+v
			}
			return fmt.Sprint(count, " ", sum)
		})
		lines := pipeline.Map(pipeline.Pairs(lists), func(kv pipeline.KV[uint64, string]) string { return fmt.Sprint("list ", kv.Key, " ", kv.Value) })
		pipeline.Write(pipeline.Reshuffle(lines), "test.Write", out)
		sums := pipeline.Map(pipeline.Pairs(transforms.Sum(byKey)), func(kv pipeline.KV[uint64, uint64]) string { return fmt.Sprint("sum ", kv.Key, " ", kv.Value) })
		pipeline.Write(pipeline.Reshuffle(sums), "test.Write too", out)
		return p
	}).small()
	j.chunks = 1
	r := rand.New(rand.NewPCG(1, 9))
	j.killing(10, func(int) { j.killOne(r.IntN(j.slots)) })
	j.run()
	require.Greater(t, j.kills, 3)
	var want []string
	for k := range uint64(keys) {
		count, sum := 0, uint64(0)
		for v := k; v < n; v += keys {
			count, sum = count+1, sum+v
		}
		want = append(want, fmt.Sprint("list ", k, " ", count, " ", sum), fmt.Sprint("sum ", k, " ", sum))
	}
	require.ElementsMatch(t, want, out.lines())
}
