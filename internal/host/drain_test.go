package host

import (
	"context"
	"encoding/binary"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/internal/held"
	"github.com/millrace/millrace/internal/paced"
	"github.com/millrace/millrace/pipeline"
)

// flow is a source of numbers that come all the time, three quarters of them until whole.
type flow struct {
	n, splits uint64
	whole     atomic.Bool
	given     []atomic.Uint64 // by split: the number behind the last one that it gave
}

func newFlow(n, splits uint64) *flow {
	return &flow{n: n, splits: splits, given: make([]atomic.Uint64, splits)}
}

func (f *flow) read(p *pipeline.Pipeline) pipeline.PCollection[uint64] {
	numbers := paced.Numbers{Parts: f.splits}
	numbers.Due = func(from uint64, since time.Duration) (uint64, bool) {
		if f.whole.Load() {
			return f.n, true
		}
		return min(f.n*3/4, numbers.At(2000, from, since)), false
	}
	return pipeline.Map(pipeline.Read(p, "numbers", numbers), func(v uint64) uint64 {
		f.given[v%f.splits].Store(v + f.splits)
		return v
	})
}

// flows reports that each split has given something, and all of them a tenth of all.
func (f *flow) flows() bool {
	all := uint64(0)
	for i := range f.given {
		n := f.given[i].Load()
		if n == 0 {
			return false
		}
		all += n / f.splits
	}
	return all > f.n/10
}

// lines are those that numbered has to show for what splits have given up to these positions.
func (f *flow) lines(at []uint64, keys uint64) (want []string) {
	counts := map[uint64]int{}
	for first, next := range at {
		for v := uint64(first); v < next; v += f.splits {
			counts[v%keys]++
			want = append(want, line(int(v%keys), counts[v%keys]))
		}
	}
	slices.Sort(want)
	return want
}

// positions are those of the splits of the source in the cut that the job has come to.
func (j *job) positions(ctx context.Context, splits uint64) ([]uint64, error) {
	s := Savepoint{Joiner: engine.Joiner{Lanes: j.lanes, Views: engine.ViewGroups(j.build().Graph())}, At: j.record(ctx).At, Changes: j.store.Changelog(), Objects: j.store.Objects()}
	rec, err := s.Read(ctx, func(commit.Row) error { return nil })
	if err != nil {
		return nil, err
	}
	at := make([]uint64, splits)
	for _, list := range rec.Splits {
		for _, split := range list {
			if len(split.Pos) == 8 {
				next := binary.BigEndian.Uint64(split.Pos)
				at[next%splits] = next
			}
		}
	}
	return at, nil
}

// Goal: a job that has drained has shown all that its sources have given, once, though no cut
// was due, a slot dies meanwhile, or the leader does. It goes on exactly there, and nothing
// that it has kept has to be gone back from. Method: all slots and the leader are killed as
// they have come there.
func TestDrain(t *testing.T) {
	for _, tc := range []struct {
		name string
		cuts time.Duration
		kill []int // once the job drains
	}{
		{"no cut is due", time.Hour, nil},
		{"cuts are frequent", 20 * time.Millisecond, nil},
		{"a slot is killed", 50 * time.Millisecond, []int{1}},
		{"a slot is killed, and no cut is due", time.Hour, []int{2}},
		{"the leader is killed", 50 * time.Millisecond, []int{3}},
		{"the leader and a slot are killed", time.Hour, []int{3, 0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			const keys = 50
			out, source := &ledger{shown: map[uint64][]string{}}, newFlow(60_000, 6)
			build, want := numberedOf(source.read, 60_000, keys, out)
			j := newJob(t, 3, 2, build)
			j.rests, j.cutEvery = &Rests{}, tc.cuts
			j.chaos = func(ctx context.Context) {
				defer source.whole.Store(true)
				if !assert.True(t, j.until(ctx, source.flows), "nothing flows") {
					return
				}
				j.drains.Store(true)
				j.rests.Drain(true)
				for _, who := range tc.kill {
					j.killOne(who)
				}
				cut, err := j.rests.Drained(ctx)
				if !assert.NoError(t, err) {
					return
				}
				out.mu.Lock()
				shown := out.lines()
				out.mu.Unlock()
				at, err := j.positions(ctx, source.splits)
				assert.NoError(t, err)
				assert.True(t, slices.Equal(source.lines(at, keys), shown), "%d lines are shown, %d are right", len(shown), len(source.lines(at, keys)))
				assert.NotEmpty(t, shown)
				if tc.kill == nil { // what dead slots have given is void
					for i := range at {
						assert.Equal(t, at[i], source.given[i].Load(), "split %d", i)
					}
				}
				assert.Equal(t, cut, j.record(ctx).Cut)

				for i := range j.kill {
					j.killOne(i)
				}
				j.drains.Store(false)
				j.rests.Drain(false)
			}
			j.run()
			require.Equal(t, want, out.lines())
			require.Equal(t, held.Gen(1), j.hosts[0].Load().core.Gen(), "it has gone back")
		})
	}
}

// Goal: no window ends as a job drains: it goes on to grow behind that.
func TestDrain_windows(t *testing.T) {
	out, source := &ledger{shown: map[uint64][]string{}}, newFlow(20_000, 1)
	build, want := sided(source.read, 20_000, out)
	j := newJob(t, 3, 2, build)
	j.rests = &Rests{}
	j.chaos = func(ctx context.Context) {
		defer source.whole.Store(true)
		for range 3 {
			before := source.given[0].Load()
			j.until(ctx, func() bool { return source.given[0].Load() > before })
			j.drains.Store(true)
			j.rests.Drain(true)
			_, err := j.rests.Drained(ctx)
			assert.NoError(t, err)
			for i := range j.kill {
				j.killOne(i)
			}
			j.drains.Store(false)
			j.rests.Drain(false)
		}
	}
	j.run()
	require.Equal(t, want, out.lines())
}
