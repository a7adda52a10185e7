package coder

import (
	"fmt"
	"reflect"
	"sync"
	"unsafe"
)

// KV is a key and a value: plain data.
type KV[K comparable, V any] struct {
	Key   K
	Value V
}

// A Coder turns values of T into bytes and back. The functions may be called by
// many goroutines at once.
type Coder[T any] struct {
	// ID is the canonical text of the coder: its URN, and in angle brackets those of
	// its components. Two coders with one ID write the same bytes. It is part of the
	// hash by which workers compare their graphs.
	ID string

	// Append appends the nested encoding of v, which says itself where it ends, and
	// returns the longer slice. It keeps neither b nor v.
	Append func(b []byte, v T) []byte

	// Decode reads one value from the front of b and returns it with what follows.
	// The value never shares memory with b. Bytes that are no encoding give an error,
	// never a panic, and allocate no more than their length justifies.
	Decode func(b []byte) (T, []byte, error)

	outer func() Coder[T] // see Outer; nil if the same

	// The same for a value in place; nil where there is no shorter way. p leads to the
	// heap: what it leads to counts as escaped. What is decoded into is zero before.
	appendAt func(b []byte, p *T) []byte
	decodeAt func(p *T, b []byte) ([]byte, error)

	k *codec // that it was made of; nil if it was not

	// The same for many; nil where there is no shorter way.
	appendAll func(b []byte, vs []T) []byte
	decodeAll func(vs []T, b []byte) (n int, rest []byte, err error)
}

// AppendAll appends the nested encodings of vs, one behind the other. For arrays and
// structs it is faster than Append for each.
func (c Coder[T]) AppendAll(b []byte, vs []T) []byte {
	switch {
	case c.appendAll != nil:
		return c.appendAll(b, vs)
	case c.appendAt != nil:
		for i := range vs {
			b = c.appendAt(b, &vs[i])
		}
	default:
		for _, v := range vs {
			b = c.Append(b, v)
		}
	}
	return b
}

// DecodeAll decodes len(vs) values from the front of b into vs, which holds zero values.
// n is how many there were before an error, rest what follows them all.
func (c Coder[T]) DecodeAll(vs []T, b []byte) (n int, rest []byte, err error) {
	if c.decodeAll != nil {
		return c.decodeAll(vs, b)
	}
	for i := range vs {
		if c.decodeAt != nil {
			b, err = c.decodeAt(&vs[i], b)
		} else {
			vs[i], b, err = c.Decode(b)
		}
		if err != nil {
			return i, nil, err
		}
	}
	return len(vs), b, nil
}

// putAt is appendAt, by Append where there is no shorter way.
func (c *Coder[T]) putAt() func([]byte, *T) []byte {
	if c.appendAt != nil {
		return c.appendAt
	}
	put := c.Append
	return func(b []byte, p *T) []byte { return put(b, *p) }
}

// takeAt is decodeAt, by Decode where there is no shorter way.
func (c *Coder[T]) takeAt() func(*T, []byte) ([]byte, error) {
	if c.decodeAt != nil {
		return c.decodeAt
	}
	take := c.Decode
	return func(p *T, b []byte) (rest []byte, err error) {
		*p, rest, err = take(b)
		return rest, err
	}
}

// registry holds the users' coders and the inferred ones. It is the one piece of
// package state, because a type has one coder in a process, like a type has one
// method set.
var registry = struct {
	sync.Mutex
	user     map[reflect.Type]*codec // by Register
	inferred map[reflect.Type]any    // Coder[T] of For[T]
}{user: map[reflect.Type]*codec{}, inferred: map[reflect.Type]any{}}

// Register makes c the coder of T, alone and inside other types, instead of the
// inferred one; a second call for the same T replaces the first. Call it before
// graphs are built (in main or init): coders handed out earlier do not change.
//
// T may be any type, also one that has no coder of its own, such as an interface.
// c.ID must be a URN of your own ("example.com:coder:money:v1") that changes with
// the bytes. An encoding of a non-empty value should not be empty: see [Iterable].
// Register panics if a field of c is missing.
func Register[T any](c Coder[T]) {
	t := reflect.TypeFor[T]()
	if c.ID == "" || c.Append == nil || c.Decode == nil {
		panic(fmt.Sprintf("coder: Register[%v]: ID, Append and Decode must all be set", t))
	}
	u := &codec{
		id:   c.ID,
		user: true,
		enc:  func(b []byte, p unsafe.Pointer) []byte { return c.Append(b, *(*T)(p)) },
		dec: func(p unsafe.Pointer, b []byte) ([]byte, error) {
			v, rest, err := c.Decode(b)
			if err != nil {
				return nil, err
			}
			*(*T)(p) = v
			return rest, nil
		},
		typed: c,
	}
	registry.Lock()
	defer registry.Unlock()
	registry.user[t] = u
	clear(registry.inferred)
}

