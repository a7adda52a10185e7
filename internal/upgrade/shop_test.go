package upgrade_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/window"
)

// numbers is a source of the elements [0, n), one to each read. At the element fail, if
// it has one, it fails, which is the end of a version; or it waits for that.
type numbers[E any] struct {
	n, fail int
	waits   bool
	make    func(i int) E
}

var errNewVersion = errors.New("time for a new version")

func (s numbers[E]) Bounded() bool { return true }
func (s numbers[E]) Splits(context.Context, int) ([]pipeline.Split[E], error) {
	return []pipeline.Split[E]{s}, nil
}
func (s numbers[E]) ID() string  { return "numbers" }
func (s numbers[E]) Size() int64 { return 0 }
func (s numbers[E]) Open(_ context.Context, pos []byte) (pipeline.Reader[E], error) {
	r := &numbersReader[E]{numbers: s}
	if pos != nil {
		r.i = int(binary.BigEndian.Uint64(pos))
	}
	return r, nil
}

type numbersReader[E any] struct {
	numbers[E]
	i int
}

func (r *numbersReader[E]) Read(_ int, out *pipeline.Output[E]) (pipeline.ReadState, error) {
	if r.i == r.n {
		return pipeline.Done, nil
	}
	if r.i == r.fail && r.waits {
		return pipeline.Idle, nil
	}
	if r.i == r.fail {
		return pipeline.Idle, errNewVersion
	}
	r.i++
	out.Emit(r.make(r.i - 1))
	return pipeline.More, nil
}
func (r *numbersReader[E]) Position(b []byte) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(r.i))
}
func (r *numbersReader[E]) Where() string   { return fmt.Sprint("number ", r.i) }
func (r *numbersReader[E]) Progress() int64 { return int64(r.i) }
func (r *numbersReader[E]) Close() error    { return nil }

// The element, in two versions of the program.
type (
	sale1 struct {
		Note  string // dropped later
		ID    int32
		Items []item1
		Pair  [2]int8
	}
	item1 struct {
		Price int16
		Old   *string
	}
	sale2 struct {
		ID    int64 // wider, and another place
		Added *time.Time
		Items []item2
		Pair  [2]int16
		Rate  float64
	}
	item2 struct {
		New   map[string]int
		Price *int32
	}
)

func makeSale1(i int) sale1 {
	return sale1{Note: fmt.Sprint("note ", i), ID: int32(i), Items: []item1{{Price: int16(-i)}}, Pair: [2]int8{1, int8(i)}}
}

func makeSale2(i int) sale2 {
	price := int32(-i)
	return sale2{ID: int64(i), Items: []item2{{Price: &price}}, Pair: [2]int16{1, int16(i)}}
}

// What both versions know of an element.
func (s sale1) text() string {
	return fmt.Sprintf("%d:%v%v", s.ID, s.Items[0].Price, s.Pair)
}

func (s sale2) text() string {
	return fmt.Sprintf("%d:%v%v", s.ID, *s.Items[0].Price, s.Pair)
}

func (s sale1) id() int64 { return int64(s.ID) }
func (s sale2) id() int64 { return s.ID }

type sale interface {
	text() string
	id() int64
}

// totals is an accumulator that grew with the element that it holds.
type totals[E any] struct {
	Sum  int64
	Last []E // the one of the largest number
}

func (t *totals[E]) text(s func(E) string) string {
	if len(t.Last) == 0 {
		return fmt.Sprint(t.Sum)
	}
	return fmt.Sprint(t.Sum, " ", s(t.Last[0]))
}

// totalling is a combiner; with Merge, it may be lifted and sliced.
func totalling[E sale](merge bool) pipeline.Combiner[E, totals[E], string] {
	cb := pipeline.Combiner[E, totals[E], string]{
		Add: func(t *totals[E], e E) {
			t.Sum += e.id()
			t.Last = []E{e}
		},
		Extract: func(t totals[E]) string { return t.text(E.text) },
	}
	if merge {
		cb.Merge = func(t *totals[E], o totals[E]) {
			t.Sum += o.Sum
			if len(t.Last) == 0 || len(o.Last) > 0 && o.Last[0].id() > t.Last[0].id() {
				t.Last = o.Last
			}
		}
	}
	return cb
}

