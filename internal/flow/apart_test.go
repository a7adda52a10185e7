package flow

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/keygroup"
	"github.com/millrace/millrace/window"
)

// step is what the programs of these tests are told to do.
type step struct {
	Do string
	N  int
}

type stepIn = coder.KV[string, step]

// warehouse has a state of each kind, each as large as it is told to, and tells after
// each step all that it has.
func warehouse(t testing.TB, s window.Strategy) *Stateful[string, step, string] {
	return &Stateful[string, step, string]{Key: cod[string](t), Val: cod[step](t), Assign: NewAssign(s, false),
		Bind: func(l *Lane[string], emit func(string)) func(step) error {
			n := NewValueCell(cod[int64](t))
			l.AddCell("value n", n)
			text := NewValueCell(cod[string](t))
			l.AddCell("value text", text)
			bag := NewBagCell(cod[int64](t))
			bag.SetLife(1000, false)
			l.AddCell("bag bag ttl", bag)
			names := NewMapCell(cod[string](t), cod[int64](t))
			l.AddCell("map names", names)
			list := NewListCell(cod[string](t))
			l.AddCell("ordered-list list", list)
			sum := NewFoldCell(cod[[]int64](t), nil)
			l.AddCell("combining sum", sum)
			timer := l.AddTimer("event-timer due", &Timer{Name: "due"})
			timer.Fire = func() error { emit("due"); return nil }
			bad := errors.New("bad step")
			tell := func() {
				r := l.K.Row
				all := fmt.Append(nil, n.Get(r), text.Get(r), *bag.At(r), names.Map(r), *list.At(r), sum.Peek(r))
				emit(fmt.Sprint(n.Get(r), " ", len(text.Get(r)), len(*bag.At(r)), len(names.Map(r)), len(*list.At(r)), len(sum.Peek(r)), " ", crc32.ChecksumIEEE(all)))
			}
			l.Expire = func() error { tell(); return nil }
			return func(x step) error {
				r := l.K.Row
				switch x.Do {
				case "n":
					n.Set(r, int64(x.N))
				case "text":
					text.Set(r, strings.Repeat("t", x.N))
				case "bag":
					for i := range x.N {
						bag.Add(r, int64(i))
					}
				case "names":
					for i := range x.N {
						names.Put(r, fmt.Sprint(x.N%3, " ", i), int64(i))
					}
				case "unname":
					for i := range x.N {
						names.Remove(r, fmt.Sprint(x.N%3, " ", i))
					}
				case "list":
					list.Add(r, int64(x.N), strings.Repeat("l", x.N))
				case "unlist":
					list.ClearRange(r, 0, int64(x.N))
				case "sum":
					a, b := sum.Acc(r), make([]int64, x.N)
					copy(b, *a)
					b[x.N-1]++
					*a = b
				case "due":
					timer.Set(r, "", int64(x.N), nil)
				case "undue":
					timer.Clear(r, "")
				case "bad":
					text.Set(r, strings.Repeat("b", x.N))
					bag.Clear(r)
					l.K.Touch()
					return bad
				case "clear":
					for _, c := range []Cell{n, text, bag, names, list, sum}[x.N%6:] {
						c.Clear(r)
					}
				case "empty":
					for _, c := range []Cell{n, text, bag, names, list, sum} {
						c.Clear(r)
					}
					timer.Clear(r, "")
				}
				if l.K.Touch(); strings.HasPrefix(x.Do, "un") || x.Do == "clear" || x.Do == "empty" {
					l.K.Cleared()
				}
				tell()
				return nil
			}
		}}
}

// journal is a store that knows what the newest delta has put and deleted.
type journal struct {
	store
	put     map[string]int // bytes of values
	deleted []string
}

func newJournal() *journal { return &journal{store: store{rows: map[string][]byte{}}} }

func (j *journal) Put(g int, k, v []byte) { j.store.Put(g, k, v); j.put[string(k)] = len(v) }
func (j *journal) Delete(g int, k []byte) {
	j.store.Delete(g, k)
	j.deleted = append(j.deleted, string(k))
}

