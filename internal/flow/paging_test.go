package flow

import (
	"bytes"
	"errors"
	"fmt"
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

// pageStore is a store of one operator's rows: what Delta wrote is there once it is
// committed.
type pageStore struct {
	groups  []int
	budget  int64
	rows    map[int]map[string][]byte
	pending []func()
	gets    int
	fail    error  // of every read
	watch   func() // if not nil, called for every row of a scan
}

func newPageStore(budget int64) *pageStore {
	s := &pageStore{budget: budget, rows: map[int]map[string][]byte{}}
	for g := range keygroup.N {
		s.groups = append(s.groups, g)
	}
	return s
}

func (s *pageStore) of(g int) map[string][]byte {
	if s.rows[g] == nil {
		s.rows[g] = map[string][]byte{}
	}
	return s.rows[g]
}

func (s *pageStore) Put(g int, k, v []byte) {
	name, val := string(k), bytes.Clone(v)
	s.pending = append(s.pending, func() { s.of(g)[name] = val })
}

func (s *pageStore) Append(g int, k, v []byte) {
	name, val := string(k), bytes.Clone(v)
	s.pending = append(s.pending, func() { s.of(g)[name] = append(bytes.Clone(s.of(g)[name]), val...) })
}

func (s *pageStore) Delete(g int, k []byte) {
	name := string(k)
	s.pending = append(s.pending, func() { delete(s.of(g), name) })
}

func (s *pageStore) commit() {
	for _, f := range s.pending {
		f()
	}
	s.pending = nil
}

func (s *pageStore) Get(g int, key, buf []byte) ([]byte, bool, error) {
	s.gets++
	v, ok := s.rows[g][string(key)]
	return append(buf, v...), ok, s.fail
}

func (s *pageStore) Scan(g int, prefix []byte, f func(key, val []byte) error) error {
	if len(s.rows[g]) == 0 {
		return s.fail
	}
	for _, k := range slices.Sorted(maps.Keys(s.rows[g])) {
		if strings.HasPrefix(k, string(prefix)) {
			if s.watch != nil {
				s.watch()
			}
			if err := f([]byte(k), s.rows[g][k]); err != nil {
				return err
			}
		}
	}
	return s.fail
}

func (s *pageStore) Groups() []int { return s.groups }
func (s *pageStore) Budget() int64 { return s.budget }

// keyed counts the rows of keys.
func (s *pageStore) keyed() (n int) {
	for g, rows := range s.rows {
		if g >= 0 {
			n += len(rows)
		}
	}
	return n
}

// pagedLane is an operator that pages, on a lane.
type pagedLane[A, B any] struct {
	*opened[A, B]
	factory graph.Op
	st      *pageStore
	wm, now int64
}

func (l *pagedLane[A, B]) open(t testing.TB, c *graph.Ctx) {
	var out []got[B]
	if l.opened != nil {
		out = l.out
	}
	l.opened = open[A, B](c, l.factory)
	l.out = out
	c.Now = l.now
	l.live.(graph.Pager).Page(l.st)
	for _, g := range []int{graph.LaneBound, graph.EveryLane} {
		for k, v := range l.st.rows[g] {
			require.NoError(t, l.live.(graph.Keeper).Load([]byte(k), v))
		}
	}
	if s, ok := l.live.(graph.Starter); ok {
		require.NoError(t, s.Start(c))
	}
}

func (l *pagedLane[A, B]) cut()     { l.live.(graph.Keeper).Delta(l.st) }
func (l *pagedLane[A, B]) settled() { l.st.commit(); l.live.(graph.Pager).Settled(l.c) }

// restart opens the operator anew from the store.
func (l *pagedLane[A, B]) restart(t testing.TB) {
	l.open(t, &graph.Ctx{TS: window.MinTime, WM: window.MinTime, Lanes: 1, Run: l.c.Run})
	l.advance(l.wm) // it comes again
}

// program is a random stateful function: what it does with a key is in the values.
func program(t testing.TB, s window.Strategy, fails bool) graph.Op {
	bad := errors.New("bad value")
	return &Stateful[string, int64, string]{Key: cod[string](t), Val: cod[int64](t), Assign: NewAssign(s, false),
		Bind: func(l *Lane[string], emit func(string)) func(int64) error {
			sum := NewValueCell(cod[int64](t))
			l.AddCell("value sum", sum)
			list := NewListCell(cod[int64](t))
			list.SetLife(15, true)
			l.AddCell("ordered-list list event-ttl", list)
			bag := NewBagCell(cod[int64](t))
			bag.SetLife(25, false)
			l.AddCell("bag bag ttl", bag)
			say := func(what string) {
				emit(fmt.Sprint(l.K.Key(), " ", what, " ", l.K.Window().Start, " ", sum.Get(l.K.Row), *list.At(l.K.Row), *bag.At(l.K.Row)))
			}
			event := l.AddTimer("event", &Timer{Name: "event"})
			event.Fire = func() error {
				say("event")
				if sum.Get(l.K.Row)%3 == 0 {
					sum.Clear(l.K.Row)
				}
				return nil
			}
			clock := l.AddTimer("clock", &Timer{Name: "clock", Clock: true})
			clock.Fire = func() error { say("clock"); bag.Clear(l.K.Row); l.K.Cleared(); return nil }
			family := l.AddTimer("family", &Timer{Name: "family", Family: true})
			family.Fire = func() error { say("family " + family.Tag); return nil }
			l.Expire = func() error { say("over"); return nil }
			due := func(at, tie int64) int64 { return min(at, l.K.Window().Last()-5)/4*4 + tie } // no timer is due with one of another kind
			return func(v int64) error {
				r := l.K.Row
				switch v % 11 {
				case 0:
					sum.Clear(r)
					event.Clear(r, "")
					l.K.Cleared()
				case 1, 2:
					sum.Set(r, sum.Get(r)+v)
				case 3:
					list.Add(r, l.K.TS, v)
				case 4:
					bag.Add(r, v)
				case 5:
					event.Set(r, "", due(l.K.TS+v%40, 4), nil)
				case 6:
					clock.Set(r, "", l.K.Now+v%30, nil)
				case 7:
					at := due(l.K.TS+v%50, 5)
					if tag := string(rune('a' + v%3)); v%2 == 0 {
						family.Set(r, tag, at, nil)
					} else if out := l.K.TS; out <= at {
						family.Set(r, tag, at, &out)
					}
				case 8:
					at := due(l.K.TS+v%60, 4)
					out := min(l.K.TS, at)
					if out == l.K.TS {
						event.Set(r, "", at, &out)
					}
				case 9:
					family.Clear(r, "a")
					family.Clear(r, "b")
					clock.Clear(r, "")
					l.K.Cleared()
				case 10:
					say("sees") // and changes nothing
					if fails && v%3 == 0 {
						sum.Set(r, -1)
						l.K.Touch()
						return bad
					}
					return nil
				}
				l.K.Touch()
				say("has")
				return nil
			}
		}}
}

// pushBatch pushes a whole batch, at once if the operator takes it so.
func pushBatch[B any](o *opened[kv, B], b *Batch[kv]) {
	if in, ok := o.raw.(*batchIn[kv]); ok && len(b.vals) > 0 {
		old := o.c.TS
		in.many(o.c, b)
		o.c.TS = old
		return
	}
	for i, v := range b.vals {
		o.push(b.ts[i], v)
	}
}

// byKey is the outputs of each key, in order.
func byKey[B any](out []got[B]) map[string][]string {
	m := map[string][]string{}
	for _, g := range out {
		k, rest, _ := strings.Cut(strings.TrimPrefix(fmt.Sprint(g.v), "{"), " ")
		m[k] = append(m[k], fmt.Sprint(g.ts, ": ", rest))
	}
	return m
}

// seeds is how many programs are tried of each kind.
func seeds() uint64 {
	if testing.Short() {
		return 2
	}
	return 6
}

// Goal: paging changes nothing that can be seen. Method: random programs, alike with
// all rows in memory and with a budget that keeps none, or a few; elements come
// between a cut and its commit; now and then all begins again from the store.
func TestPaging_isNotSeen(t *testing.T) {
	ms := time.Millisecond
	for name, s := range map[string]window.Strategy{
		"global": {}, "fixed": window.New(window.Fixed(40*ms), window.AllowedLateness(12*ms)), "sliding": window.New(window.Sliding(40*ms, 20*ms)),
	} {
		for _, mode := range []string{"plain", "careful", "park"} {
			for _, budget := range []int64{0, 5_000} {
				t.Run(fmt.Sprint(name, "/", mode, "/", budget), func(t *testing.T) {
					for seed := range seeds() {
						samePaged[string](t, program(t, s, mode != "plain"), mode, budget, seed)
					}
				})
			}
		}
	}
}

// folding is a combiner of lists, or of sums.
func folding(t testing.TB, s window.Strategy, sliced, lists, fails bool) graph.Op {
	none := "none"
	bad := errors.New("bad value")
	if !lists {
		return &Combine[string, int64, int64, string]{Key: cod[string](t), Val: cod[int64](t), Acc: cod[int64](t), Assign: NewAssign(s, false),
			Add: func(a *int64, v int64) { *a += v }, Merge: func(a *int64, b int64) { *a += b },
			Extract: func(a int64) string { return fmt.Sprint(" ", a) }, Slices: sliced}
	}
	return &Combine[string, int64, []int64, string]{Key: cod[string](t), Val: cod[int64](t), Acc: cod[[]int64](t), Assign: NewAssign(s, false),
		Init: func() []int64 { return []int64{0} },
		Add: func(a *[]int64, v int64) {
			*a = append(*a, v)
			if fails && v%13 == 0 {
				panic(bad)
			}
		},
		Merge:   func(a *[]int64, b []int64) { *a = append(*a, b...) },
		Extract: func(a []int64) string { return fmt.Sprint(" ", a) }, Slices: sliced, EmitEmpty: &none}
}

// Goal, method: as above.
func TestPaging_isNotSeenOfCombiners(t *testing.T) {
	ms := time.Millisecond
	for name, s := range map[string]window.Strategy{
		"global": {}, "fixed": window.New(window.Fixed(40*ms), window.AllowedLateness(12*ms)), "sliding": window.New(window.Sliding(50*ms, 20*ms)),
	} {
		for _, sliced := range []bool{false, true} {
			for _, mode := range []string{"plain", "careful"} {
				if sliced && name != "sliding" {
					continue
				}
				for _, budget := range []int64{0, 3_000, 100_000} {
					t.Run(fmt.Sprint(name, "/", sliced, "/", mode, "/", budget), func(t *testing.T) {
						for seed := range seeds() {
							samePaged[coder.KV[string, string]](t, folding(t, s, sliced, seed%2 == 0, mode == "careful"), mode, budget, seed)
						}
					})
				}
			}
		}
	}
}

// Goal, method: as above.
func TestPaging_isNotSeenOfPanes(t *testing.T) {
	ms := time.Millisecond
	early := window.AfterWatermark().Early(window.AfterCount(3)).Late(window.AfterCount(1))
	clock := window.Repeat(window.AfterProcessingTime(10 * ms))
	for name, s := range map[string]window.Strategy{
		"sessions":            window.New(window.Sessions(12 * ms)),
		"sessions, panes":     window.New(window.Sessions(12*ms), window.Triggering(early), window.AllowedLateness(20*ms), window.Accumulating(), window.TimestampsAt(window.Earliest)),
		"sessions, clock":     window.New(window.Sessions(30*ms), window.Triggering(clock), window.AllowedLateness(9*ms)),
		"fixed, late":         window.New(window.Fixed(40*ms), window.AllowedLateness(30*ms)),
		"fixed, panes":        window.New(window.Fixed(40*ms), window.Triggering(early), window.AllowedLateness(25*ms), window.Accumulating(), window.TimestampsAt(window.Latest)),
		"sliding, earliest":   window.New(window.Sliding(40*ms, 20*ms), window.Triggering(early), window.AllowedLateness(15*ms), window.TimestampsAt(window.Earliest)),
		"sliding, clock":      window.New(window.Sliding(40*ms, 20*ms), window.Triggering(clock), window.TimestampsAt(window.Earliest)),
		"global, by elements": window.New(window.GlobalWindows(), window.Triggering(window.Repeat(window.AfterCount(4)))),
		"fixed, once":         window.New(window.Fixed(60*ms), window.Triggering(window.AfterCount(2)), window.AllowUnsafeTrigger()),
	} {
		for _, mode := range []string{"plain", "careful"} {
			factory := &Paned[string, int64, []int64, string]{Key: cod[string](t), Val: cod[int64](t), Acc: cod[[]int64](t), Strategy: s, Assign: NewAssign(s, false),
				Add: func(a *[]int64, v int64) {
					*a = append(*a, v)
					if mode == "careful" && v%13 == 0 {
						panic("bad value")
					}
				},
				Merge: func(a *[]int64, b []int64) { *a = append(*a, b...) },
				Extract: func(c *graph.Ctx, a []int64) string {
					return fmt.Sprint(" ", c.Win, c.Pane, a)
				}}
			for _, budget := range []int64{0, 8_000} {
				t.Run(fmt.Sprint(name, "/", mode, "/", budget), func(t *testing.T) {
					for seed := range seeds() {
						samePaged[coder.KV[string, string]](t, factory, mode, budget, seed)
					}
				})
			}
		}
	}
}

func ring[A, B any](o *opened[A, B]) {
	if a, ok := o.live.(graph.Alarmer); ok && o.c.Now > a.Alarm() {
		a.Ring(o.c)
	}
}

func samePaged[B any](t *testing.T, factory graph.Op, mode string, budget int64, seed uint64) {
	setup := func(r *graph.Run) { r.Epochs, r.Careful, r.Park = true, mode != "plain", mode == "park" }
	plain := open[kv, B](testLane(t, setup), factory)
	l := &pagedLane[kv, B]{factory: factory, st: newPageStore(budget), wm: window.MinTime}
	l.open(t, testLane(t, setup))
	rnd := rand.New(rand.NewPCG(seed, 5))
	var ts int64 = 100
	cut := false
	for range 600 {
		switch n := rnd.IntN(40); {
		case n < 28:
			ts += int64(rnd.IntN(3))
			at, v := ts-int64(rnd.IntN(12)), kv{Key: fmt.Sprint("k", rnd.IntN(30)), Value: int64(rnd.IntN(1 << 20))}
			if rnd.IntN(2) == 0 {
				plain.push(at, v)
				l.push(at, v)
				continue
			}
			var b Batch[kv]
			for range rnd.IntN(10) {
				b.vals, b.ts = append(b.vals, v), append(b.ts, at)
				v.Key, v.Value, at = fmt.Sprint("k", rnd.IntN(30)), v.Value/2, at+int64(rnd.IntN(2))
			}
			pushBatch(plain, &b)
			pushBatch(l.opened, &b)
		case n < 31:
			l.wm = max(l.wm, ts-int64(rnd.IntN(20)))
			plain.advance(l.wm)
			l.advance(l.wm)
		case n < 34:
			l.now += int64(rnd.IntN(12))
			plain.c.Now, l.c.Now = l.now, l.now
			ring(plain)
			ring(l.opened)
		case n < 38 && cut:
			l.settled()
			cut = false
		case n < 38:
			l.cut()
			cut = true
		default:
			if !cut {
				l.cut()
			}
			if cut { // what came since is not in the store
				l.settled()
				l.cut()
				cut = false
			}
			l.settled()
			l.restart(t)
			plain.advance(l.wm) // as the other, which sees it again
		}
		if h, ok := plain.live.(graph.Holder); ok {
			require.Equal(t, h.Output(), l.live.(graph.Holder).Output(), "seed %d", seed)
		}
	}
	plain.advance(window.MaxTime)
	l.advance(window.MaxTime)
	require.NoError(t, l.c.Err())
	want, have := byKey(plain.out), byKey(l.out)
	for _, k := range slices.Sorted(maps.Keys(want)) {
		require.Equal(t, want[k], have[k], "%s, seed %d", k, seed)
	}
	require.Len(t, have, len(want))
	texts := func(c *graph.Ctx) (s []string) {
		for _, f := range c.Run.Letters.Take() {
			s = append(s, f.Text)
		}
		slices.Sort(s)
		return s
	}
	require.Equal(t, texts(plain.c), texts(l.c))
	late := func(c *graph.Ctx) (n int64) {
		for _, m := range c.Run.Metrics.Snapshot() {
			if m.Name == droppedLate || m.Name == droppedClosed {
				n = n*1_000_000 + m.Sum
			}
		}
		return n
	}
	require.Equal(t, late(plain.c), late(l.c))
	if cut {
		l.settled()
	}
	l.cut()
	l.settled()
	require.Zero(t, l.st.keyed(), "nothing is left in the store, seed %d", seed)
}

// counts is a stateful sum, whose keys are done when 0 comes.
func counts(t testing.TB, timers bool) graph.Op {
	return &Stateful[string, int64, int64]{Key: cod[string](t), Val: cod[int64](t), Assign: NewAssign(window.Strategy{}, false),
		Bind: func(l *Lane[string], emit func(int64)) func(int64) error {
			n := NewValueCell(cod[int64](t))
			l.AddCell("value n", n)
			var far *Timer
			if timers {
				far = l.AddTimer("far", &Timer{Name: "far", Fire: func() error { emit(-n.Get(l.K.Row)); return nil }})
			}
			return func(v int64) error {
				if v == 0 {
					n.Clear(l.K.Row)
					l.K.Cleared()
					return nil
				}
				n.Set(l.K.Row, n.Get(l.K.Row)+v)
				l.K.Touch()
				if far != nil {
					far.Set(l.K.Row, "", 1_000_000+l.K.TS, nil)
				}
				emit(n.Get(l.K.Row))
				return nil
			}
		}}
}

func openPaged[B any](t testing.TB, factory graph.Op, budget int64) *pagedLane[kv, B] {
	l := &pagedLane[kv, B]{factory: factory, st: newPageStore(budget), wm: window.MinTime}
	l.open(t, testLane(t, epochs))
	return l
}

func (l *pagedLane[A, B]) epoch() { l.cut(); l.settled() }

func TestPaging_memoryFollowsTheBudget(t *testing.T) {
	const keys = 50_000
	l := openPaged[int64](t, counts(t, true), 1<<20)
	o := l.live.(*stateful[string, int64, int64])
	table := func() *table[string] { return o.tables.open[0] }
	for round := range int64(4) {
		for k := range keys {
			l.push(round, kv{Key: fmt.Sprint("key", k), Value: 1})
			if k%5000 == 4999 {
				require.Equal(t, o.Crowded(), int64(table().dir.n)*rowBytes(o.pages, table().dir) > 1<<20)
				l.epoch()
				require.False(t, o.Crowded())
			}
		}
		d := table().dir
		require.Less(t, d.n, 15_000)
		require.Greater(t, d.n, 2_000, "what fits stays")
		require.LessOrEqual(t, len(d.ctrl), 1<<15)
		require.Less(t, len(table().timers[0].heap), 15_000, "hints of rows that are away go with them")
		require.LessOrEqual(t, len(table().pages.timers[0].heap), 2*keys+1024, "no more than two hints for each key")
		require.Equal(t, keys, table().pages.lost+d.n)
	}
	require.Equal(t, keys, l.st.keyed())

	most := 0
	l.opened = open[kv, int64](testLane(t, epochs), l.factory)
	o = l.live.(*stateful[string, int64, int64])
	o.Page(l.st)
	l.st.watch = func() { most = max(most, table().dir.n) }
	require.NoError(t, o.Start(l.c))
	require.Less(t, most, 15_000, "a restart reads all, and keeps what fits")
	require.Equal(t, keys, table().pages.lost+table().dir.n)

	l.out = nil
	l.advance(2_000_000)
	require.Len(t, l.out, keys)
	for _, g := range l.out {
		require.Equal(t, got[int64]{1_000_003, -4}, g)
	}
}

func TestPaging_theOldestGo(t *testing.T) {
	l := openPaged[int64](t, counts(t, false), 70_000)
	for i := range 1000 { // ages are more than bytes have room for
		l.push(0, kv{Key: fmt.Sprint("new", i), Value: 1})
		l.push(0, kv{Key: "hot", Value: 1})
		l.epoch()
	}
	l.st.gets = 0
	l.push(0, kv{Key: "hot", Value: 1})
	l.push(0, kv{Key: "new999", Value: 1})
	require.Zero(t, l.st.gets)
	l.push(0, kv{Key: "new0", Value: 1})
	require.Equal(t, 1, l.st.gets)
	require.Equal(t, []int64{1001, 2, 2}, l.values()[len(l.out)-3:])
}

func TestPaging_keysThatAreDoneLeaveNothing(t *testing.T) {
	for _, budget := range []int64{0, 1 << 30} {
		l := openPaged[int64](t, counts(t, false), budget)
		d := l.live.(*stateful[string, int64, int64]).tables.open[0].dir
		for i := range 10_000 {
			l.push(0, kv{Key: fmt.Sprint(i), Value: 1})
		}
		l.epoch()
		for i := range 10_000 {
			l.push(0, kv{Key: fmt.Sprint(i), Value: 0})
		}
		l.cut()
		l.push(0, kv{Key: "7", Value: 5}) // the store has its old row until the epoch is committed
		require.Equal(t, int64(5), l.values()[len(l.out)-1])
		l.settled()
		require.Zero(t, l.st.keyed())
		require.Equal(t, 1, d.n)
		require.Equal(t, minSlots, len(d.ctrl), "the table has shrunk")
		l.epoch()
		require.Equal(t, 1, l.st.keyed())
	}
}

func TestPaging_aNewWindowAsksNobody(t *testing.T) {
	l := openPaged[string](t, program(t, window.New(window.Fixed(10*time.Millisecond)), false), 1<<30)
	for i := range int64(1000) {
		l.push(i, kv{Key: "a", Value: 1})
		l.push(i, kv{Key: fmt.Sprint(i), Value: 1})
		if i%7 == 0 {
			l.epoch()
			l.advance(i - 20)
		}
	}
	require.Zero(t, l.st.gets, "nothing has gone: the store knows no more than the tables")
}

func TestPaging_aStoreThatFailsFailsTheLane(t *testing.T) {
	broken := errors.New("broken disk")
	none := window.Strategy{}
	for name, f := range map[string]graph.Op{"stateful": program(t, none, false), "combine": folding(t, none, false, false, false)} {
		for _, at := range []string{"get", "advance"} {
			t.Run(name+" "+at, func(t *testing.T) {
				l := openPaged[any](t, anyOut{f}, 0)
				l.push(1, kv{Key: "a", Value: 1})
				l.epoch()
				l.st.fail = broken
				if at == "get" {
					l.push(2, kv{Key: "a", Value: 1})
				} else {
					l.advance(window.MaxTime)
				}
				require.ErrorIs(t, l.c.Err(), broken)
			})
		}
	}
	l := openPaged[int64](t, counts(t, true), 0)
	l.push(1, kv{Key: "a", Value: 1})
	l.epoch()
	l.st.fail = broken
	l.opened = open[kv, int64](testLane(t, epochs), l.factory)
	l.live.(graph.Pager).Page(l.st)
	require.ErrorIs(t, l.live.(graph.Starter).Start(l.c), broken)
}

// anyOut is an operator whose output does not matter.
type anyOut struct{ graph.Op }

func (a anyOut) Open(c *graph.Ctx, out []any) ([]any, any) {
	next := out[0].(Recv[any])
	if _, ok := a.Op.(*Stateful[string, int64, string]); ok {
		return a.Op.Open(c, []any{Recv[string](func(c *graph.Ctx, v string) { next(c, v) })})
	}
	return a.Op.Open(c, []any{Recv[coder.KV[string, string]](func(c *graph.Ctx, v coder.KV[string, string]) { next(c, v) })})
}

// Goal: an epoch that is to hold all rows does. Method: the store is emptied before.
func TestPaging_wholeEpochsHoldWhatIsAway(t *testing.T) {
	ms := time.Millisecond
	for name, f := range map[string]graph.Op{
		"stateful": program(t, window.New(window.Fixed(50*ms)), false), "combine": folding(t, window.New(window.Fixed(50*ms)), false, true, false),
	} {
		t.Run(name, func(t *testing.T) {
			l := openPaged[any](t, anyOut{f}, 3_000)
			for i := range int64(300) {
				l.push(i, kv{Key: fmt.Sprint(i % 40), Value: 1})
				if i%20 == 0 {
					l.epoch()
					l.advance(i - 30)
				}
			}
			l.epoch()
			was := l.st.rows
			l.live.(graph.Rewriter).Rewrite(l.c, graph.All())
			l.cut()
			l.st.rows = map[int]map[string][]byte{}
			l.settled()
			require.Positive(t, l.st.keyed())
			for g, rows := range was {
				if len(rows) > 0 {
					require.Equal(t, rows, l.st.rows[g])
				}
			}
		})
	}
}

// Goal: a batch of keys that are away folds into what the store has.
func TestPaging_largeTablesByBatches(t *testing.T) {
	const keys = 40_000
	l := openPaged[coder.KV[string, string]](t, folding(t, window.Strategy{}, false, false, false), 2<<20)
	o := l.live.(*combine[string, int64, int64, string])
	for round := range int64(3) {
		for k := 0; k < keys; k += 100 {
			var b Batch[kv]
			for i := range 100 {
				b.vals, b.ts = append(b.vals, kv{Key: fmt.Sprint((k + i) * 7919 % keys), Value: round + 1}), append(b.ts, 1)
			}
			pushBatch(l.opened, &b)
			if k%5000 == 0 {
				l.epoch()
			}
		}
	}
	l.epoch()
	require.Less(t, o.open[0].dir.n, keys)
	require.Greater(t, l.st.gets, keys)
	l.advance(window.MaxTime)
	require.Len(t, l.out, keys)
	for _, g := range l.out {
		require.Equal(t, " 6", g.v.Value)
	}
}

func TestAwayHints(t *testing.T) {
	rnd := rand.New(rand.NewPCG(6, 7))
	var h awayHints[int]
	first := map[int]int64{}
	for range 50_000 {
		k, at := rnd.IntN(500), int64(rnd.IntN(1_000_000))
		h.push(at, k, 500)
		if was, ok := first[k]; !ok || at < was {
			first[k] = at
		}
	}
	require.LessOrEqual(t, len(h.heap), 2048, "many of the same key are one")
	last, seen := int64(0), map[int]bool{}
	for at, ok := h.next(); ok; at, ok = h.next() {
		require.GreaterOrEqual(t, at, last)
		last = at
		if k := h.pop(); !seen[k] {
			seen[k] = true
			require.Equal(t, first[k], at)
		}
	}
	require.Len(t, seen, 500)
}
