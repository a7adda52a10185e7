package flow

import (
	"errors"
	"testing"
	"time"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

type kv = coder.KV[string, int64]

// counting counts values, and at each key's timer emits minus the count.
func counting(t testing.TB, s window.Strategy, fail func(v int64) error) graph.Op {
	return &Stateful[string, int64, int64]{Key: cod[string](t), Val: cod[int64](t), Assign: NewAssign(s, false),
		Bind: func(l *Lane[string], emit func(int64)) func(int64) error {
			n := NewValueCell(cod[int64](t))
			l.AddCell("value n", n)
			timer := l.AddTimer("event-timer flush", &Timer{Name: "flush", Fire: func() error {
				emit(-n.Get(l.K.Row))
				n.Clear(l.K.Row)
				l.K.Touch()
				return nil
			}})
			return func(v int64) error {
				n.Set(l.K.Row, n.Get(l.K.Row)+1)
				timer.Set(l.K.Row, "", min(l.K.TS+10, l.K.Window().Last()), nil)
				l.K.Touch()
				emit(n.Get(l.K.Row))
				if fail != nil {
					return fail(v)
				}
				return nil
			}
		}}
}

func TestStateful_timerPushedBackFiresOnce(t *testing.T) {
	o := open[kv, int64](testLane(t), counting(t, window.Strategy{}, nil))
	o.push(1, kv{Key: "a", Value: 1})
	o.push(5, kv{Key: "a", Value: 1})
	o.advance(12) // the first time, 11, was pushed back to 15
	require.Equal(t, []int64{1, 2}, o.values())
	o.advance(15) // a timer at T is due when W > T (rule M74)
	require.Equal(t, []int64{1, 2}, o.values())
	o.advance(16)
	require.Equal(t, []got[int64]{{1, 1}, {5, 2}, {15, -2}}, o.out)
}

func TestStateful_everyKeyHasItsOwnStateThroughGrowth(t *testing.T) {
	o := open[kv, int64](testLane(t), counting(t, window.Strategy{}, nil))
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = time.Duration(i).String()
	}
	for range 3 {
		for i, k := range keys {
			o.push(int64(i), kv{Key: k, Value: 1})
		}
	}
	o.advance(window.MaxTime)
	fired := 0
	for _, g := range o.out {
		if g.v < 0 {
			fired++
			require.Equal(t, int64(-3), g.v)
		}
	}
	require.Equal(t, len(keys), fired)
}

func TestStateful_windowsHaveTheirOwnStateAndLateIsCounted(t *testing.T) {
	c := testLane(t)
	o := open[kv, int64](c, counting(t, window.New(window.Fixed(10*time.Millisecond)), nil))
	o.push(1, kv{Key: "a"})
	o.push(11, kv{Key: "a"})
	o.push(2, kv{Key: "a"})
	require.Equal(t, []int64{1, 1, 2}, o.values())
	o.advance(10) // [0,10) is over: W > last
	require.Equal(t, []int64{1, 1, 2, -2}, o.values(), "the timer is due with the window's last instant")
	o.push(3, kv{Key: "a"})
	require.Len(t, o.out, 4)
	for _, m := range c.Run.Metrics.Snapshot() {
		if m.Name == droppedLate {
			require.Equal(t, int64(1), m.Sum)
		}
	}
}

// Goal: after any number of restores the outputs are the same. Method: restore
// after every push.
func TestStateful_restored(t *testing.T) {
	for _, s := range []window.Strategy{{}, window.New(window.Fixed(10 * time.Millisecond)), window.New(window.Sliding(10*time.Millisecond, 5*time.Millisecond))} {
		factory := counting(t, s, nil)
		plain := open[kv, int64](testLane(t, epochs), factory)
		o, st := open[kv, int64](testLane(t, epochs), factory), &store{rows: map[string][]byte{}}
		for i := range int64(200) {
			v := kv{Key: string(rune('a' + i*7%13)), Value: i}
			plain.push(i, v)
			o.push(i, v)
			if i%10 == 9 {
				plain.advance(i - 5)
				o.advance(i - 5)
			}
			o = restore(t, o, factory, st)
			if i%10 == 9 { // the watermark comes again after a restore
				o.advance(i - 5)
			}
		}
		plain.advance(window.MaxTime)
		o.advance(window.MaxTime)
		require.ElementsMatch(t, plain.out, o.out, "%v", s)
		o.live.(graph.Keeper).Delta(st)
		if s.Fn.Kind() != window.KindGlobal {
			delete(st.rows, string(outputRow))
			require.Empty(t, st.rows, "closed windows leave nothing behind")
		}
	}
}

func TestStateful_carefulTakesBackHalfAnElement(t *testing.T) {
	bad := errors.New("bad value")
	c := testLane(t, careful)
	o := open[kv, int64](c, counting(t, window.Strategy{}, func(v int64) error {
		if v < 0 {
			return bad
		}
		return nil
	}))
	o.push(1, kv{Key: "a", Value: 1})
	o.push(2, kv{Key: "a", Value: -1}) // has counted and emitted before it fails
	o.push(3, kv{Key: "a", Value: 1})
	require.Equal(t, []int64{1, 2}, o.values())
	letters := c.Run.Letters.Take()
	require.Len(t, letters, 1)
	require.ErrorIs(t, letters[0].Err, bad)
	require.Equal(t, "{Key:a Value:-1}", letters[0].Text)
	require.NoError(t, c.Err())
}

func TestStateful_allocatesNothingPerElement(t *testing.T) {
	o := open[kv, int64](testLane(t), &Stateful[string, int64, int64]{Key: cod[string](t), Val: cod[int64](t), Assign: NewAssign(window.Strategy{}, false),
		Bind: func(l *Lane[string], emit func(int64)) func(int64) error {
			n := NewValueCell(cod[int64](t))
			l.AddCell("value n", n)
			return func(v int64) error {
				n.Set(l.K.Row, n.Get(l.K.Row)+v)
				l.K.Touch()
				return nil
			}
		}})
	v := kv{Key: "a", Value: 1}
	require.Zero(t, testing.AllocsPerRun(1000, func() { o.in(o.c, v) }))
}