// delta takes the next delta, and checks that heads and rows of parts go together.
func (j *journal) delta(t testing.TB, k graph.Keeper) {
	j.put, j.deleted = map[string]int{}, nil
	k.Delta(j)
	delete(j.put, string(outputRow))
	requireWhole(t, k, j.rows)
}

// requireWhole checks that the rows of parts in a store are those that heads name.
func requireWhole(t testing.TB, k any, rows map[string][]byte) {
	t.Helper()
	l := k.(*stateful[string, step, string]).l
	named := map[string]bool{}
	for k, v := range rows {
		if k == string(outputRow) || strings.HasPrefix(k, string(partRow)) {
			continue
		}
		require.NoError(t, l.eachPart([]byte(k), v, func(_ int, part []byte) error {
			named[string(part)] = true
			require.Contains(t, rows, string(part))
			require.GreaterOrEqual(t, len(rows[string(part)]), apartUntil)
			return nil
		}))
		require.Less(t, len(v), len(l.cells)*apartFrom, "a head is small")
	}
	for k := range rows {
		require.True(t, !strings.HasPrefix(k, string(partRow)) || named[k], "%q is of no head", k)
	}
}

// on is what was put: the names of parts, "head" for heads.
func (j *journal) on() (parts []string) {
	for k := range j.put {
		parts = append(parts, partOf(k))
	}
	slices.Sort(parts)
	return parts
}

func partOf(key string) string {
	if rest, ok := strings.CutPrefix(key, string(partRow)); ok {
		name, _, _ := takeBytes([]byte(rest))
		return string(name)
	}
	return "head"
}

func (o *opened[A, B]) step(ts int64, key, do string, n int) {
	any(o).(*opened[stepIn, string]).push(ts, stepIn{Key: key, Value: step{do, n}})
}

func TestApart_onlyWhatChangesIsWritten(t *testing.T) {
	o, j := open[stepIn, string](testLane(t, epochs), warehouse(t, window.Strategy{})), newJournal()
	k := o.live.(graph.Keeper)
	o.step(1, "a", "n", 1)
	o.step(1, "a", "text", 400)
	j.delta(t, k)
	require.Equal(t, []string{"head"}, j.on(), "nothing is large")

	o.step(2, "a", "text", 10_000)
	o.step(2, "a", "names", 100)
	o.step(2, "b", "n", 1)
	j.delta(t, k)
	require.Equal(t, []string{"head", "head", "names", "text"}, j.on())

	o.step(3, "a", "n", 2)
	j.delta(t, k)
	require.Equal(t, []string{"head"}, j.on())
	for _, n := range j.put {
		require.LessOrEqual(t, n, 20)
	}
	j.delta(t, k)
	require.Empty(t, j.put)
	require.Empty(t, j.deleted)

	o.step(4, "a", "due", 50)
	o.step(4, "a", "text", 9_999)
	j.delta(t, k)
	require.Equal(t, []string{"head", "text"}, j.on())
	o.step(4, "a", "unname", 1)
	j.delta(t, k)
	require.Equal(t, []string{"head", "names"}, j.on())

	o.step(5, "a", "text", apartUntil)
	j.delta(t, k)
	require.Equal(t, []string{"head", "text"}, j.on(), "it may shrink a little")
	o.step(5, "a", "text", apartUntil-10)
	j.delta(t, k)
	require.Equal(t, []string{"head"}, j.on())
	require.Len(t, j.deleted, 1)
	require.Equal(t, "text", partOf(j.deleted[0]))

	o.live.(graph.Rewriter).Rewrite(o.c, graph.All())
	j.delta(t, k)
	require.Equal(t, []string{"head", "head", "names"}, j.on(), "all is wanted")
	o.live.(graph.Rewriter).Rewrite(o.c, graph.Anew{Lane: true})
	j.delta(t, k)
	require.Empty(t, j.put)

	o.step(6, "a", "empty", 0)
	o.step(6, "b", "empty", 0)
	j.delta(t, k)
	delete(j.rows, string(outputRow))
	require.Empty(t, j.rows)
}

