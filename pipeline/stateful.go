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

// Watermark is the watermark of the transform's input: elements before it are behind
// it, and timers before it have fired.
func (c *Ctx[K]) Watermark() time.Time { return time.UnixMilli(c.k.Watermark()) }

// ProcessingTime is the run's clock, which tests may set.
func (c *Ctx[K]) ProcessingTime() time.Time { return time.UnixMilli(c.k.Now) }

// FireTime is, in a timer's function, the time that the timer was set to;
// [Ctx.Timestamp] is its output time, which what it emits has.
func (c *Ctx[K]) FireTime() time.Time { return time.UnixMilli(c.k.Fired()) }

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

	expire     func() error
	broadcasts []func() coll // the inputs of broadcast state, in the order of declaration
	broken     bool          // one of them is not to be had
}

// declare reports a second use of a name.
func (s *Setup[K, O]) declare(kind, name string) graph.Part {
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
	return graph.Part{Kind: kind, Name: name}
}

// stateCoder infers the coder of a state's content.
func stateCoder[T any, K comparable, O any](s *Setup[K, O], name string) coder.Coder[T] {
	cod, err := coder.For[T]()
	if err != nil && s.p != nil {
		s.p.g.Errorf("Stateful: state %q of type %v has no coder: %w", name, reflect.TypeFor[T](), err)
	}
	return cod
}

// StateOption configures a state.
type StateOption func(*stateOptions)

type stateOptions struct {
	ttl   time.Duration
	event bool
	used  bool
}

// TTL lets a state live for d of processing time after it was last written; from
// then on it is absent, and its memory goes soon after (M82).
func TTL(d time.Duration) StateOption {
	return func(o *stateOptions) { *o = stateOptions{ttl: d, used: true} }
}

// EventTimeTTL is [TTL] in event time: a state lives until the watermark is d past
// the time of the element or timer that wrote it last.
func EventTimeTTL(d time.Duration) StateOption {
	return func(o *stateOptions) { *o = stateOptions{ttl: d, event: true, used: true} }
}

// addCell declares a state.
func addCell[K comparable, O any](s *Setup[K, O], kind, name, cod string, c interface {
	flow.Cell
	SetLife(afterMs int64, event bool)
}, opts []StateOption) {
	var o stateOptions
	for _, f := range opts {
		f(&o)
	}
	decl := s.declare(kind, name)
	decl.Coder = cod
	if o.used {
		if o.ttl < time.Millisecond && s.p != nil {
			s.p.g.Errorf("Stateful: state %q lives for %v: want at least 1ms", name, o.ttl)
		}
		c.SetLife(o.ttl.Milliseconds(), o.event)
		decl.Options = []string{graph.OptionTTL} // how long may change without the state being another one
		if o.event {
			decl.Options[0] = graph.OptionEventTTL
		}
	}
	s.lane.AddCell(decl.String(), c)
}

// Value is one value for each key.
type Value[K comparable, T any] struct{ c *flow.ValueCell[T] }

// ValueState declares a [Value].
func ValueState[T any, K comparable, O any](s *Setup[K, O], name string, opts ...StateOption) Value[K, T] {
	cod := stateCoder[T](s, name)
	c := flow.NewValueCell(cod)
	addCell(s, graph.PartValue, name, cod.ID, c, opts)
	return Value[K, T]{c}
}

// Get is the value, or the zero value if none is set. Who changes what it leads to has
// to Set it again: a store may not hear of it otherwise.
func (v Value[K, T]) Get(c *Ctx[K]) T { return v.c.Get(c.k.Row) }

// Lookup is the value, and whether one is set.
func (v Value[K, T]) Lookup(c *Ctx[K]) (T, bool) { return v.c.Lookup(c.k.Row) }

// Set sets the value.
func (v Value[K, T]) Set(c *Ctx[K], x T) { v.c.Set(c.k.Row, x); c.k.Touch() }

// Clear removes the value.
func (v Value[K, T]) Clear(c *Ctx[K]) { v.c.Clear(c.k.Row); c.k.Cleared() }

// Bag is a collection of values for each key, in the order in which they were added.
type Bag[K comparable, T any] struct{ c *flow.BagCell[T] }

// BagState declares a [Bag].
func BagState[T any, K comparable, O any](s *Setup[K, O], name string, opts ...StateOption) Bag[K, T] {
	cod := stateCoder[T](s, name)
	c := flow.NewBagCell(cod)
	addCell(s, graph.PartBag, name, cod.ID, c, opts)
	return Bag[K, T]{c}
}

// Add adds a value.
func (b Bag[K, T]) Add(c *Ctx[K], x T) { b.c.Add(c.k.Row, x); c.k.Touch() }

// Get is the values; the slice is valid until the bag changes and not to be changed.
func (b Bag[K, T]) Get(c *Ctx[K]) []T { return *b.c.At(c.k.Row) }

// Len is the number of values.
func (b Bag[K, T]) Len(c *Ctx[K]) int { return len(*b.c.At(c.k.Row)) }

// Clear removes all values.
func (b Bag[K, T]) Clear(c *Ctx[K]) { b.c.Clear(c.k.Row); c.k.Cleared() }

// MapOf is a map for each key.
type MapOf[K, MK comparable, MV any] struct{ c *flow.MapCell[MK, MV] }

