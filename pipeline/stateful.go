package pipeline

import (
	"fmt"
	"iter"
	"reflect"
	"time"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/flow"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// Ctx is the context of one element or timer of a key in a [Stateful]. There is
// one for each lane: it is not to be kept.
type Ctx[K comparable] struct {
	k *flow.Keyed[K]
	a *flow.Assign
}

// Key is the key at hand.
func (c *Ctx[K]) Key() K { return c.k.Key() }

// Timestamp is the event time of the element, or of the timer that fired.
func (c *Ctx[K]) Timestamp() time.Time { return time.UnixMilli(c.k.TS) }

// TimestampMs is [Ctx.Timestamp] in Unix milliseconds.
func (c *Ctx[K]) TimestampMs() int64 { return c.k.TS }

// Window is the window of the element or timer; state belongs to key and window.
func (c *Ctx[K]) Window() window.Interval { return c.k.Window() }

// EmitAt emits v with the event time ts, in Unix milliseconds, instead of that of
// the element or timer at hand. An earlier time than that is an error: v could be
// behind the watermark, and late, through no fault of its own.
func EmitAt[K comparable, O any](c *Ctx[K], emit Emit[O], ts int64, v O) error {
	own := c.k.TS
	if ts < own {
		return fmt.Errorf("emit at %v: it is before %v, the time of the element or timer at hand", time.UnixMilli(ts).UTC(), time.UnixMilli(own).UTC())
	}
	c.k.TS = ts
	emit(v)
	c.k.TS = own
	return nil
}

// Process handles one element.
type Process[K comparable, V, O any] = func(c *Ctx[K], v V, emit Emit[O]) error

// Setup declares the state and the timers of a [Stateful] on one lane. The
// function that takes it runs once while the pipeline is built, to declare, and
// once on each lane; side effects belong into OnStart.
type Setup[K comparable, O any] struct {
	hooks
	p    *Pipeline
	lane *flow.Lane[K]
	ctx  *Ctx[K]
	emit Emit[O]
	used map[string]bool
}

// declare reports a second use of a name.
func (s *Setup[K, O]) declare(kind, name string) string {
	if s.used == nil {
		s.used = map[string]bool{}
	}
	if s.p != nil {
		if name == "" {
			s.p.g.Errorf("Stateful: %s state has no name", kind)
		}
		if s.used[name] {
			s.p.g.Errorf("Stateful: two states or timers are named %q", name)
		}
	}
	s.used[name] = true
	return kind + " " + name + " "
}

// stateCoder infers the coder of a state's content.
func stateCoder[T any, K comparable, O any](s *Setup[K, O], name string) coder.Coder[T] {
	cod, err := coder.For[T]()
	if err != nil && s.p != nil {
		s.p.g.Errorf("Stateful: state %q of type %v has no coder: %w", name, reflect.TypeFor[T](), err)
	}
	return cod
}

// Value is one value for each key.
type Value[K comparable, T any] struct{ c *flow.ValueCell[T] }

// ValueState declares a [Value].
func ValueState[T any, K comparable, O any](s *Setup[K, O], name string) Value[K, T] {
	cod := stateCoder[T](s, name)
	c := flow.NewValueCell(cod)
	s.lane.AddCell(s.declare("value", name)+cod.ID, c)
	return Value[K, T]{c}
}

// Get is the value, or the zero value if none is set.
func (v Value[K, T]) Get(c *Ctx[K]) T { return v.c.Get(c.k.Row) }

// Lookup is the value, and whether one is set.
func (v Value[K, T]) Lookup(c *Ctx[K]) (T, bool) { return v.c.Lookup(c.k.Row) }

// Set sets the value.
func (v Value[K, T]) Set(c *Ctx[K], x T) { v.c.Set(c.k.Row, x); c.k.Touch() }

// Clear removes the value.
func (v Value[K, T]) Clear(c *Ctx[K]) { v.c.Clear(c.k.Row); c.k.Touch() }

// Bag is a collection of values for each key, in the order in which they were added.
type Bag[K comparable, T any] struct{ c *flow.BagCell[T] }

// BagState declares a [Bag].
func BagState[T any, K comparable, O any](s *Setup[K, O], name string) Bag[K, T] {
	cod := stateCoder[T](s, name)
	c := flow.NewBagCell(cod)
	s.lane.AddCell(s.declare("bag", name)+cod.ID, c)
	return Bag[K, T]{c}
}

// Add adds a value.
func (b Bag[K, T]) Add(c *Ctx[K], x T) { b.c.Add(c.k.Row, x); c.k.Touch() }

// Get is the values; the slice is valid until the bag changes and not to be changed.
func (b Bag[K, T]) Get(c *Ctx[K]) []T { return *b.c.At(c.k.Row) }

// Len is the number of values.
func (b Bag[K, T]) Len(c *Ctx[K]) int { return len(*b.c.At(c.k.Row)) }

// Clear removes all values.
func (b Bag[K, T]) Clear(c *Ctx[K]) { b.c.Clear(c.k.Row); c.k.Touch() }

// MapOf is a map for each key.
type MapOf[K, MK comparable, MV any] struct{ c *flow.MapCell[MK, MV] }

// MapState declares a [MapOf].
func MapState[MK comparable, MV any, K comparable, O any](s *Setup[K, O], name string) MapOf[K, MK, MV] {
	key, val := stateCoder[MK](s, name), stateCoder[MV](s, name)
	c := flow.NewMapCell(key, val)
	s.lane.AddCell(s.declare("map", name)+key.ID+" "+val.ID, c)
	return MapOf[K, MK, MV]{c}
}

// Get is the value of k, and whether there is one.
func (m MapOf[K, MK, MV]) Get(c *Ctx[K], k MK) (MV, bool) {
	v, ok := m.c.Map(c.k.Row)[k]
	return v, ok
}

// Put sets the value of k.
func (m MapOf[K, MK, MV]) Put(c *Ctx[K], k MK, v MV) { m.c.Put(c.k.Row, k, v); c.k.Touch() }

// Remove removes k.
func (m MapOf[K, MK, MV]) Remove(c *Ctx[K], k MK) { delete(m.c.Map(c.k.Row), k); c.k.Touch() }

// Len is the number of entries.
func (m MapOf[K, MK, MV]) Len(c *Ctx[K]) int { return len(m.c.Map(c.k.Row)) }

// All ranges over the entries, in no order.
func (m MapOf[K, MK, MV]) All(c *Ctx[K]) iter.Seq2[MK, MV] {
	return func(yield func(MK, MV) bool) {
		for k, v := range m.c.Map(c.k.Row) {
			if !yield(k, v) {
				return
			}
		}
	}
}

// Clear removes all entries.
func (m MapOf[K, MK, MV]) Clear(c *Ctx[K]) { m.c.Clear(c.k.Row); c.k.Touch() }

// SetOf is a set for each key.
type SetOf[K, T comparable] struct{ m MapOf[K, T, bool] }

// SetState declares a [SetOf].
func SetState[T comparable, K comparable, O any](s *Setup[K, O], name string) SetOf[K, T] {
	key, val := stateCoder[T](s, name), stateCoder[bool](s, name)
	c := flow.NewMapCell(key, val)
	s.lane.AddCell(s.declare("set", name)+key.ID, c)
	return SetOf[K, T]{MapOf[K, T, bool]{c}}
}

// Add adds x and reports whether it was new.
func (s SetOf[K, T]) Add(c *Ctx[K], x T) bool {
	if _, ok := s.m.Get(c, x); ok {
		return false
	}
	s.m.Put(c, x, true)
	return true
}

// Has reports whether x is in the set.
func (s SetOf[K, T]) Has(c *Ctx[K], x T) bool { _, ok := s.m.Get(c, x); return ok }

// Remove removes x.
func (s SetOf[K, T]) Remove(c *Ctx[K], x T) { s.m.Remove(c, x) }

// Len is the number of elements.
func (s SetOf[K, T]) Len(c *Ctx[K]) int { return s.m.Len(c) }

// All ranges over the elements, in no order.
func (s SetOf[K, T]) All(c *Ctx[K]) iter.Seq[T] {
	return func(yield func(T) bool) {
		for k := range s.m.All(c) {
			if !yield(k) {
				return
			}
		}
	}
}

// Clear empties the set.
func (s SetOf[K, T]) Clear(c *Ctx[K]) { s.m.Clear(c) }

// Combining is an accumulator for each key.
type Combining[K comparable, V, A, R any] struct {
	c  *flow.FoldCell[A]
	cb Combiner[V, A, R]
}

// CombiningState declares a [Combining].
func CombiningState[V, A, R any, K comparable, O any](s *Setup[K, O], name string, cb Combiner[V, A, R]) Combining[K, V, A, R] {
	p := s.p
	if p == nil {
		p = New() // checked while the pipeline was built
	}
	f, _ := cb.check(p, "CombiningState")
	c := flow.NewFoldCell(f.Acc, cb.Init)
	s.lane.AddCell(s.declare("combining", name)+f.Acc.ID, c)
	return Combining[K, V, A, R]{c, cb}
}

// Add adds a value.
func (x Combining[K, V, A, R]) Add(c *Ctx[K], v V) { x.cb.Add(x.c.Acc(c.k.Row), v); c.k.Touch() }

// Get is the result so far; that of the empty accumulator if nothing was added.
func (x Combining[K, V, A, R]) Get(c *Ctx[K]) R { return x.cb.Extract(*x.c.Acc(c.k.Row)) }

// Clear empties the accumulator.
func (x Combining[K, V, A, R]) Clear(c *Ctx[K]) { x.c.Clear(c.k.Row); c.k.Touch() }

// OrderedList is a list of values by event time for each key; values of equal
// time are in the order of adding.
type OrderedList[K comparable, T any] struct{ c *flow.ListCell[T] }

// OrderedListState declares an [OrderedList].
func OrderedListState[T any, K comparable, O any](s *Setup[K, O], name string) OrderedList[K, T] {
	cod := stateCoder[T](s, name)
	c := flow.NewListCell(cod)
	s.lane.AddCell(s.declare("ordered-list", name)+cod.ID, c)
	return OrderedList[K, T]{c}
}

// Add puts v at time at. In time order it costs an append, else a move of all later values.
func (l OrderedList[K, T]) Add(c *Ctx[K], at time.Time, v T) {
	l.c.Add(c.k.Row, at.UnixMilli(), v)
	c.k.Touch()
}

// Range ranges over the values in [from, to), by time.
func (l OrderedList[K, T]) Range(c *Ctx[K], from, to time.Time) iter.Seq2[time.Time, T] {
	return func(yield func(time.Time, T) bool) {
		for ts, v := range l.c.Range(c.k.Row, from.UnixMilli(), to.UnixMilli()) {
			if !yield(time.UnixMilli(ts), v) {
				return
			}
		}
	}
}

// All ranges over all values, by time.
func (l OrderedList[K, T]) All(c *Ctx[K]) iter.Seq2[time.Time, T] {
	return func(yield func(time.Time, T) bool) {
		for _, e := range *l.c.At(c.k.Row) {
			if !yield(time.UnixMilli(e.TS), e.Value) {
				return
			}
		}
	}
}

// Len is the number of values.
func (l OrderedList[K, T]) Len(c *Ctx[K]) int { return len(*l.c.At(c.k.Row)) }

// ClearRange removes the values in [from, to).
func (l OrderedList[K, T]) ClearRange(c *Ctx[K], from, to time.Time) {
	l.c.ClearRange(c.k.Row, from.UnixMilli(), to.UnixMilli())
	c.k.Touch()
}

// Clear removes all values.
func (l OrderedList[K, T]) Clear(c *Ctx[K]) { l.c.Clear(c.k.Row); c.k.Touch() }

// Timer is one event-time timer for each key.
type Timer[K comparable] struct{ t *flow.Timer }

// EventTimer declares a [Timer] and what it does when the watermark passes the
// time it was set to. What fire emits has that time.
func EventTimer[K comparable, O any](s *Setup[K, O], name string, fire func(c *Ctx[K], emit Emit[O]) error) Timer[K] {
	if fire == nil && s.p != nil {
		s.p.g.Errorf("Stateful: the function of timer %q is nil", name)
	}
	ctx, emit := s.ctx, s.emit
	return Timer[K]{s.lane.AddTimer(s.declare("event-timer", name), func() error { return fire(ctx, emit) })}
}

// ProcessingTimer declares a [Timer] on the clock of the machine: it fires once the
// clock has passed the time it was set to. The local runner does not run pipelines
// with one yet, and says so.
func ProcessingTimer[K comparable, O any](s *Setup[K, O], name string, fire func(c *Ctx[K], emit Emit[O]) error) Timer[K] {
	if fire == nil && s.p != nil {
		s.p.g.Errorf("Stateful: the function of timer %q is nil", name)
	}
	ctx, emit := s.ctx, s.emit
	return Timer[K]{s.lane.AddTimer(s.declare(graph.ProcessingTimerKind, name), func() error { return fire(ctx, emit) })}
}

// Set sets the timer, replacing an earlier time. A time that the watermark has
// passed fires as soon as the element at hand is done with its batch.
func (t Timer[K]) Set(c *Ctx[K], at time.Time) { t.SetMs(c, at.UnixMilli()) }

// SetMs is [Timer.Set] in Unix milliseconds.
func (t Timer[K]) SetMs(c *Ctx[K], at int64) { t.t.Set(c.k.Row, at); c.k.Touch() }

// Clear unsets the timer.
func (t Timer[K]) Clear(c *Ctx[K]) { t.t.Clear(c.k.Row); c.k.Touch() }

// Stateful calls, for each element, the function that setup makes for a lane;
// it may keep state and set timers for the element's key (and window). Elements
// of one key are processed one after the other, in the order in which each
// source lane sent them. name ties the state to the code across versions.
func Stateful[K comparable, V, O any](c Keyed[K, V], name string, setup func(*Setup[K, O]) Process[K, V, O]) PCollection[O] {
	if !c.ok("Stateful") {
		return PCollection[O]{poison}
	}
	if name == "" {
		c.p.g.Errorf("Stateful: it needs a name, which ties its state to the code across versions")
	}
	if c.windowing.Fn.Merging() {
		c.p.g.Errorf("Stateful %q: its windows (%s) merge, and state of merging windows is undefined: use a timer, or other windows", name, c.windowing.Fn)
	}
	if setup == nil {
		c.p.g.Errorf("Stateful %q: the setup function is nil", name)
		return PCollection[O]{poison}
	}
	key, val := flow.KeyedCoders[K, V](c.typ())
	assign := c.assign()
	out := flow.Type(coderFor[O](c.p, "Stateful"))
	decl, ok := declareState(c.p, name, key, setup)
	if !ok {
		return PCollection[O]{poison}
	}
	op := &flow.Stateful[K, V, O]{Key: key, Val: val, Assign: assign, Bind: func(l *flow.Lane[K], emit func(O)) func(V) error {
		ctx := &Ctx[K]{l.K, &assign}
		s := &Setup[K, O]{hooks: hooks{c: l.K.Ctx}, lane: l, ctx: ctx, emit: emit}
		proc := setup(s)
		l.Start, l.Stop = s.start, s.stop
		return func(v V) error { return proc(ctx, v, emit) }
	}}
	n := c.add(&graph.Node{Kind: "Stateful", Stateful: true, State: decl, Op: op, Out: []graph.Type{out}}, c.keyedEdge(), name)
	return PCollection[O]{c.to(n, 0)}
}

// declareState runs setup once without a lane: names and types of state become
// part of the graph.
func declareState[K comparable, V, O any](p *Pipeline, name string, key coder.Coder[K], setup func(*Setup[K, O]) Process[K, V, O]) (decl []string, ok bool) {
	l := flow.NewLane(nil, key)
	s := &Setup[K, O]{p: p, lane: l, ctx: &Ctx[K]{k: l.K}, emit: func(O) {}}
	defer func() {
		if r := recover(); r != nil {
			p.g.Errorf("Stateful %q: its setup function may only declare state and timers, not use them; what touches the world belongs into OnStart: %v", name, r)
			ok = false
		}
	}()
	if setup(s) == nil {
		p.g.Errorf("Stateful %q: setup returned no function", name)
		return nil, false
	}
	return l.Decl, true
}