func TestApart_aKeyThatIsDoneAndComesBack(t *testing.T) {
	o, j := open[stepIn, string](testLane(t, epochs), warehouse(t, window.Strategy{})), newJournal()
	k := o.live.(graph.Keeper)
	o.step(1, "a", "text", 1000)
	o.step(1, "a", "bag", 1000)
	j.delta(t, k)
	o.step(1, "a", "empty", 0)
	o.step(1, "a", "text", 2000)
	j.delta(t, k)
	require.Equal(t, []string{"head", "text"}, j.on())
	require.Len(t, j.rows, 3)
	o.c.Now = 5000 // and what expires
	o.step(1, "a", "bag", 1000)
	j.delta(t, k)
	require.Len(t, j.rows, 4)
	o.c.Now = 10_000
	o.live.(graph.Alarmer).Ring(o.c)
	j.delta(t, k)
	require.Len(t, j.rows, 3)
}

func TestApart_windowsThatCloseTakeAllWithThem(t *testing.T) {
	o, j := open[stepIn, string](testLane(t, epochs), warehouse(t, window.New(window.Sliding(20*time.Millisecond, 10*time.Millisecond)))), newJournal()
	k := o.live.(graph.Keeper)
	for i := range int64(40) {
		o.step(i, fmt.Sprint(i%3), []string{"text", "bag", "n", "list"}[i%4], 600+int(i))
		if i%5 == 4 {
			j.delta(t, k)
		}
	}
	j.delta(t, k)
	require.Greater(t, len(j.rows), 20)
	o.advance(45)
	j.delta(t, k)
	require.NotEmpty(t, j.rows)
	o.advance(window.MaxTime)
	j.delta(t, k)
	delete(j.rows, string(outputRow))
	require.Empty(t, j.rows)
}

// Goal: rows of a version whose values were large, of a state that is small by its type
// now or alone in its row, come back into their heads.
func TestApart_valuesThatAreSmallNowComeBack(t *testing.T) {
	one := func(kind string) *Stateful[string, step, string] {
		return &Stateful[string, step, string]{Key: cod[string](t), Val: cod[step](t), Assign: NewAssign(window.Strategy{}, false),
			Bind: func(l *Lane[string], emit func(string)) func(step) error {
				text := NewValueCell(cod[string](t))
				if kind == "small" {
					text.small = true
					l.AddCell("value n", NewValueCell(cod[int64](t)))
				}
				l.AddCell("value text", text)
				return func(step) error { emit(fmt.Sprint(len(text.Get(l.K.Row)))); return nil }
			}}
	}
	for _, kind := range []string{"small", "alone"} {
		for _, paged := range []bool{false, true} {
			lane := NewLane(nil, cod[string](t))
			if kind == "small" {
				lane.AddCell("value n", NewValueCell(cod[int64](t)))
			}
			lane.AddCell("value text", NewValueCell(cod[string](t)))
			name := cod[string](t).Append(appendWindow(nil, window.Global), "a")
			cell := len(lane.cells) - 1
			head := appendMark(nil, []int{cell})
			if kind == "small" {
				head = append(head, 0)
			}
			part := cod[string](t).Append([]byte{1}, strings.Repeat("x", 1000))
			c := testLane(t, epochs)
			if paged {
				l := &pagedLane[stepIn, string]{factory: one(kind), st: newPageStore(0), wm: window.MinTime}
				hash := keygroup.Of[string](cod[string](t).Append)
				g := keygroup.Group(hash.Sum("a"))
				l.st.Put(g, name, head)
				l.st.Put(g, bytes.Clone(lane.partKey(cell, name)), part)
				l.st.commit()
				l.open(t, c)
				l.step(1, "a", "", 0)
				require.Equal(t, []string{"1000"}, l.values())
				l.epoch()
				require.Equal(t, 1, l.st.keyed())
				l.step(1, "a", "", 0)
				require.Equal(t, []string{"1000", "1000"}, l.values())
				require.NoError(t, l.c.Err())
				continue
			}
			o, st := open[stepIn, string](c, one(kind)), &store{rows: map[string][]byte{}}
			st.Put(0, name, head)
			st.Put(0, lane.partKey(cell, name), part)
			for k, v := range st.rows {
				require.NoError(t, o.live.(graph.Keeper).Load([]byte(k), v))
			}
			o.step(1, "a", "", 0)
			require.Equal(t, []string{"1000"}, o.values())
			o.live.(graph.Keeper).Delta(st)
			require.Len(t, st.rows, 2, "the head and the watermark")
			require.Greater(t, len(st.rows[string(name)]), 1000)
		}
	}
}

