package coder

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"unsafe"
)

// room is how many of n elements of size bytes to make room for at once, when left
// bytes remain to be decoded: a count that lies must not cost memory. The slice
// grows later, as elements really come.
func room(n, left int, size uintptr) int {
	if size == 0 {
		return n
	}
	return max(1, min(n, (4*left+1024)/int(size)))
}

// fits refuses a count that the bytes that are left cannot hold. Elements that take
// no memory may also take no bytes.
func fits(n, left, least int, size uintptr) error {
	if least == 0 && size == 0 {
		return nil
	}
	if n > left/max(least, 1) {
		return ErrShort
	}
	return nil
}

// emptyMax is how many elements without bytes an iterable may have: four bytes must
// not make work for two billion.
const emptyMax = 1 << 20

var errEmpty = fmt.Errorf("more than %d elements without bytes", emptyMax)

// slice is the codec of []E: an iterable.
func (c *compiler) slice(t reflect.Type, at place) (*codec, error) {
	e, err := c.compile(t.Elem(), at.elem())
	if err != nil {
		return nil, err
	}
	type header struct {
		data unsafe.Pointer
		len  int
		cap  int
	}
	read := func(p unsafe.Pointer, b []byte, n int) ([]byte, error) {
		if err := fits(n, len(b), e.min, e.size); err != nil {
			return nil, err
		}
		v := reflect.NewAt(t, p).Elem()
		for end := v.Len() + n; v.Len() < end; {
			i := v.Len()
			if i == v.Cap() {
				v.Grow(room(end-i, len(b), e.size))
			}
			v.SetLen(min(end, v.Cap()))
			for h := (*header)(p); i < h.len; i++ {
				rest, err := e.dec(unsafe.Add(h.data, uintptr(i)*e.size), b)
				if err != nil {
					return nil, err
				}
				if e.size == 0 && len(rest) == len(b) {
					if h.len > emptyMax {
						return nil, errEmpty
					}
					break // all are equal, and none has bytes
				}
				b = rest
			}
		}
		return b, nil
	}
	return &codec{
		id:    "beam:coder:iterable:v1<" + e.id + ">",
		min:   4,
		ftype: FieldType{Kind: Array, Elem: &e.ftype},
		enc: func(b []byte, p unsafe.Pointer) []byte {
			h := (*header)(p)
			b = appendCount(b, h.len)
			for i := range h.len {
				b = e.enc(b, unsafe.Add(h.data, uintptr(i)*e.size))
			}
			return b
		},
		dec: func(p unsafe.Pointer, b []byte) ([]byte, error) {
			n, b, err := readCount(b)
			if err != nil || n == 0 {
				return b, err
			}
			if n != chunked {
				return read(p, b, n)
			}
			for {
				if n, b, err = readChunk(b); err != nil || n == 0 {
					return b, err
				}
				if b, err = read(p, b, n); err != nil {
					return nil, err
				}
			}
		},
	}, nil
}

// arrayURN is the logical type of [n]T in a row: over an array, with n as argument.
const arrayURN = "millrace:logical_type:array:v1"

// array is the codec of [n]E: the bytes of an iterable of n.
func (c *compiler) array(t reflect.Type, at place) (*codec, error) {
	e, err := c.compile(t.Elem(), at.elem())
	if err != nil {
		return nil, err
	}
	n := t.Len()
	return &codec{
		id:    fmt.Sprintf("millrace:coder:array:v1(%d)<%s>", n, e.id),
		min:   4 + n*e.min,
		ftype: FieldType{Kind: Logical, URN: arrayURN, Arg: int32(n), Elem: &FieldType{Kind: Array, Elem: &e.ftype}},
		enc: func(b []byte, p unsafe.Pointer) []byte {
			b = appendCount(b, n)
			for i := range n {
				b = e.enc(b, unsafe.Add(p, uintptr(i)*e.size))
			}
			return b
		},
		dec: func(p unsafe.Pointer, b []byte) ([]byte, error) {
			got, b, err := readCount(b)
			if err != nil {
				return nil, err
			}
			if got != n {
				return nil, fmt.Errorf("%d elements for an array of %d", got, n)
			}
			for i := range n {
				if b, err = e.dec(unsafe.Add(p, uintptr(i)*e.size), b); err != nil {
					return nil, err
				}
			}
			return b, nil
		},
	}, nil
}

