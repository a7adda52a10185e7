package transforms_test

import (
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

// Goal: a join for ever is all pairs of a key, and one with a retention those that
// are no further apart. Method: a brute-force join of seeded random inputs.
func TestStreamJoin_isAllPairsOfAKey(t *testing.T) {
	es := events(3, 150, 1000)
	pipelinetest.Run(t, func(t *T, p *pipeline.Pipeline) {
		for _, sources := range []int{1, 2} {
			l, r := inputs(p, es, sources)
			pipelinetest.Equal(t, innerRows(transforms.StreamJoin(l, r, 0)), nearby(es, -1e6, 1e6, false, false)...)
			pipelinetest.Equal(t, innerRows(transforms.StreamJoin(l, r, 30*ms)), nearby(es, -30, 30, false, false)...)
		}
	})
}

// newest is what a stream-table join of es must give, in the order in which they come.
func newest(es []event, left, deleting bool) (want []row) {
	table := map[string]event{}
	for _, e := range es {
		have, any := table[e.Key]
		switch {
		case e.Right:
			if !any || e.TS >= have.TS {
				table[e.Key] = e
			}
		case any && !(deleting && deletes(have)):
			want = append(want, row{e.Key, e.ID, have.ID, e.TS})
		case left:
			want = append(want, row{e.Key, e.ID, -1, e.TS})
		}
	}
	return want
}

// Goal: on one lane, where order is defined, each value meets the newest version
// that came before it. Method: a replay of seeded random inputs.
func TestStreamTableJoin_isTheNewestVersionSoFar(t *testing.T) {
	es := events(11, 400, 1500)
	var inner, left, innerDel, leftDel *pipeline.Collected[row]
	runOn(t, 1, func(p *pipeline.Pipeline) {
		stream, table := inputs(p, es, 1)
		inner = pipeline.Collect(innerRows(transforms.StreamTableJoin(stream, table)))
		left = pipeline.Collect(leftRows(transforms.StreamTableLeftJoin(stream, table)))
		innerDel = pipeline.Collect(innerRows(transforms.StreamTableJoinWithDeletes(stream, withDeletes(table))))
		leftDel = pipeline.Collect(leftRows(transforms.StreamTableLeftJoinWithDeletes(stream, withDeletes(table))))
	})
	require.ElementsMatch(t, newest(es, false, false), inner.Values())
	require.ElementsMatch(t, newest(es, true, false), left.Values())
	require.ElementsMatch(t, newest(es, false, true), innerDel.Values())
	require.ElementsMatch(t, newest(es, true, true), leftDel.Values())
}

// Goal: in any order each value of the stream comes out once, with a version of its
// key. Method: all ways to run.
func TestStreamTableJoin_inAnyOrder(t *testing.T) {
	es := events(12, 300, 1500)
	byID := map[int64]event{}
	streamed := 0
	for _, e := range es {
		byID[e.ID] = e
		if !e.Right {
			streamed++
		}
	}
	pipelinetest.Run(t, func(t *T, p *pipeline.Pipeline) {
		stream, table := inputs(p, es, 2)
		pipelinetest.Satisfies(t, leftRows(transforms.StreamTableLeftJoin(stream, table)), func(t *T, got []row) {
			once := map[int64]bool{}
			for _, r := range got {
				once[r.Left] = true
				require.Equal(t, byID[r.Left].TS, r.TS)
				if r.Right >= 0 {
					require.Equal(t, r.Key, byID[r.Right].Key)
				}
			}
			require.Len(t, got, streamed)
			require.Len(t, once, streamed)
		})
	})
}

func TestStreamJoin_wrongUse(t *testing.T) {
	p := pipeline.New()
	l, r := inputs(p, nil, 1)
	fixed := window.Fixed(time.Second)
	transforms.StreamJoin(l, r, -time.Second)
	transforms.StreamJoin(l.Windowed(fixed), r.Windowed(fixed), 0)
	transforms.StreamTableJoin(l, r.Windowed(fixed))
	transforms.StreamJoin(l, pipeline.Keyed[string, event]{}, 0)
	err := p.Err()
	for _, want := range []string{
		"StreamJoin: retention is -1s, want more than 0, or 0 for ever",
		"StreamJoin: its left input has windows fixed(1s)", "StreamJoin: its right input has windows fixed(1s)",
		"StreamTableJoin: its right input has windows fixed(1s)",
		"its input is an empty collection, used before it was made",
	} {
		require.ErrorContains(t, err, want)
	}
}