func TestApart_damageIsAnError(t *testing.T) {
	o := open[stepIn, string](testLane(t, epochs), warehouse(t, window.Strategy{}))
	k := o.live.(graph.Keeper)
	name := cod[string](t).Append(appendWindow(nil, window.Global), "a")
	for _, head := range []string{"\x80\x00", "\x80\x00\x01", "\x80\x00\x01\x06", "\x80\x00\x02\x02\x01", "\x80\x00\x02\x01\x01", "\x80\x00\x01\x80"} {
		require.Error(t, k.Load(name, []byte(head)), "% x", head)
	}
	require.ErrorContains(t, k.Load(append([]byte("part\x02no"), name...), []byte{0}), "no state is declared")
	require.ErrorContains(t, k.Load(append([]byte("part\x04text"), name...), []byte{0, 0}), "1 bytes follow")
	require.Error(t, k.Load([]byte("part\x04text"), []byte{0}))

	j := newJournal()
	o = open[stepIn, string](testLane(t, epochs), warehouse(t, window.Strategy{}))
	o.step(1, "a", "n", 1)
	o.step(1, "a", "text", 1000)
	j.delta(t, o.live.(graph.Keeper))
	for missing, says := range map[string]string{"": "", "part": "of its large values 1 are missing", string(name): "of its large values -1"} {
		o = open[stepIn, string](testLane(t, epochs), warehouse(t, window.Strategy{}))
		for k, v := range j.rows {
			if missing == "" || !strings.HasPrefix(k, missing) {
				require.NoError(t, o.live.(graph.Keeper).Load([]byte(k), v))
			}
		}
		if err := o.live.(graph.Starter).Start(o.c); says == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, says)
		}
	}

	l := &pagedLane[stepIn, string]{factory: warehouse(t, window.Strategy{}), st: newPageStore(0), wm: window.MinTime}
	l.open(t, testLane(t, epochs))
	l.step(1, "a", "text", 1000)
	l.epoch()
	for g := range l.st.rows {
		maps.DeleteFunc(l.st.rows[g], func(k string, _ []byte) bool { return strings.HasPrefix(k, "part") })
	}
	l.step(1, "a", "n", 1)
	require.ErrorContains(t, l.c.Err(), "it is missing")
}

// randomStep is a step on one of some keys, of a size that is rarely near the bound.
func randomStep(r *rand.Rand) (key, do string, n int) {
	do = []string{"n", "n", "text", "text", "bag", "names", "unname", "list", "unlist", "sum", "due", "undue", "clear", "empty", "bad"}[r.IntN(15)]
	n = 1 + r.IntN(1<<r.IntN(12))
	switch do {
	case "due":
		n = 1_000_000 + n
	case "list":
		n = min(n, 700)
	}
	return fmt.Sprint("k", r.IntN(12)), do, n
}