// shop is a pipeline with every kind of state, of elements of one version. All elements
// are a second apart.
func shop[E sale](p *pipeline.Pipeline, src, rules numbers[E]) (out []*pipeline.Collected[string]) {
	clock := func(e E) int64 { return e.id() * 1000 }
	in := pipeline.EventTimeMs(pipeline.Read[E](p, "numbers.Read", src, pipeline.Named("in")), clock)
	side := pipeline.EventTimeMs(pipeline.Read[E](p, "numbers.Read", rules, pipeline.Named("rules")), clock)
	perKey := pipeline.KeyBy(in, func(e E) string { return fmt.Sprint("k", e.id()%3) })
	add := func(name string, c pipeline.PCollection[string]) {
		named := pipeline.Map(c, func(s string) string { return name + " " + s })
		out = append(out, pipeline.Collect(named, pipeline.Named(fmt.Sprint("out ", len(out)))))
	}
	values := func(name string, c pipeline.Keyed[string, string]) {
		add(name, pipeline.MapKV(c, func(k, s string) string { return k + " " + s }))
	}
	list := func(vs iter.Seq[E]) string {
		var texts []string
		for v := range vs {
			texts = append(texts, v.text())
		}
		slices.Sort(texts)
		return strings.Join(texts, ",")
	}
	lists := func(name string, c pipeline.Keyed[string, iter.Seq[E]]) { values(name, pipeline.MapValues(c, list)) }

	add("cells", pipeline.Stateful(perKey, "cells", cells[E]))
	add("rules", pipeline.Stateful(perKey, "by rule", func(s *pipeline.Setup[string, string]) pipeline.Process[string, E, string] {
		pipeline.BroadcastState(s, "rule", side, func(r *E, e E) { *r = e })
		count := pipeline.ValueState[int](s, "count")
		return func(c *pipeline.Ctx[string], e E, emit pipeline.Emit[string]) error {
			count.Set(c, count.Get(c)+1)
			emit(fmt.Sprint(c.Key(), count.Get(c)))
			return nil
		}
	}))
	fixed := perKey.Windowed(window.Fixed(20 * time.Second))
	sliding := perKey.Windowed(window.Sliding(30*time.Second, 10*time.Second))
	lists("group", pipeline.GroupByKey(fixed, pipeline.Named("group")))
	values("combine", pipeline.CombinePerKey(fixed, totalling[E](false), pipeline.Named("combine")))
	values("lifted", pipeline.CombinePerKey(fixed, totalling[E](true), pipeline.Named("lifted")))
	values("sliced", pipeline.CombinePerKey(sliding, totalling[E](true), pipeline.Named("sliced")))
	values("sliding", pipeline.CombinePerKey(sliding, totalling[E](false), pipeline.Named("sliding")))
	often := perKey.Windowed(window.Fixed(20*time.Second), window.Triggering(window.Repeat(window.AfterCount(3))), window.AllowedLateness(time.Minute))
	lists("often", pipeline.GroupByKey(often, pipeline.Named("often")))
	values("often", pipeline.CombinePerKey(often, totalling[E](true), pipeline.Named("often combined")))
	grow := perKey.Windowed(window.Fixed(20*time.Second), window.Triggering(window.Repeat(window.AfterCount(2))), window.Accumulating(), window.AllowedLateness(time.Minute))
	values("growing", pipeline.CombinePerKey(grow, totalling[E](false), pipeline.Named("growing")))
	sessions := perKey.Windowed(window.Sessions(4 * time.Second))
	lists("sessions", pipeline.GroupByKey(sessions, pipeline.Named("sessions")))
	values("sessions", pipeline.CombinePerKey(sessions, totalling[E](true), pipeline.Named("sessions combined")))
	both := pipeline.CoGroup(fixed, pipeline.KeyBy(side, func(e E) string { return fmt.Sprint("k", e.id()%3) }).Windowed(window.Fixed(20*time.Second)), pipeline.Named("both"))
	add("both", pipeline.MapKV(both, func(k string, g pipeline.Grouped2[E, E]) string { return k + " " + list(g.A) + " / " + list(g.B) }))

	whole := pipeline.AsIterable(side, pipeline.Named("whole"))
	add("whole", pipeline.ParDo(in, func(d *pipeline.DoFn, emit pipeline.Emit[string]) func(pipeline.Elem, E) error {
		view := pipeline.UseView(d, whole)
		return func(_ pipeline.Elem, e E) error {
			emit(e.text() + " of " + list(slices.Values(view.Get())))
			return nil
		}
	}, pipeline.Named("with whole")))
	byWindow := pipeline.AsIterable(side.Windowed(window.Fixed(5*time.Second)), pipeline.Named("by window"))
	add("windows", pipeline.ParDo(in.Windowed(window.Fixed(20*time.Second)), func(d *pipeline.DoFn, emit pipeline.Emit[string]) func(pipeline.Elem, E) error {
		view := pipeline.UseView(d, byWindow)
		return func(_ pipeline.Elem, e E) error {
			emit(e.text() + " of " + list(slices.Values(view.Get())))
			return nil
		}
	}, pipeline.Named("with windows")))
	add("waited", pipeline.Map(pipeline.WaitOn(in, side), E.text))
	return out
}

