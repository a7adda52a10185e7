package flow

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTimerHeap_popsByTimeThenBySetOrder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var h timerHeap
	var all []timerEntry
	for i := range uint32(5000) {
		e := timerEntry{int64(rnd.IntN(300)), i, i}
		all = append(all, e)
		h.push(e)
	}
	slices.SortFunc(all, func(a, b timerEntry) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	for _, want := range all {
		require.Equal(t, want, h.pop())
	}
	require.Empty(t, h)
}