// MapState declares a [MapOf].
func MapState[MK comparable, MV any, K comparable, O any](s *Setup[K, O], name string, opts ...StateOption) MapOf[K, MK, MV] {
	key, val := stateCoder[MK](s, name), stateCoder[MV](s, name)
	c := flow.NewMapCell(key, val)
	addCell(s, graph.PartMap, name, "millrace:coder:map:v1<"+key.ID+","+val.ID+">", c, opts)
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
func (m MapOf[K, MK, MV]) Remove(c *Ctx[K], k MK) { m.c.Remove(c.k.Row, k); c.k.Cleared() }

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
func (m MapOf[K, MK, MV]) Clear(c *Ctx[K]) { m.c.Clear(c.k.Row); c.k.Cleared() }

// SetOf is a set for each key.
type SetOf[K, T comparable] struct{ m MapOf[K, T, bool] }

// SetState declares a [SetOf].
func SetState[T comparable, K comparable, O any](s *Setup[K, O], name string, opts ...StateOption) SetOf[K, T] {
	key, val := stateCoder[T](s, name), stateCoder[bool](s, name)
	c := flow.NewMapCell(key, val)
	addCell(s, graph.PartSet, name, key.ID, c, opts)
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
func CombiningState[V, A, R any, K comparable, O any](s *Setup[K, O], name string, cb Combiner[V, A, R], opts ...StateOption) Combining[K, V, A, R] {
	p := s.p
	if p == nil {
		p = New() // checked while the pipeline was built
	}
	f, _ := cb.check(p, "CombiningState")
	c := flow.NewFoldCell(f.Acc, cb.Init)
	addCell(s, graph.PartCombining, name, f.Acc.ID, c, opts)
	return Combining[K, V, A, R]{c, cb}
}

// Add adds a value.
func (x Combining[K, V, A, R]) Add(c *Ctx[K], v V) { x.cb.Add(x.c.Acc(c.k.Row), v); c.k.Touch() }

// Get is the result so far; that of the empty accumulator if nothing was added.
func (x Combining[K, V, A, R]) Get(c *Ctx[K]) R { return x.cb.Extract(x.c.Peek(c.k.Row)) }

// Clear empties the accumulator.
func (x Combining[K, V, A, R]) Clear(c *Ctx[K]) { x.c.Clear(c.k.Row); c.k.Cleared() }

// OrderedList is a list of values by event time for each key; values of equal
// time are in the order of adding.
type OrderedList[K comparable, T any] struct{ c *flow.ListCell[T] }

// OrderedListState declares an [OrderedList].
func OrderedListState[T any, K comparable, O any](s *Setup[K, O], name string, opts ...StateOption) OrderedList[K, T] {
	cod := stateCoder[T](s, name)
	c := flow.NewListCell(cod)
	addCell(s, graph.PartOrderedList, name, cod.ID, c, opts)
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
	c.k.Cleared()
}

// Clear removes all values.
func (l OrderedList[K, T]) Clear(c *Ctx[K]) { l.c.Clear(c.k.Row); c.k.Cleared() }

// Stateful calls, for each element, the function that setup makes for a lane;
// it may keep state and set timers for the element's key (and window). Elements
// of one key are processed one after the other, in the order in which each
// source lane sent them. name ties the state to the code across versions. Of the
// options, [LateTo] is of use: elements whose window is over are dropped (M72).
func Stateful[K comparable, V, O any](c Keyed[K, V], name string, setup func(*Setup[K, O]) Process[K, V, O], opts ...Option) PCollection[O] {
	if !c.coll.ok("Stateful") {
		return PCollection[O]{poison}
	}
	if name == "" {
		c.coll.p.g.Errorf("Stateful: it needs a name, which ties its state to the code across versions")
	}
	if c.coll.windowing.Fn.Merging() {
		c.coll.p.g.Errorf("Stateful %q: its windows (%s) merge, and state of merging windows is undefined: use a timer, or other windows", name, c.coll.windowing.Fn)
	}
	if setup == nil {
		c.coll.p.g.Errorf("Stateful %q: the setup function is nil", name)
		return PCollection[O]{poison}
	}
	key, val := flow.KeyedCoders[K, V](c.coll.typ())
	assign := c.coll.assign()
	out := flow.Type(coderFor[O](c.coll.p, "Stateful"))
	decl, broadcasts, ok := declareState(c.coll.p, name, key, setup)
	if !ok {
		return PCollection[O]{poison}
	}
	windowed := c.coll.windowing.Fn.Kind() != window.KindGlobal
	decl = append(decl, graph.Part{Kind: graph.PartParked, Name: "elements", Coder: val.ID}.String())
	node := &graph.Node{Kind: "Stateful", Stateful: true, WinColumns: windowed, Key: key.ID, State: decl, Out: []graph.Type{out}}
	for _, from := range broadcasts {
		node.In = append(node.In, graph.In{Ref: from().ref, Kind: graph.Broadcast})
	}
	late := addLate(c, node, opts)
	node.Op = &flow.Stateful[K, V, O]{Key: key, Val: val, Assign: assign, Late: late, Bind: func(l *flow.Lane[K], emit func(O)) func(V) error {
		ctx := &Ctx[K]{l.K, &assign}
		s := &Setup[K, O]{hooks: hooks{c: l.K.Ctx}, lane: l, ctx: ctx, emit: emit}
		proc := setup(s)
		l.Start, l.Stop, l.Expire = s.start, s.stop, s.expire
		return func(v V) error { return proc(ctx, v, emit) }
	}}
	n := c.coll.add(node, c.keyedEdge(), name)
	setLate(c.coll, n, late != nil, opts)
	res := c.coll.to(n, 0)
	if windowed {
		res.behind, res.strayed = true, true // each output is in the window of its state, whatever its timestamp
	}
	return PCollection[O]{res}
}

// declareState runs setup once without a lane: names and types of state become
// part of the graph.
func declareState[K comparable, V, O any](p *Pipeline, name string, key coder.Coder[K], setup func(*Setup[K, O]) Process[K, V, O]) (decl []string, broadcasts []func() coll, ok bool) {
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
		return nil, nil, false
	}
	return l.Decl, s.broadcasts, !s.broken
}