// cells has a cell of each kind, and timers. What it emits does not depend on how far
// the watermark is behind the elements.
func cells[E sale](s *pipeline.Setup[string, string]) pipeline.Process[string, E, string] {
	last := pipeline.ValueState[E](s, "last", pipeline.TTL(time.Hour))
	bag := pipeline.BagState[E](s, "bag")
	set := pipeline.SetState[int16](s, "set")
	byName := pipeline.MapState[string, E](s, "by name", pipeline.EventTimeTTL(time.Hour))
	sum := pipeline.CombiningState(s, "sum", totalling[E](false))
	ordered := pipeline.OrderedListState[E](s, "list")
	shelf := pipeline.BagState[E](s, "shelf", pipeline.TTL(time.Hour)) // so large now and then that it lies apart
	show := func(c *pipeline.Ctx[string]) string {
		var parts []string
		for _, e := range bag.Get(c) {
			parts = append(parts, e.text())
		}
		for _, k := range slices.Sorted(func(yield func(string) bool) {
			for k := range byName.All(c) {
				if !yield(k) {
					return
				}
			}
		}) {
			e, _ := byName.Get(c, k)
			parts = append(parts, k+"="+e.text())
		}
		for at, e := range ordered.All(c) {
			parts = append(parts, fmt.Sprint(at.Unix(), "@", e.text()))
		}
		for i, e := range shelf.Get(c) {
			if i%20 == 0 {
				parts = append(parts, fmt.Sprint(i, "#", e.text()))
			}
		}
		return fmt.Sprint(c.Key(), " ", last.Get(c).text(), " ", set.Len(c), " ", sum.Get(c), " ", parts)
	}
	timer := pipeline.EventTimer(s, "due", func(c *pipeline.Ctx[string], emit pipeline.Emit[string]) error {
		n, sum := 0, int64(0)
		for _, e := range ordered.Range(c, time.UnixMilli(0), c.FireTime()) {
			n, sum = n+1, sum+e.id()
		}
		emit(fmt.Sprint("due ", c.Key(), " ", n, " ", sum))
		return nil
	})
	pipeline.OnWindowExpiry(s, func(c *pipeline.Ctx[string], emit pipeline.Emit[string]) error {
		emit("over " + show(c))
		return nil
	})
	tagged := pipeline.EventTimerFamily(s, "tagged", func(c *pipeline.Ctx[string], tag string, emit pipeline.Emit[string]) error {
		emit(c.Key() + " " + tag)
		return nil
	})
	clock := pipeline.ProcessingTimer(s, "clock", func(c *pipeline.Ctx[string], emit pipeline.Emit[string]) error {
		emit(c.Key() + " clock")
		return nil
	})
	return func(c *pipeline.Ctx[string], e E, emit pipeline.Emit[string]) error {
		last.Set(c, e)
		if bag.Add(c, e); bag.Len(c) > 5 {
			bag.Clear(c)
		}
		set.Add(c, int16(e.id()%7))
		byName.Put(c, fmt.Sprint("n", e.id()%2), e)
		sum.Add(c, e)
		ordered.Add(c, time.UnixMilli(c.TimestampMs()), e)
		switch e.id() % 12 {
		case 0, 1, 2:
			for range 40 {
				shelf.Add(c, e)
			}
		case 6:
			shelf.Clear(c)
			shelf.Add(c, e)
		}
		if e.id()%60 < 3 {
			timer.SetAfter(c, 45*time.Second)
			clock.SetAfter(c, 100*time.Hour)
		}
		tagged.SetMs(c, fmt.Sprint("t", e.id()), c.TimestampMs()+5500)
		return nil
	}
}
