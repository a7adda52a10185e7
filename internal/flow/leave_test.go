package flow

import (
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/keygroup"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

// taken is rows by group, as they stand.
type taken struct {
	only func(group int) bool // what is taken out
	rest *store               // where the others go
	rows map[string][]byte
}

func (w *taken) Put(g int, k, v []byte) {
	if w.rest.Delete(g, k); w.only(g) {
		w.rows[string(k)] = slices.Clone(v)
	} else {
		w.rest.Put(g, k, v)
	}
}

func (w *taken) Append(g int, k, v []byte) {
	if !w.only(g) {
		w.rest.Append(g, k, v)
		return
	}
	w.rest.Delete(g, k)
	w.rows[string(k)] = append(w.rows[string(k)], v...)
}

func (w *taken) Delete(g int, k []byte) {
	w.rest.Delete(g, k)
	if w.only(g) {
		delete(w.rows, string(k))
	}
}

// mover is one operator, and what it has put out and into its store.
type mover struct {
	c    *graph.Ctx
	in   Recv[kv]
	live any
	rows *store
	out  *[]string
}

// movers makes two of an operator, whose outputs are one list.
func movers[R any](t *testing.T, op graph.Op, text func(c *graph.Ctx, v R) string) (a, b *mover) {
	out := &[]string{}
	open := func() *mover {
		c := testLane(t, func(r *graph.Run) { r.Epochs, r.MemoryBudget = true, 2000 })
		m := &mover{c: c, rows: &store{rows: map[string][]byte{}}, out: out}
		in, live := op.Open(c, []any{Recv[R](func(c *graph.Ctx, v R) { *out = append(*out, fmt.Sprint(c.TS, " ", text(c, v))) })})
		m.in, m.live = recvOf[kv](in[0]), live
		return m
	}
	return open(), open()
}

func (m *mover) delta(t *testing.T) {
	m.live.(graph.Keeper).Delta(m.rows)
	require.NoError(t, m.c.Err())
}

// give moves groups from m to another one, as an engine does.
func (m *mover) give(t *testing.T, to *mover, groups func(int) bool) {
	m.delta(t)
	w := &taken{only: groups, rest: m.rows, rows: map[string][]byte{}}
	from, into := m.live.(graph.Mover), to.live.(graph.Mover)
	from.Rewrite(m.c, graph.Anew{Groups: groups})
	m.live.(graph.Keeper).Delta(w)
	from.Leave(m.c, groups, w)
	for _, k := range slices.Sorted(maps.Keys(w.rows)) {
		require.NoError(t, to.live.(graph.Keeper).Load([]byte(k), w.rows[k]))
	}
	into.Came(to.c)
	into.Rewrite(to.c, graph.Anew{Groups: groups})
	to.delta(t)
	m.delta(t)
}

// Goal: what an operator keeps by key goes to another one, and comes back, in memory, in files
// and in its store, and together they put out what one does to which all elements come. Method:
// two operators in the same watermark, between which groups move at random, and one beside them.
func TestMover_givesWhatOneGives(t *testing.T) {
	key, val := cod[string](t), cod[int64](t)
	sum := func(a *int64, v int64) { *a += v }
	result := func(_ *graph.Ctx, v kv) string { return fmt.Sprint(v.Key, " ", v.Value) }
	list := func(c *graph.Ctx, v coder.KV[string, iter.Seq[int64]]) string {
		return fmt.Sprint(c.Win.Start, " ", v.Key, " ", slices.Sorted(v.Value))
	}
	strategy := func(fn window.Fn) window.Strategy { return window.Strategy{Fn: fn} }
	combined := func(s window.Strategy, sliced bool) graph.Op {
		return &Combine[string, int64, int64, int64]{Key: key, Val: val, Acc: val, Assign: NewAssign(s, false), Add: sum, Merge: func(a *int64, b int64) { *a += b }, Slices: sliced, Extract: func(a int64) int64 { return a }}
	}
	fixed, sliding, sessions := strategy(window.Fixed(ms(50))), strategy(window.Sliding(ms(60), ms(20))), strategy(window.Sessions(ms(15)))
	late := window.Strategy{Fn: window.Fixed(ms(50)), Lateness: 30 * time.Millisecond}
	for name, pair := range map[string]func() (one, two, all *mover){
		"state and timers": func() (a, b, c *mover) { return both(t, counting(t, window.Strategy{}, nil), numberText) },
		"in windows":       func() (a, b, c *mover) { return both(t, counting(t, fixed, nil), numberText) },
		"states that are large": func() (a, b, c *mover) {
			return both(t, swelling(t), numberText)
		},
		"combined": func() (a, b, c *mover) { return both(t, combined(fixed, false), result) },
		"sliced":   func() (a, b, c *mover) { return both(t, combined(sliding, true), result) },
		"grouped": func() (a, b, c *mover) {
			return both(t, &Group[string, int64]{Key: key, Val: val, Assign: NewAssign(fixed, false)}, list)
		},
		"with lateness": func() (a, b, c *mover) {
			return both(t, PanedGroup(key, val, late, NewAssign(late, false), nil), list)
		},
		"windows that merge": func() (a, b, c *mover) {
			return both(t, PanedGroup(key, val, sessions, NewAssign(sessions, false), nil), list)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(5) {
				r := rand.New(rand.NewPCG(seed, 4))
				a, b, all := pair()
				second := map[int]bool{} // groups that b has
				hash := keygroup.Of[string](key.Append)
				for ts := range int64(600) {
					k := fmt.Sprint("key ", r.IntN(40))
					to := a
					if second[keygroup.Group(hash.Sum(k))] {
						to = b
					}
					for _, m := range []*mover{to, all} {
						m.c.TS = ts
						m.in(m.c, kv{Key: k, Value: ts})
					}
					if ts%25 == 24 {
						wm := ts - int64(r.IntN(10))
						for _, m := range []*mover{a, b, all} {
							m.live.(graph.Watermarker).Advance(m.c, wm)
						}
					}
					if ts%40 == 39 {
						from, into, moved := a, b, map[int]bool{}
						back := r.IntN(2) == 1
						if back {
							from, into = b, a
						}
						for g := range keygroup.N {
							if second[g] == back && r.IntN(3) == 0 {
								moved[g] = true
							}
						}
						from.give(t, into, func(g int) bool { return moved[g] })
						for g := range moved {
							second[g] = !back
						}
					}
				}
				for _, m := range []*mover{a, b, all} {
					m.live.(graph.Watermarker).Advance(m.c, window.MaxTime)
					m.delta(t)
				}
				require.ElementsMatch(t, *all.out, *a.out)
				for _, k := range slices.Collect(maps.Keys(b.rows.rows)) {
					if _, twice := a.rows.rows[k]; twice {
						require.Contains(t, []string{string(outputRow), string(firedRow)}, k, "a row is in both stores")
					}
					a.rows.rows[k] = b.rows.rows[k]
				}
				require.ElementsMatch(t, slices.Collect(maps.Keys(all.rows.rows)), slices.Collect(maps.Keys(a.rows.rows)))
				for _, m := range []*mover{a, b, all} {
					if c, ok := m.live.(graph.Closer); ok {
						require.NoError(t, c.Close(m.c))
					}
				}
			}
		})
	}
}