// Goal: whatever happens to states, the rows in the store are what they are, and no part
// of them stays behind or comes back. Method: random steps on states of random sizes, of
// two operators, of which one begins anew from the store of its deltas now and then, its
// rows loaded in any order, by one operator or by two that share them.
func TestApart_randomSteps(t *testing.T) {
	for _, mode := range []string{"plain", "careful"} {
		for seed := range 2 * seeds() {
			r := rand.New(rand.NewPCG(seed, 11))
			setup := func(run *graph.Run) { run.Epochs, run.Careful = true, mode == "careful" }
			factory := warehouse(t, window.Strategy{})
			plain, o, j := open[stepIn, string](testLane(t, setup), factory), open[stepIn, string](testLane(t, setup), factory), newJournal()
			now := int64(0)
			for i := range int64(800) {
				key, do, n := randomStep(r)
				if do == "bad" && mode == "plain" {
					continue
				}
				now += int64(r.IntN(60))
				plain.c.Now, o.c.Now = now, now
				plain.step(i, key, do, n)
				o.step(i, key, do, n)
				ring(plain)
				ring(o)
				require.Equal(t, plain.out, o.out, "seed %d, step %d: %s %s %d", seed, i, key, do, n)
				plain.out, o.out = nil, nil
				switch r.IntN(20) {
				case 0, 1, 2:
					j.delta(t, o.live.(graph.Keeper))
				case 3:
					j.delta(t, o.live.(graph.Keeper))
					o = open[stepIn, string](testLane(t, setup), factory)
					o.c.Now = now
					keys := slices.Sorted(maps.Keys(j.rows))
					r.Shuffle(len(keys), func(a, b int) { keys[a], keys[b] = keys[b], keys[a] })
					for _, k := range keys {
						require.NoError(t, o.live.(graph.Keeper).Load([]byte(k), j.rows[k]))
					}
					if r.IntN(4) == 0 {
						rows := maps.Clone(j.rows)
						o.live.(graph.Rewriter).Rewrite(o.c, graph.All())
						clear(j.rows)
						j.delta(t, o.live.(graph.Keeper))
						require.Equal(t, rows, j.rows)
					}
				}
			}
			for i := range 12 {
				o.step(1000, fmt.Sprint("k", i), "empty", 0)
			}
			j.delta(t, o.live.(graph.Keeper))
			delete(j.rows, string(outputRow))
			require.Empty(t, j.rows)
		}
	}
}

// Goal: as above, of rows that are not all in memory. Method: a budget that keeps none of
// them, or some, and cuts that are committed late.
func TestApart_randomStepsWithPaging(t *testing.T) {
	for name, s := range map[string]window.Strategy{"global": {}, "fixed": window.New(window.Fixed(50 * time.Millisecond))} {
		for _, budget := range []int64{0, 30_000} {
			for seed := range 2 * seeds() {
				r := rand.New(rand.NewPCG(seed, 12))
				factory := warehouse(t, s)
				plain := open[stepIn, string](testLane(t, epochs), factory)
				l := &pagedLane[stepIn, string]{factory: factory, st: newPageStore(budget), wm: window.MinTime}
				l.open(t, testLane(t, epochs))
				cut := false
				settle := func() {
					if l.settled(); !cut {
						return
					}
					cut = false
					rows := map[string][]byte{}
					for g := range l.st.rows {
						if g >= 0 {
							maps.Copy(rows, l.st.rows[g])
						}
					}
					requireWhole(t, l.live, rows)
				}
				for i := range int64(600) {
					key, do, n := randomStep(r)
					if do == "bad" || do == "due" && name == "fixed" {
						continue
					}
					l.now += int64(r.IntN(40))
					plain.c.Now, l.c.Now = l.now, l.now
					plain.step(i, key, do, n)
					l.step(i, key, do, n)
					ring(plain)
					ring(l.opened)
					require.NoError(t, l.c.Err())
					require.Equal(t, plain.out, l.out, "seed %d, step %d: %s %s %d", seed, i, key, do, n)
					plain.out, l.out = nil, nil
					switch r.IntN(16) {
					case 0, 1:
						if !cut {
							l.cut()
							cut = true
						}
					case 2, 3:
						settle()
					case 4:
						l.wm = max(l.wm, i-int64(r.IntN(30)))
						plain.advance(l.wm)
						l.advance(l.wm)
						sameOut(t, plain, l.opened)
					case 5:
						settle()
						l.cut()
						cut = true
						settle()
						l.restart(t)
						plain.advance(l.wm)
					case 6:
						settle()
						if r.IntN(5) == 0 {
							l.live.(graph.Rewriter).Rewrite(l.c, graph.All())
						}
					}
				}
				settle()
				plain.advance(window.MaxTime)
				l.advance(window.MaxTime)
				sameOut(t, plain, l.opened)
				if name == "global" {
					for i := range 12 {
						l.step(1000, fmt.Sprint("k", i), "empty", 0)
					}
				}
				l.epoch()
				l.epoch()
				require.Zero(t, l.st.keyed())
			}
		}
	}
}

