package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/internal/paced"
	"github.com/millrace/millrace/internal/savefile"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/window"
)

// save makes a savepoint of a job that runs, and gives what it has shown by then.
func (j *job) save(ctx context.Context, path string, out *ledger) (shown map[uint64][]string, err error) {
	defer j.rests.End()
	for {
		j.rests.Wish(time.Minute)
		at, err := j.rests.At(ctx)
		if err != nil {
			return nil, err
		}
		s := Savepoint{Joiner: engine.Joiner{Lanes: j.lanes, Views: engine.ViewGroups(j.build().Graph())}, At: at, Changes: j.store.Changelog(), Objects: j.store.Objects()}
		rec := &commit.Record{}
		err = savefile.Create(path, savefile.Facts{}, rec, func(put func(commit.Row) error) error {
			read, err := s.Read(ctx, put)
			if err == nil {
				*rec = *read
			}
			return err
		})
		if !errors.Is(err, engine.ErrNotFinal) {
			out.mu.Lock()
			defer out.mu.Unlock()
			return maps.Clone(out.shown), err
		}
		j.rests.End()
	}
}

// halved is a source of n numbers in so many splits, half of which are not due before
// whole.
func halved(n, splits int, whole *atomic.Bool) func(*pipeline.Pipeline) pipeline.PCollection[uint64] {
	return func(p *pipeline.Pipeline) pipeline.PCollection[uint64] {
		return pipeline.Read(p, "numbers", paced.Numbers{Parts: uint64(splits), Due: func(uint64, time.Duration) (uint64, bool) {
			if whole.Load() {
				return uint64(n), true
			}
			return uint64(n / 2), false
		}})
	}
}

// sided is a pipeline in which each of n numbers asks for the sum of its window and for one
// of other numbers: side inputs, which are in each slot. It gives the pipeline and the lines.
func sided(from func(*pipeline.Pipeline) pipeline.PCollection[uint64], n int, out *ledger) (build func() *pipeline.Pipeline, want []string) {
	build = func() *pipeline.Pipeline {
		p := pipeline.New()
		pipeline.Write(pipeline.Reshuffle(sidedOf(p, from(p))), "test.Write", out)
		return p
	}
	for v := range n {
		first := v / sidedMs * sidedMs
		last := min(first+sidedMs, n) - 1
		want = append(want, fmt.Sprintf("%06d %d %d", v, 6, (first+last)*(last-first+1)/2))
	}
	return build, want
}

const sidedMs = 200 // of a window

func sidedOf(p *pipeline.Pipeline, from pipeline.PCollection[uint64]) pipeline.PCollection[string] {
	sum := transforms.SumOf[uint64]()
	numbers := pipeline.EventTime(from, func(v uint64) time.Time { return time.UnixMilli(int64(v)) })
	windows := window.Fixed(sidedMs * time.Millisecond)
	total := pipeline.AsSingleton(pipeline.CombineGlobally(pipeline.Create[uint64](p, 1, 2, 3), sum))
	all := pipeline.KeyBy(numbers, func(uint64) bool { return true }).Windowed(windows)
	perWindow := pipeline.AsSingletonOr(pipeline.MapKV(pipeline.CombinePerKey(all, sum), func(_ bool, n uint64) uint64 { return n }), 0)
	main := pipeline.KeyBy(numbers, func(v uint64) uint64 { return v % 50 }).Windowed(windows)
	return pipeline.ParDo(pipeline.Pairs(main), func(d *pipeline.DoFn, emit pipeline.Emit[string]) func(pipeline.Elem, pipeline.KV[uint64, uint64]) error {
		total, perWindow := pipeline.UseView(d, total), pipeline.UseView(d, perWindow)
		return func(_ pipeline.Elem, kv pipeline.KV[uint64, uint64]) error {
			emit(fmt.Sprintf("%06d %d %d", kv.Value, total.Get(), perWindow.Get()))
			return nil
		}
	})
}

// Goal: a savepoint of a job of several slots, made while it runs and slots of it die, when key
// groups have moved, begins one of one slot, and ones of other numbers of slots and lanes; what each shows is
// what was not shown before the savepoint, once.
func TestSavepoint(t *testing.T) {
	for _, tc := range []struct {
		name string
		make func(out *ledger, whole *atomic.Bool) (build func() *pipeline.Pipeline, want []string)
	}{
		{"state", func(out *ledger, whole *atomic.Bool) (func() *pipeline.Pipeline, []string) {
			return numberedOf(halved(60_000, 6, whole), 60_000, 50, out)
		}},
		{"side inputs", func(out *ledger, whole *atomic.Bool) (func() *pipeline.Pipeline, []string) {
			return sided(halved(100_000, 1, whole), 100_000, out) // of one split, as an idle one would let others pass it
		}},
	} {
		t.Run(tc.name, func(t *testing.T) { savepointOf(t, tc.make) })
	}
}

func savepointOf(t *testing.T, pipelineTo func(out *ledger, whole *atomic.Bool) (build func() *pipeline.Pipeline, want []string)) {
	path := filepath.Join(t.TempDir(), "half.savepoint")
	out, whole := &ledger{shown: map[uint64][]string{}}, &atomic.Bool{}
	build, want := pipelineTo(out, whole)
	j := newJob(t, 3, 2, build).small()
	j.rests = &Rests{}
	shares := []int{3, 1, 2}
	j.shares.Store(&shares)
	var before map[uint64][]string
	j.chaos = func(ctx context.Context) {
		defer whole.Store(true)
		if !j.until(ctx, func() bool { _, yes, _ := j.settled(1); return yes }) {
			return
		}
		if !j.until(ctx, func() bool { r := j.record(ctx); return r.Settled && r.Groups.Version > 0 }) {
			return
		}
		j.killOne(1)
		var err error
		before, err = j.save(ctx, path, out)
		assert.NoError(t, err)
		j.killOne(0)
	}
	j.run()
	require.Equal(t, want, out.lines())
	require.Less(t, len((&ledger{shown: before}).lines()), len(want))

	shapes := []struct{ slots, lanes int }{{1, 3}, {4, 1}, {2, 3}, {3, 2}}
	for _, tc := range shapes[:fewer(len(shapes))] {
		t.Run(fmt.Sprintf("%d slots of %d lanes", tc.slots, tc.lanes), func(t *testing.T) {
			from, err := savefile.Open(path)
			require.NoError(t, err)
			defer from.Close()
			out := &ledger{shown: map[uint64][]string{}}
			build, _ := pipelineTo(out, whole)
			if tc.slots == 1 {
				store := commit.NewMemory()
				require.NoError(t, savefile.Import(store, from))
				_, err := engine.Run(t.Context(), build().Graph(), engine.Config{Lanes: tc.lanes, Store: store, Epoch: 5 * time.Millisecond})
				require.NoError(t, err)
			} else {
				j := newJob(t, tc.slots, tc.lanes, build)
				join := engine.Joiner{Lanes: tc.lanes, Views: engine.ViewGroups(build().Graph())}
				require.NoError(t, Begin(t.Context(), j.store.Objects(), join, tc.slots, from.Last(),
					func(put func(commit.Row) error) error { return from.Rows(commit.Want{}, put) }))
				j.run()
			}
			require.NotEmpty(t, out.shown)
			maps.Copy(out.shown, before) // a page of the savepoint's cut may be shown by both
			require.Equal(t, want, out.lines())
		})
	}
}
