package flow

import (
	"iter"
	"slices"
	"testing"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

// rowGroups notes the groups of changed rows.
type rowGroups struct{ put, gone []int }

func (g *rowGroups) Put(group int, _, _ []byte)    { g.put = append(g.put, group) }
func (g *rowGroups) Append(group int, _, _ []byte) { g.put = append(g.put, group) }
func (g *rowGroups) Delete(group int, _ []byte)    { g.gone = append(g.gone, group) }

// Goal: what a side window left in memory and in the store goes when nobody can ask for
// it any more, whichever lane is there first. Its rows are the key's, or with several
// slots the lane's, as each slot has them.
func TestPaneView_forgets(t *testing.T) {
	for _, tc := range []struct{ slots, group int }{
		{1, 77},
		{2, graph.LaneBound},
	} {
		first := testLane(t, func(r *graph.Run) {
			r.Slots, r.Views, r.Nodes[0].ViewGroup = tc.slots, make([]graph.ViewSlot, 1), 77
		})
		second := *first
		op := PaneView(1, coder.Varints(), 0, func(vs []int64) (any, error) { return vs, nil })
		in, live := op.Open(first, nil)
		_, other := op.Open(&second, nil)
		first.Win = window.Interval{Start: 0, End: 10}
		in[0].(Recv[coder.KV[bool, iter.Seq[int64]]])(first, coder.KV[bool, iter.Seq[int64]]{Key: true, Value: slices.Values([]int64{1})})
		var g rowGroups
		live.(graph.Keeper).Delta(&g)
		require.Equal(t, []int{tc.group}, g.put)

		slot := &first.Run.Views[0]
		slot.Join(func() {}).Say(20)
		other.(graph.Watermarker).Advance(&second, 20)
		live.(graph.Watermarker).Advance(first, 20)
		live.(graph.Keeper).Delta(&g)
		require.Equal(t, []int{tc.group}, g.gone)
		_, ok := slot.Pane(first.Win)
		require.False(t, ok)
	}
}