// pointer is the codec of *E: a nullable.
func (c *compiler) pointer(t reflect.Type, at place) (*codec, error) {
	e, err := c.compile(t.Elem(), place{at.path, at.row})
	if err != nil {
		return nil, err
	}
	if at.row && t.Elem().Kind() == reflect.Pointer {
		return nil, c.refuse(t, at, "a pointer to a pointer, and a field can be null in one way only")
	}
	null := e.ftype
	null.Nullable = true
	return &codec{
		id:    "beam:coder:nullable:v1<" + e.id + ">",
		min:   1,
		ftype: null,
		enc: func(b []byte, p unsafe.Pointer) []byte {
			v := *(*unsafe.Pointer)(p)
			if v == nil {
				return append(b, 0)
			}
			return e.enc(append(b, 1), v)
		},
		dec: func(p unsafe.Pointer, b []byte) ([]byte, error) {
			set, b, err := readBool(b)
			if err != nil || !set {
				return b, err
			}
			v := reflect.New(t.Elem()).UnsafePointer()
			if b, err = e.dec(v, b); err != nil {
				return nil, err
			}
			*(*unsafe.Pointer)(p) = v
			return b, nil
		},
	}, nil
}

// mapping is the codec of map[K]V. Entries are sorted by the bytes of their keys, so
// that equal maps have equal bytes; that and reflection make maps the slow kind.
func (c *compiler) mapping(t reflect.Type, at place) (*codec, error) {
	if kind := t.Key().Kind(); kind == reflect.Pointer && registered(t.Key()) == nil {
		return nil, c.refuse(t, at, "a map whose keys are pointers, which mean nothing to another process")
	}
	k, err := c.compile(t.Key(), place{at.path + "[key]", at.row})
	if err != nil {
		return nil, err
	}
	v, err := c.compile(t.Elem(), place{at.path + "[value]", at.row})
	if err != nil {
		return nil, err
	}
	return &codec{
		id:    "millrace:coder:map:v1<" + k.id + "," + v.id + ">",
		min:   4,
		ftype: FieldType{Kind: Map, Key: &k.ftype, Elem: &v.ftype},
		enc: func(b []byte, p unsafe.Pointer) []byte {
			return appendMap(b, reflect.NewAt(t, p).Elem(), k, v)
		},
		dec: func(p unsafe.Pointer, b []byte) ([]byte, error) {
			n, b, err := readCount(b)
			if err != nil {
				return nil, err
			}
			if n < 0 {
				return nil, errors.New("map without a count")
			}
			if err := fits(n, len(b), k.min+v.min, 1); err != nil {
				return nil, err
			}
			m := reflect.MakeMapWithSize(t, min(n, room(n, len(b), k.size+v.size+1)))
			key, val := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
			for range n {
				key.SetZero()
				val.SetZero()
				if b, err = k.dec(key.Addr().UnsafePointer(), b); err != nil {
					return nil, err
				}
				if b, err = v.dec(val.Addr().UnsafePointer(), b); err != nil {
					return nil, err
				}
				m.SetMapIndex(key, val)
			}
			reflect.NewAt(t, p).Elem().Set(m)
			return b, nil
		},
	}, nil
}

// appendMap encodes m entry by entry in the order it comes, then puts the entries
// in order.
func appendMap(b []byte, m reflect.Value, k, v *codec) []byte {
	type span struct{ from, key, to int }
	b = appendCount(b, m.Len())
	start := len(b)
	spans := make([]span, 0, m.Len())
	key, val := reflect.New(m.Type().Key()).Elem(), reflect.New(m.Type().Elem()).Elem()
	for it := m.MapRange(); it.Next(); {
		key.SetIterKey(it)
		val.SetIterValue(it)
		s := span{from: len(b)}
		b = k.enc(b, key.Addr().UnsafePointer())
		s.key = len(b)
		b = v.enc(b, val.Addr().UnsafePointer())
		s.to = len(b)
		spans = append(spans, s)
	}
	if len(spans) < 2 {
		return b
	}
	mixed := bytes.Clone(b[start:])
	at := func(from, to int) []byte { return mixed[from-start : to-start] }
	slices.SortFunc(spans, func(x, y span) int { return bytes.Compare(at(x.from, x.key), at(y.from, y.key)) })
	b = b[:start]
	for _, s := range spans {
		b = append(b, at(s.from, s.to)...)
	}
	return b
}