// registered returns the user's coder of t, or nil.
func registered(t reflect.Type) *codec {
	registry.Lock()
	defer registry.Unlock()
	return registry.user[t]
}

// For infers the coder of T: see the package comment for the rules. It reflects on
// T once for each type and process; the coder it returns does not reflect, but for
// maps. The error is a sentence for the author of the pipeline that names T, the
// path of the field that has no coder, and what to do.
func For[T any]() (Coder[T], error) {
	t := reflect.TypeFor[T]()
	registry.Lock()
	got, ok := registry.inferred[t]
	registry.Unlock()
	if ok {
		return got.(Coder[T]), nil
	}
	k, err := (&compiler{root: t}).compile(t, place{})
	if err != nil {
		return Coder[T]{}, err
	}
	c := typedOf[T](k)
	registry.Lock()
	registry.inferred[t] = c
	registry.Unlock()
	return c, nil
}

// typedOf gives a codec its type back.
func typedOf[T any](k *codec) Coder[T] {
	if c, ok := k.typed.(Coder[T]); ok {
		return c
	}
	if c, ok := direct[T](k); ok {
		return c
	}
	// A codec is called through a function value with a pointer to the value, which
	// therefore can't be on the stack: hiding it there from escape analysis, as the
	// runtime does, lost values when the stack moved. So values pass through boxes, used again.
	boxes := sync.Pool{New: func() any { return new(T) }}
	return Coder[T]{
		ID:       k.id,
		k:        k,
		outer:    outerOf[T](k),
		appendAt: func(b []byte, p *T) []byte { return k.enc(b, unsafe.Pointer(p)) },
		decodeAt: func(p *T, b []byte) ([]byte, error) { return k.dec(unsafe.Pointer(p), b) },
		Append: func(b []byte, v T) []byte {
			box := boxes.Get().(*T)
			*box = v
			b = k.enc(b, unsafe.Pointer(box))
			var zero T
			*box = zero // keep nothing alive
			boxes.Put(box)
			return b
		},
		Decode: func(b []byte) (T, []byte, error) {
			box := boxes.Get().(*T)
			rest, err := k.dec(unsafe.Pointer(box), b)
			var v, zero T
			if v, *box = *box, zero; err != nil {
				v, rest = zero, nil
			}
			boxes.Put(box)
			return v, rest, err
		},
	}
}

// direct makes coders of the commonest kinds without a call through a codec.
func direct[T any](k *codec) (Coder[T], bool) {
	c := Coder[T]{ID: k.id, k: k, outer: outerOf[T](k)}
	switch k.op {
	case opInt64:
		c.Append = func(b []byte, v T) []byte { return AppendVarint(b, *(*int64)(unsafe.Pointer(&v))) }
		c.Decode = func(b []byte) (v T, rest []byte, err error) {
			u, rest, err := readUvarint(b)
			*(*uint64)(unsafe.Pointer(&v)) = u
			return v, rest, err
		}
	case opString:
		c.Append = func(b []byte, v T) []byte { return appendString(b, *(*string)(unsafe.Pointer(&v))) }
		c.Decode = func(b []byte) (v T, rest []byte, err error) {
			raw, rest, err := readBlock(b)
			*(*string)(unsafe.Pointer(&v)) = string(raw)
			return v, rest, err
		}
	case opDouble:
		c.Append = func(b []byte, v T) []byte { return appendDouble(b, *(*float64)(unsafe.Pointer(&v))) }
		c.Decode = func(b []byte) (v T, rest []byte, err error) {
			u, rest, err := readUint64(b)
			*(*uint64)(unsafe.Pointer(&v)) = u
			return v, rest, err
		}
	case opBool:
		c.Append = func(b []byte, v T) []byte { return appendBool(b, *(*bool)(unsafe.Pointer(&v))) }
		c.Decode = func(b []byte) (v T, rest []byte, err error) {
			x, rest, err := readBool(b)
			*(*bool)(unsafe.Pointer(&v)) = x
			return v, rest, err
		}
	default:
		return c, false
	}
	return c, true
}
