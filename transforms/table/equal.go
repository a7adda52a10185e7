package table

import (
	"bytes"

	"github.com/millrace/millrace/coder"
)

// equality compares values by their encodings, so that it needs no comparable type
// and NaN equals itself. It belongs to one lane: the buffers are used again.
type equality[V any] struct {
	cod  coder.Coder[V]
	a, b []byte
}

// newEquality leaves a missing coder to the state of the same type, which reports it.
func newEquality[V any]() *equality[V] {
	cod, _ := coder.For[V]()
	return &equality[V]{cod: cod}
}

func (e *equality[V]) same(x, y V) bool {
	e.a, e.b = e.cod.Append(e.a[:0], x), e.cod.Append(e.b[:0], y)
	return bytes.Equal(e.a, e.b)
}

// idle reports a change that replaces a value by an equal one.
func (e *equality[V]) idle(c Change[V]) bool { return c.Kind == Update && e.same(c.Old, c.New) }

// encodings orders values by their encodings, on several lanes at once.
type encodings[V any] struct{ cod coder.Coder[V] }

func newEncodings[V any]() encodings[V] {
	cod, _ := coder.For[V]()
	return encodings[V]{cod}
}

func (e encodings[V]) compare(x, y V) int {
	return bytes.Compare(e.cod.Append(nil, x), e.cod.Append(nil, y))
}
