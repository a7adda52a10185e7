package flow

import (
	"bytes"
	"encoding/binary"
	"iter"
	"slices"
	"sort"

	"github.com/millrace/millrace/coder"
)

// Cell is the state of one declared name on one lane. Its column belongs to the
// table (the window) at hand and is changed with it, so that an access is
// col[row] and nothing else.
type Cell interface {
	newColumn(d any) column
	bind(c column)                           // the columns of the table at hand
	append(b []byte, r uint32) []byte        // r's value, self-delimiting
	load(b []byte, r uint32) ([]byte, error) // the inverse
	isZero(r uint32) bool
	Clear(r uint32)
	lifeOf() *life
	apartOf() *apart
}

// adder is how a cell adds a column to a directory without knowing its key type.
type adder interface{ add(column) }

func (d *Dir[K]) add(c column) { d.cols = append(d.cols, c) }
func (d *Dir[K]) slots() int   { return len(d.ctrl) }

type sized interface {
	adder
	slots() int
}

// cellOf is what all kinds of cells share: T is what a row holds.
type cellOf[T any] struct {
	life
	apart
	col *Column[T]
}

func (c *cellOf[T]) newColumn(d any) column {
	s := d.(sized)
	col := &Column[T]{make([]T, s.slots())}
	s.add(col)
	return col
}
func (c *cellOf[T]) bind(col column) { c.col = col.(*Column[T]) }
func (c *cellOf[T]) zero(r uint32)   { var z T; c.col.Vals[r] = z }

// Clear removes the row's value.
func (c *cellOf[T]) Clear(r uint32) {
	if c.zero(r); c.marks != nil {
		c.marks.Vals[r] |= partChanged
	}
}

// At is the row's value, to read.
func (c *cellOf[T]) At(r uint32) *T {
	if c.after != 0 {
		c.expire(r)
	}
	return &c.col.Vals[r]
}

// expire removes the row's value if it is over.
func (c *cellOf[T]) expire(r uint32) {
	if c.over(r) {
		c.Clear(r)
	}
}

// change is the row's value, to write.
func (c *cellOf[T]) change(r uint32) *T {
	v := c.At(r)
	if c.noted {
		c.note(r)
	}
	return v
}

// note notes a write.
func (c *cellOf[T]) note(r uint32) {
	if c.after != 0 {
		c.wrote(r)
	}
	if c.marks != nil {
		c.marks.Vals[r] |= partChanged
	}
}

// optional is a value that may be absent.
type optional[T any] struct {
	v   T
	set bool
}

// ValueCell holds one value.
type ValueCell[T any] struct {
	cellOf[optional[T]]
	cod coder.Coder[T]
}

// NewValueCell declares a value.
func NewValueCell[T any](cod coder.Coder[T]) *ValueCell[T] {
	c := &ValueCell[T]{cod: cod}
	c.small = isSmall[T]()
	return c
}

func (c *ValueCell[T]) Get(r uint32) T            { return c.At(r).v }
func (c *ValueCell[T]) Lookup(r uint32) (T, bool) { o := c.At(r); return o.v, o.set }
func (c *ValueCell[T]) Set(r uint32, v T)         { *c.change(r) = optional[T]{v, true} }
func (c *ValueCell[T]) isZero(r uint32) bool      { return !c.col.Vals[r].set }

func (c *ValueCell[T]) append(b []byte, r uint32) []byte {
	o := &c.col.Vals[r]
	if !o.set {
		return append(b, 0)
	}
	return c.cod.Append(append(b, 1), o.v)
}

func (c *ValueCell[T]) load(b []byte, r uint32) (_ []byte, err error) {
	if len(b) == 0 {
		return nil, errShort
	}
	if b[0] == 0 {
		c.zero(r)
		return b[1:], nil
	}
	var v T
	if v, b, err = c.cod.Decode(b[1:]); err != nil {
		return nil, err
	}
	c.col.Vals[r] = optional[T]{v, true}
	return b, nil
}

// BagCell holds values in the order in which they were added.
type BagCell[T any] struct {
	cellOf[[]T]
	cod coder.Coder[T]
}

// NewBagCell declares a bag.
func NewBagCell[T any](cod coder.Coder[T]) *BagCell[T] { return &BagCell[T]{cod: cod} }

func (c *BagCell[T]) Add(r uint32, v T)    { l := c.change(r); *l = append(*l, v) }
func (c *BagCell[T]) isZero(r uint32) bool { return len(c.col.Vals[r]) == 0 }

func (c *BagCell[T]) append(b []byte, r uint32) []byte {
	b = binary.AppendUvarint(b, uint64(len(c.col.Vals[r])))
	for _, v := range c.col.Vals[r] {
		b = c.cod.Append(b, v)
	}
	return b
}

func (c *BagCell[T]) load(b []byte, r uint32) ([]byte, error) {
	n, b, err := takeUint(b)
	c.zero(r)
	for ; n > 0 && err == nil; n-- {
		var v T
		if v, b, err = c.cod.Decode(b); err == nil {
			c.col.Vals[r] = append(c.col.Vals[r], v)
		}
	}
	return b, err
}

// MapCell holds a map.
type MapCell[K comparable, V any] struct {
	cellOf[map[K]V]
	key coder.Coder[K]
	val coder.Coder[V]
}

// NewMapCell declares a map.
func NewMapCell[K comparable, V any](key coder.Coder[K], val coder.Coder[V]) *MapCell[K, V] {
	return &MapCell[K, V]{key: key, val: val}
}

func (c *MapCell[K, V]) Map(r uint32) map[K]V { return *c.At(r) }