// sameOut takes the outputs of two operators, which are the same but for their order.
func sameOut(t *testing.T, a, b *opened[stepIn, string]) {
	require.ElementsMatch(t, a.out, b.out)
	a.out, b.out = nil, nil
}

// Goal: with paging, what lies apart counts towards the budget also while it is not read.
func TestApart_countsTowardsTheBudget(t *testing.T) {
	l := &pagedLane[stepIn, string]{factory: warehouse(t, window.Strategy{}), st: newPageStore(4 << 20), wm: window.MinTime}
	l.open(t, testLane(t, epochs))
	o := l.live.(*stateful[string, step, string])
	for i := range 1000 {
		l.step(1, fmt.Sprint(i), "text", 20_000)
		if i%50 == 49 {
			l.epoch()
		}
	}
	require.Less(t, o.tables.open[0].dir.n, 200, "of twice 20 kB each")
	for range 5 {
		for i := range 1000 {
			l.step(1, fmt.Sprint(i), "n", i)
			if i%50 == 49 {
				l.epoch()
			}
		}
	}
	require.Less(t, o.tables.open[0].dir.n, 200)
	require.Greater(t, o.tables.open[0].dir.n, 50)
	require.InDelta(t, 20_000, o.pages.size/o.pages.sized, 6000, "whether it was read or written, or left as it was")
}

// Goal: an epoch that is to hold all rows does. Method: the store is emptied before.
func TestApart_wholeEpochsHoldWhatIsAway(t *testing.T) {
	l := &pagedLane[stepIn, string]{factory: warehouse(t, window.Strategy{}), st: newPageStore(0), wm: window.MinTime}
	l.open(t, testLane(t, epochs))
	for i := range 40 {
		l.step(1, fmt.Sprint(i), []string{"text", "bag", "names", "n"}[i%4], 1000)
	}
	l.epoch()
	l.epoch()
	require.Zero(t, l.live.(*stateful[string, step, string]).tables.open[0].dir.n)
	was := l.st.rows
	l.live.(graph.Rewriter).Rewrite(l.c, graph.All())
	l.cut()
	l.st.rows = map[int]map[string][]byte{}
	l.settled()
	require.Equal(t, was, l.st.rows)
	require.Equal(t, 40+30, l.st.keyed())
}

func TestApart_allocatesNothingPerElement(t *testing.T) {
	for _, do := range []string{"n", "text"} {
		o := open[stepIn, string](testLane(t), &Stateful[string, step, string]{Key: cod[string](t), Val: cod[step](t), Assign: NewAssign(window.Strategy{}, false),
			Bind: func(l *Lane[string], emit func(string)) func(step) error {
				n, text := NewValueCell(cod[int64](t)), NewValueCell(cod[string](t))
				l.AddCell("value n", n)
				l.AddCell("value text", text)
				return func(x step) error {
					if l.K.Touch(); x.Do == "n" {
						n.Set(l.K.Row, int64(x.N))
					} else {
						text.Set(l.K.Row, x.Do)
					}
					return nil
				}
			}})
		v := stepIn{Key: "a", Value: step{do, 1}}
		require.Zero(t, testing.AllocsPerRun(1000, func() { o.in(o.c, v) }))
	}
}
