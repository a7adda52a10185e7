package table

import (
	"fmt"

	"github.com/millrace/millrace/transforms"
)

// Kind is what happened to a row.
type Kind uint8

// The kinds of a [Change] are Insert, Update and Delete; those of an [Entry], which
// holds one value, are Insert, UpdateBefore, UpdateAfter and Delete.
const (
	Insert       Kind = 1 + iota // there was no row of this key
	Update                       // the row was replaced
	Delete                       // the row is gone
	UpdateBefore                 // the row as it was before an update: take it back
	UpdateAfter                  // the row as it is after an update
)

// String is the kind's usual sign: +I, U, -D, -U, +U.
func (k Kind) String() string {
	switch k {
	case Insert:
		return "+I"
	case Update:
		return "U"
	case Delete:
		return "-D"
	case UpdateBefore:
		return "-U"
	case UpdateAfter:
		return "+U"
	}
	return fmt.Sprintf("kind %d", k)
}

// Change is one change of a row: plain data.
type Change[V any] struct {
	Kind Kind // Insert, Update or Delete
	Old  V    // what stood there before; the zero value of an Insert
	New  V    // what stands there now; the zero value of a Delete
}

// String is the change as people write it: "+I new", "U old -> new", "-D old".
func (c Change[V]) String() string {
	switch c.Kind {
	case Insert:
		return fmt.Sprintf("%v %v", c.Kind, c.New)
	case Update:
		return fmt.Sprintf("%v %v -> %v", c.Kind, c.Old, c.New)
	}
	return fmt.Sprintf("%v %v", c.Kind, c.Old)
}

// Before is the row before the change, if there was one.
func (c Change[V]) Before() transforms.Optional[V] {
	return transforms.Optional[V]{OK: c.Kind != Insert, Value: c.Old}
}

// After is the row after the change, if there is one.
func (c Change[V]) After() transforms.Optional[V] {
	return transforms.Optional[V]{OK: c.Kind != Delete, Value: c.New}
}

// Entry is half a change: a value put in (Insert, UpdateAfter) or taken back
// (UpdateBefore, Delete). It is what systems write that know no pair of values.
type Entry[V any] struct {
	Kind  Kind
	Value V
}

// String is the entry as people write it: "+I new", "-U old".
func (e Entry[V]) String() string { return fmt.Sprintf("%v %v", e.Kind, e.Value) }

// between is the change from one state of a row to another; ok reports whether
// there is one. Two rows that both stand are a change even if they are equal.
func between[V any](old, now transforms.Optional[V]) (c Change[V], ok bool) {
	switch {
	case old.OK && now.OK:
		return Change[V]{Update, old.Value, now.Value}, true
	case now.OK:
		return Change[V]{Kind: Insert, New: now.Value}, true
	case old.OK:
		return Change[V]{Kind: Delete, Old: old.Value}, true
	}
	return c, false
}

func some[V any](v V) transforms.Optional[V] { return transforms.Optional[V]{OK: true, Value: v} }