func (c *MapCell[K, V]) Put(r uint32, k K, v V) { put(c.change(r), k, v) }

// Remove removes k; the last one takes the map with it.
func (c *MapCell[K, V]) Remove(r uint32, k K) {
	if m := c.change(r); len(*m) > 0 {
		if delete(*m, k); len(*m) == 0 {
			*m = nil
		}
	}
}

func put[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[k] = v
}

func (c *MapCell[K, V]) isZero(r uint32) bool { return len(c.col.Vals[r]) == 0 }

// append writes the entries sorted by the bytes of their keys, so that equal
// maps have equal bytes.
func (c *MapCell[K, V]) append(b []byte, r uint32) []byte {
	m := c.col.Vals[r]
	entries := make([][]byte, 0, len(m))
	for k, v := range m {
		entries = append(entries, c.val.Append(c.key.Append(nil, k), v))
	}
	slices.SortFunc(entries, bytes.Compare)
	b = binary.AppendUvarint(b, uint64(len(entries)))
	for _, e := range entries {
		b = append(b, e...)
	}
	return b
}

func (c *MapCell[K, V]) load(b []byte, r uint32) ([]byte, error) {
	n, b, err := takeUint(b)
	c.zero(r)
	for ; n > 0 && err == nil; n-- {
		var k K
		var v V
		if k, b, err = c.key.Decode(b); err != nil {
			break
		}
		if v, b, err = c.val.Decode(b); err == nil {
			put(&c.col.Vals[r], k, v)
		}
	}
	return b, err
}

// FoldCell holds an accumulator.
type FoldCell[A any] struct {
	cellOf[optional[A]]
	cod  coder.Coder[A]
	init func() A // nil: the zero value
}

// NewFoldCell declares a combining state.
func NewFoldCell[A any](cod coder.Coder[A], init func() A) *FoldCell[A] {
	c := &FoldCell[A]{cod: cod, init: init}
	c.small = isSmall[A]()
	return c
}

// Peek is the row's accumulator, to read: a new one if nothing was added.
func (c *FoldCell[A]) Peek(r uint32) (a A) {
	if o := c.At(r); o.set {
		return o.v
	}
	if c.init != nil {
		a = c.init()
	}
	return a
}

// Acc is the row's accumulator, to change in place.
func (c *FoldCell[A]) Acc(r uint32) *A {
	o := c.change(r)
	if !o.set {
		o.set = true
		if c.init != nil {
			o.v = c.init()
		}
	}
	return &o.v
}

func (c *FoldCell[A]) isZero(r uint32) bool { return !c.col.Vals[r].set }

func (c *FoldCell[A]) append(b []byte, r uint32) []byte {
	return (&ValueCell[A]{c.cellOf, c.cod}).append(b, r)
}

func (c *FoldCell[A]) load(b []byte, r uint32) ([]byte, error) {
	return (&ValueCell[A]{c.cellOf, c.cod}).load(b, r)
}

// Stamped is a value of an ordered list and its time in ms.
type Stamped[T any] struct {
	TS    int64
	Value T
}

// ListCell holds values ordered by time; equal times in the order of adding.
type ListCell[T any] struct {
	cellOf[[]Stamped[T]]
	cod coder.Coder[T]
}

// NewListCell declares an ordered list.
func NewListCell[T any](cod coder.Coder[T]) *ListCell[T] { return &ListCell[T]{cod: cod} }

// Add puts v at ts. Adding in time order costs an append, else a move of the later ones.
func (c *ListCell[T]) Add(r uint32, ts int64, v T) {
	l := c.change(r)
	i := c.search(r, ts, true)
	*l = slices.Insert(*l, i, Stamped[T]{ts, v})
}

// search is the first index at or after ts; after all equal ones when behind is true.
func (c *ListCell[T]) search(r uint32, ts int64, behind bool) int {
	l := c.col.Vals[r]
	if n := len(l); n == 0 || l[n-1].TS < ts || behind && l[n-1].TS == ts {
		return n
	}
	return sort.Search(len(l), func(i int) bool { return l[i].TS > ts || !behind && l[i].TS == ts })
}

// Range yields [from, to).
func (c *ListCell[T]) Range(r uint32, from, to int64) iter.Seq2[int64, T] {
	return func(yield func(int64, T) bool) {
		c.At(r)
		for _, e := range c.col.Vals[r][c.search(r, from, false):] {
			if e.TS >= to || !yield(e.TS, e.Value) {
				return
			}
		}
	}
}

// ClearRange removes [from, to).
func (c *ListCell[T]) ClearRange(r uint32, from, to int64) {
	if to <= from {
		return
	}
	l := c.change(r)
	if *l = slices.Delete(*l, c.search(r, from, false), c.search(r, to, false)); len(*l) == 0 {
		*l = nil
	}
}

func (c *ListCell[T]) isZero(r uint32) bool { return len(c.col.Vals[r]) == 0 }

func (c *ListCell[T]) append(b []byte, r uint32) []byte {
	b = binary.AppendUvarint(b, uint64(len(c.col.Vals[r])))
	for _, e := range c.col.Vals[r] {
		b = c.cod.Append(appendInt(b, e.TS), e.Value)
	}
	return b
}

func (c *ListCell[T]) load(b []byte, r uint32) ([]byte, error) {
	n, b, err := takeUint(b)
	c.zero(r)
	for ; n > 0 && err == nil; n-- {
		var e Stamped[T]
		if e.TS, b, err = takeInt(b); err != nil {
			break
		}
		if e.Value, b, err = c.cod.Decode(b); err == nil {
			c.col.Vals[r] = append(c.col.Vals[r], e)
		}
	}
	return b, err
}