// swelling has a state of each key that is large now and then, beside a number.
func swelling(t *testing.T) graph.Op {
	return &Stateful[string, int64, int64]{Key: cod[string](t), Val: cod[int64](t), Assign: NewAssign(window.Strategy{}, false),
		Bind: func(l *Lane[string], emit func(int64)) func(int64) error {
			n, text := NewValueCell(cod[int64](t)), NewValueCell(cod[string](t))
			l.AddCell("value n", n)
			l.AddCell("value text", text)
			return func(v int64) error {
				r := l.K.Row
				switch v % 9 {
				case 0, 1:
					text.Set(r, strings.Repeat("x", 1000+int(v)))
				case 2:
					text.Set(r, "x")
				case 3:
					text.Clear(r)
				case 4:
					text.Clear(r)
					n.Clear(r)
					l.K.Cleared()
					return nil
				default:
					n.Set(r, v)
				}
				l.K.Touch()
				emit(n.Get(r)*10_000 + int64(len(text.Get(r))))
				return nil
			}
		}}
}

func numberText(_ *graph.Ctx, v int64) string { return fmt.Sprint(v) }

// both are two operators and one beside them.
func both[R any](t *testing.T, op graph.Op, text func(c *graph.Ctx, v R) string) (one, two, all *mover) {
	one, two = movers(t, op, text)
	all, _ = movers(t, op, text)
	return one, two, all
}

// Goal: elements of chosen groups go out of a batch, in order, with their times, and the rest
// stays.
func TestEdge_parts(t *testing.T) {
	e := KeyedType(cod[string](t), cod[int64](t)).NewEdge(graph.EdgeConfig{Kind: graph.ByKey, Size: 16}).(graph.KeyedEdge)
	b := e.(*keyEdge[string, int64]).newBatch()
	hash := keygroup.Of[string](cod[string](t).Append)
	chosen := keygroup.Group(hash.Sum("b"))
	for i, k := range []string{"a", "b", "c", "b", "a"} {
		b.ts, b.vals = append(b.ts, int64(i)), append(b.vals, kv{Key: k, Value: int64(i)})
	}
	calls := 0
	e.Part(b, func(g int) bool { return g == chosen }, func(g int, part graph.Batch) {
		calls++
		require.Equal(t, chosen, g)
		p := part.(*Batch[kv])
		require.Equal(t, []int64{1, 3}, p.ts)
		require.Equal(t, []kv{{Key: "b", Value: 1}, {Key: "b", Value: 3}}, p.vals)
		buf := e.Marshal(nil, part, 1<<10)
		back, err := e.Unmarshal(buf, nil)
		require.NoError(t, err)
		require.Equal(t, 2, back.Len())
	})
	require.Equal(t, 1, calls)
	require.Equal(t, []int64{0, 2, 4}, b.ts)
	require.Equal(t, []kv{{Key: "a"}, {Key: "c", Value: 2}, {Key: "a", Value: 4}}, b.vals)
}
