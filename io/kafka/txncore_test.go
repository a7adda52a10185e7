package kafka

import (
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Goal: whatever goes wrong, each record of a snapshot is committed once, in order,
// and no other. Method: one lane's processes, with crashes, zombies, unknown outcomes
// and transactions that take too long, on one seeded scheduler. KAFKA_SEEDS=200000
// looks longer.
func TestTxn_simulated(t *testing.T) {
	seeds := uint64(20_000)
	if testing.Short() {
		seeds = 4000
	}
	if n, err := strconv.ParseUint(os.Getenv("KAFKA_SEEDS"), 10, 64); err == nil {
		seeds = n
	}
	for seed := range seeds {
		require.NoError(t, simulate(seed))
	}
}

func TestTxn_resume(t *testing.T) {
	run, other, fresh, life := token{1}, token{2}, token{3}, token{4}
	none := lineage{}
	for _, tt := range []struct {
		story  string
		from   *saved
		at     txnPosition
		in     bool
		err    error
		target txnPosition
	}{
		{"a first run", nil, txnPosition{}, false, nil, txnPosition{0, fresh, life, none}},
		{"a new run behind another", nil, txnPosition{7, other, other, none}, false, nil, txnPosition{7, fresh, life, lineage{{other, 7}}}},
		{"a new run behind others", nil, txnPosition{7, other, other, lineage{{run, 7}}}, false, nil, txnPosition{7, fresh, life, lineage{{other, 7}, {run, 7}}}},
		{"died behind the snapshot", &saved{run, 5, true}, txnPosition{4, run, other, none}, false, nil, txnPosition{5, run, life, none}},
		{"died behind the commit", &saved{run, 5, true}, txnPosition{5, run, other, none}, true, nil, txnPosition{5, run, life, none}},
		{"goes back to an old checkpoint", &saved{run, 5, true}, txnPosition{9, run, other, none}, true, nil, txnPosition{9, fresh, life, lineage{{run, 9}}}},
		{"another run came between, behind the commit", &saved{run, 5, true}, txnPosition{9, other, other, lineage{{run, 5}}}, true, nil,
			txnPosition{9, fresh, life, lineage{{other, 9}, {run, 5}}}},
		{"another run came between, before the commit", &saved{run, 6, true}, txnPosition{9, other, other, lineage{{run, 5}}}, false, nil,
			txnPosition{6, run, life, lineage{{other, 9}}}},
		{"too many others came between", &saved{run, 5, true}, txnPosition{9, other, other, lineage{{life, 5}}}, false, errForeign, txnPosition{}},
		{"the position has expired", &saved{run, 5, true}, txnPosition{}, false, errForgotten, txnPosition{}},
		{"the position was set back", &saved{run, 5, true}, txnPosition{3, run, other, none}, false, errForgotten, txnPosition{}},
		{"nothing is open", &saved{run, 5, false}, txnPosition{5, run, other, none}, false, nil, txnPosition{5, run, life, none}},
		{"nothing is open, and the position has expired", &saved{run, 5, false}, txnPosition{}, false, nil, txnPosition{5, run, life, none}},
		{"nothing is open, and another has written", &saved{run, 5, false}, txnPosition{9, other, other, none}, false, nil, txnPosition{9, fresh, life, lineage{{other, 9}}}},
		{"nothing is open, and an old checkpoint", &saved{run, 5, false}, txnPosition{9, run, other, none}, false, nil, txnPosition{9, fresh, life, lineage{{run, 9}}}},
	} {
		c := newTxnCore(tt.from, fresh, life)
		assert.Equal(t, stepFence, c.next(false), tt.story)
		c.done(stepFence)
		assert.Equal(t, stepLook, c.next(false), tt.story)
		in, err := c.look(tt.at, tt.at != txnPosition{})
		assert.ErrorIs(t, err, tt.err, tt.story)
		if tt.err != nil {
			continue
		}
		assert.Equal(t, tt.in, in, tt.story)
		assert.Equal(t, tt.target, c.target(), tt.story)
		if tt.from != nil && tt.from.full && !in {
			assert.Equal(t, stepSend, c.next(false), tt.story)
		}
		assert.Equal(t, stepMark, c.next(true), tt.story)
		c.done(stepMark)
		assert.Equal(t, stepEnd, c.next(true), tt.story)
		c.done(stepEnd)
		assert.Equal(t, stepNone, c.next(true), tt.story)
		assert.Equal(t, tt.target, c.target(), tt.story)
	}
}
