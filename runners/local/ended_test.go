package local_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/window"
)

// script is a source whose splits bring what is written down, one line at a time.
type script struct {
	unbounded bool
	splits    [][]line
}

// line is elements that are their event times in ms; the reader needs time after them.
type line struct {
	from, to uint64
	pause    time.Duration
}

func (s *script) Bounded() bool { return !s.unbounded }

func (s *script) Splits(context.Context, int) (out []pipeline.Split[uint64], _ error) {
	for i, lines := range s.splits {
		out = append(out, scriptSplit{i, lines})
	}
	return out, nil
}

type scriptSplit struct {
	n     int
	lines []line
}

func (s scriptSplit) ID() string  { return fmt.Sprint(s.n) }
func (s scriptSplit) Size() int64 { return 0 }

func (s scriptSplit) Open(context.Context, []byte) (pipeline.Reader[uint64], error) {
	return &scriptReader{s}, nil
}

type scriptReader struct{ scriptSplit }

func (r *scriptReader) Read(_ int, out *pipeline.Output[uint64]) (pipeline.ReadState, error) {
	l := r.lines[0]
	r.lines = r.lines[1:]
	for i := l.from; i < l.to; i++ {
		out.Emit(i)
	}
	time.Sleep(l.pause)
	if len(r.lines) == 0 {
		return pipeline.Done, nil
	}
	return pipeline.More, nil
}

func (r *scriptReader) Position(b []byte) []byte { return b }
func (r *scriptReader) Progress() int64          { return 0 }
func (r *scriptReader) Close() error             { return nil }
func (r *scriptReader) Where() string            { return "script" }

// countTens runs the elements by their own times on one lane, and counts them by tens.
func countTens(t *testing.T, s *script, between func(pipeline.PCollection[uint64]) pipeline.PCollection[uint64], cfg local.Config) (counts map[string]int64) {
	counts = map[string]int64{}
	synctest.Test(t, func(t *testing.T) {
		p := pipeline.New()
		timed := pipeline.EventTimeMs(between(pipeline.Read(p, "Script", s)), func(ms uint64) int64 { return int64(ms) })
		byOne := pipeline.KeyBy(timed, func(uint64) string { return "n" }).Windowed(window.Fixed(10 * time.Millisecond))
		n := pipeline.CombinePerKey(byOne, counting)
		out := pipeline.ParDo(pipeline.Pairs(n), func(_ *pipeline.DoFn, emit pipeline.Emit[string]) func(pipeline.Elem, pipeline.KV[string, int64]) error {
			return func(e pipeline.Elem, kv pipeline.KV[string, int64]) error {
				counts[fmt.Sprint(e.Window().Start)] += kv.Value
				return nil
			}
		})
		pipeline.ForEachLane(out, func(int) func(string) { return func(string) {} })
		cfg.Parallelism = 1
		_, err := local.Run(t.Context(), p, cfg)
		require.NoError(t, err)
	})
	return counts
}

// Bug: where a queue lay between a source and its EventTime, the clock knew elements by
// the lane that had sent them, and took that for the split of the same number: it went
// on with what another split had reached, and elements were late, now and then.
func TestSplitEnds_behindQueue(t *testing.T) {
	s := &script{unbounded: true, splits: [][]line{{{0, 0, time.Second}, {0, 100, time.Second}, {0, 0, 0}}, {{0, 100, time.Second}}}}
	same := func(c pipeline.PCollection[uint64]) pipeline.PCollection[uint64] { return c }
	got := countTens(t, s, same, local.Config{NoFusion: true, Batch: 64, Queue: 1})
	for start := range 10 {
		require.Equal(t, int64(20), got[fmt.Sprint(10*start)], "%v", got)
	}
}

// Bug: a split had ended for the clock while calls were under way for elements of it.
func TestSplitEnds_behindCalls(t *testing.T) {
	s := &script{unbounded: true, splits: [][]line{{{0, 10, 0}}, {{1000, 1010, 0}, {2000, 2010, time.Second}, {3000, 3010, time.Second}}}}
	slow := func(_ context.Context, ms uint64) (uint64, error) {
		if ms < 10 {
			time.Sleep(1500 * time.Millisecond)
		}
		return ms, nil
	}
	calls := func(c pipeline.PCollection[uint64]) pipeline.PCollection[uint64] {
		return pipeline.AsyncMap(c, slow, pipeline.Concurrency(20))
	}
	got := countTens(t, s, calls, local.Config{})
	require.Equal(t, map[string]int64{"0": 10, "1000": 10, "2000": 10, "3000": 10}, got)
}
