package shuffletest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

// feed is an unbounded source of numbers that are their own times, a channel a split.
type feed []chan int64

func (f feed) Bounded() bool { return false }

func (f feed) Splits(context.Context, int) (out []pipeline.Split[int64], _ error) {
	for i, c := range f {
		out = append(out, feedSplit{string(rune('a' + i)), c})
	}
	return out, nil
}

type feedSplit struct {
	id string
	c  chan int64
}

func (s feedSplit) ID() string  { return s.id }
func (s feedSplit) Size() int64 { return 0 }
func (s feedSplit) Open(context.Context, []byte) (pipeline.Reader[int64], error) {
	return s, nil
}

func (s feedSplit) Read(most int, out *pipeline.Output[int64]) (pipeline.ReadState, error) {
	for range most {
		select {
		case v := <-s.c:
			out.Watermark(v)
			out.EmitAt(v, v)
		default:
			return pipeline.Idle, nil
		}
	}
	return pipeline.More, nil
}

func (s feedSplit) Position(b []byte) []byte { return append(b, 0) }
func (s feedSplit) Where() string            { return s.id }
func (s feedSplit) Progress() int64          { return 0 }
func (s feedSplit) Close() error             { return nil }

// counting counts how often lanes ask for frames.
type counting struct {
	engine.Shuffle
	asked *atomic.Int64
}

func (c counting) Next(lane int) (engine.Arrival, bool) {
	c.asked.Add(1)
	return c.Shuffle.Next(lane)
}

// Goal: a stream over several slots, whose splits they share: a window fires when all
// slots have passed its end, not before, and only once; a slot with nothing to read and
// nothing to do sleeps.
func TestSlots_stream(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	f := feed{make(chan int64, 10), make(chan int64, 10)} // of slots 0 and 1; slot 2 has none
	p := pipeline.New()
	k := pipeline.KeyBy(pipeline.Read[int64](p, "test.Feed", f), func(v int64) int64 { return v % 3 }).Windowed(window.Fixed(10 * time.Millisecond))
	sums := pipeline.CombinePerKey(k, pipeline.Combiner[int64, int64, int64]{
		Add: func(a *int64, v int64) { *a += v }, Merge: func(a *int64, b int64) { *a += b }, Extract: func(a int64) int64 { return a }})
	got := make(chan int64, 100)
	pipeline.ForEach(pipeline.Pairs(sums), func(_ context.Context, s pipeline.KV[int64, int64]) error {
		got <- s.Value
		return nil
	})
	require.NoError(t, p.Err())
	j := newJob(3, 2)
	var asked atomic.Int64
	ended := make(chan error, 3)
	for s, m := range j.slots {
		cfg := engine.Config{Slot: s, Slots: 3, Lanes: 2, Epoch: time.Millisecond, Store: m, Shuffle: m}
		if s == 2 {
			cfg.Shuffle = counting{m, &asked}
		}
		go func() {
			_, err := engine.Run(ctx, p.Graph(), cfg)
			ended <- err
		}()
	}
	await := func(n int) (sum int64) {
		for range n {
			select {
			case v := <-got:
				sum += v
			case <-time.After(20 * time.Second):
				t.Fatal("a window has not fired")
			}
		}
		return sum
	}
	for v := range int64(10) {
		f[v%2] <- v
	}
	f[0] <- 30
	waitFor := func(e uint64) { // epochs of all slots
		j.await(ctx, func() bool {
			for _, m := range j.slots {
				if last := m.Last(); last == nil || last.Epoch < e {
					return false
				}
			}
			return true
		})
	}
	waitFor(20)
	require.Empty(t, got, "a window has fired before all slots were past it")
	f[1] <- 31
	require.Equal(t, int64(45), await(3))
	before, epoch := asked.Load(), j.slots[2].Last().Epoch
	waitFor(epoch + 50)
	require.Less(t, asked.Load()-before, int64(50*2*20), "an idle slot asks a few times an epoch")
	f[0] <- 40
	f[1] <- 41
	require.Equal(t, int64(61), await(2))
	cancel(errKilled)
	for range 3 {
		require.Equal(t, errKilled, <-ended)
	}
	require.Empty(t, got)
}

// Goal: what can't work in several slots is said before anything begins.
func TestSlots_refused(t *testing.T) {
	p := pipeline.New()
	pipeline.Collect(pipeline.Create(p, 1, 2, 3))
	m := newJob(2, 1).slots[0]
	good := engine.Config{Slots: 2, Lanes: 1, Epoch: time.Second, Store: m, Shuffle: m}
	for want, change := range map[string]func(*engine.Config){
		"shuffle <nil>": func(c *engine.Config) { c.Shuffle = nil },
		"slot 2 of 2":   func(c *engine.Config) { c.Slot = 2 },
		"epochs false":  func(c *engine.Config) { c.Epoch = 0 },
		"2 rounds only": func(c *engine.Config) { c.Epoch, c.EpochBundles = 0, 2 },
		"the number of lanes": func(c *engine.Config) {
			c.Store = &was{Memory: commit.NewMemory(), rec: &commit.Record{Epoch: 3, Lanes: 2}}
		},
	} {
		cfg := good
		change(&cfg)
		res, err := engine.Run(t.Context(), p.Graph(), cfg)
		require.ErrorContains(t, err, want)
		require.Nil(t, res)
	}
}

// Goal: a slot in which an element fails ends, and says how it is to begin anew: others have
// to be told that what it has sent is void.
func TestSlots_again(t *testing.T) {
	p := pipeline.New()
	failing := pipeline.TryMap(pipeline.GenerateSequence(p, 100), func(context.Context, uint64) (int, error) { return 0, errors.New("no") })
	pipeline.Collect(failing)
	m := newJob(2, 1).slots[0]
	cfg := engine.Config{Slots: 2, Lanes: 1, Epoch: time.Hour, Store: m, Shuffle: m, OnError: engine.Careful}
	_, err := engine.Run(t.Context(), p.Graph(), cfg)
	var again *engine.Again
	require.ErrorAs(t, err, &again)
	require.True(t, again.Next.Careful)
	require.Positive(t, again.Next.For)
	require.ErrorContains(t, err, "no")

	cfg.Replay = again.Next
	_, err = engine.Run(t.Context(), p.Graph(), cfg)
	require.ErrorContains(t, err, "no")
	require.NotErrorAs(t, err, &again, "it fails for good")
}

// was is a store that holds a record.
type was struct {
	*commit.Memory
	rec *commit.Record
}

func (w *was) Last() *commit.Record { return w.rec }

// damaging is a shuffle that changes what arrives.
type damaging struct {
	*member
	change func(*engine.Arrival)
}

func (d damaging) Next(lane int) (engine.Arrival, bool) {
	a, ok := d.member.Next(lane)
	if ok {
		d.change(&a)
	}
	return a, ok
}

// Goal: what other slots send is never a reason to panic: damage ends the run with an
// error that says where it came from.
func TestSlots_damaged(t *testing.T) {
	for want, change := range map[string]func(*engine.Arrival){
		"names no lane": func(a *engine.Arrival) { a.Batch = a.Batch[:0:0] },
		"ends early":    func(a *engine.Arrival) { a.Batch = a.Batch[:3] },
		"it ends early": func(a *engine.Arrival) { a.Batch = append(bytes.Clone(a.Batch), 1) },
		"behind the last": func(a *engine.Arrival) { // the batch is a byte longer
			a.Batch = append(bytes.Clone(a.Batch), 1)
			binary.LittleEndian.PutUint32(a.Batch[1:], binary.LittleEndian.Uint32(a.Batch[1:])+1)
		},
		"over edge 77":      func(a *engine.Arrival) { a.Edge = 77 },
		"over edge -1":      func(a *engine.Arrival) { a.Edge = -1 },
		"watermark of edge": func(a *engine.Arrival) { a.Batch, a.Marks = nil, []engine.Mark{{Edge: 99}} },
		"sends nothing":     func(a *engine.Arrival) { a.Batch, a.From, a.Marks = nil, 0, []engine.Mark{{}} },
	} {
		t.Run(want, func(t *testing.T) {
			p := pipeline.New()
			pipeline.Collect(programs[0].build(p))
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			j := newJob(2, 1)
			ended := make(chan error, 2)
			for s, m := range j.slots {
				cfg := engine.Config{Slot: s, Slots: 2, Lanes: 1, Epoch: time.Millisecond, Store: m, Shuffle: m}
				if s == 0 {
					cfg.Shuffle = damaging{m, func(a *engine.Arrival) {
						if a.Batch != nil {
							change(a)
						}
					}}
				}
				go func() {
					_, err := engine.Run(ctx, p.Graph(), cfg)
					if err != nil {
						cancel()
					}
					ended <- err
				}()
			}
			var all error
			for range 2 {
				all = errors.Join(all, <-ended)
			}
			require.ErrorContains(t, all, want)
			require.NotContains(t, all.Error(), "BUG")
		})
	}
}

// Goal: a clock behind an exchange knows the lanes apart that send to it, its own slot's and
// others'. Method: it says which one it follows: the one that is behind, which is of its slot.
func TestSlots_clockBehindExchange(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	f := feed{make(chan int64, 100), make(chan int64, 100)} // of slots 0 and 1
	p := pipeline.New()
	at := pipeline.EventTime(pipeline.Reshuffle(pipeline.Read[int64](p, "test.Feed", f)), time.UnixMilli)
	k := pipeline.KeyBy(at, func(v int64) int64 { return v % 10 }).Windowed(window.Fixed(time.Hour))
	sums := pipeline.CombinePerKey(k, pipeline.Combiner[int64, int64, int64]{
		Add: func(a *int64, v int64) { *a += v }, Merge: func(a *int64, b int64) { *a += b }, Extract: func(a int64) int64 { return a }})
	pipeline.ForEach(pipeline.Pairs(sums), func(context.Context, pipeline.KV[int64, int64]) error { return nil })
	require.NoError(t, p.Err())
	j := newJob(2, 1)
	seen, ended := &engine.Observer{}, make(chan error, 2)
	for s, m := range j.slots {
		cfg := engine.Config{Slot: s, Slots: 2, Lanes: 1, Epoch: time.Millisecond, Store: m, Shuffle: m}
		if s == 1 {
			cfg.Observe = seen
		}
		go func() {
			_, err := engine.Run(ctx, p.Graph(), cfg)
			ended <- err
		}()
	}
	for v := range int64(20) {
		f[0] <- 1000 + v
		f[1] <- 10 + v
	}
	require.Eventually(t, func() bool {
		says := ""
		for _, s := range seen.Explain(time.Second).Stages {
			says += fmt.Sprintln(s.Transform, s.Why)
		}
		return strings.Contains(says, "follows what lane 1 sends it, whose newest time is 1970-01-01T00:00:00.02")
	}, 20*time.Second, 5*time.Millisecond)
	cancel(errKilled)
	for range 2 {
		require.Equal(t, errKilled, <-ended)
	}
}
