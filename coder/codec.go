package coder

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unsafe"
)

// codec is a coder without its type parameter: it works on the memory of a value.
// Neither function keeps the pointer.
type codec struct {
	id    string
	op    op        // what the row loop does without a call
	size  uintptr   // of the Go value; set by compile
	ftype FieldType // in a schema
	min   int       // bytes of the shortest encoding
	user  bool      // made by Register
	enc   func(b []byte, p unsafe.Pointer) []byte
	dec   func(p unsafe.Pointer, b []byte) ([]byte, error) // p holds the zero value
	typed any                                              // Coder[T], if there is one already
	outer func() *codec                                    // see Outer; nil if the same
}

// op names the kinds that need no call to encode.
type op uint8

const (
	opCall op = iota // call enc and dec
	opInt64
	opString
	opDouble
	opBool
	opFixed // bytes of an array
)

// put is enc.
func (k *codec) put(b []byte, p unsafe.Pointer) []byte {
	switch k.op {
	case opInt64:
		return appendUvarint(b, *(*uint64)(p))
	case opFixed:
		return appendBlock(b, unsafe.Slice((*byte)(p), k.size))
	case opString:
		return appendString(b, *(*string)(p))
	case opDouble:
		return appendDouble(b, *(*float64)(p))
	}
	return k.enc(b, p)
}

// take is dec.
func (k *codec) take(p unsafe.Pointer, b []byte) (rest []byte, err error) {
	switch k.op {
	case opInt64:
		*(*uint64)(p), b, err = readUvarint(b)
		return b, err
	case opFixed:
		return takeFixed(unsafe.Slice((*byte)(p), k.size), b)
	}
	return k.dec(p, b)
}

// place says where a type stands in a coder.
type place struct {
	path string // of fields below the root, ".A.B"
	row  bool   // inside a row: widths are those of schemas
}

func (p place) field(name string) place { return place{p.path + "." + name, p.row} }
func (p place) elem() place             { return place{p.path + "[]", p.row} }

// compiler makes the codec of root, depth first.
type compiler struct {
	root reflect.Type
	open []reflect.Type // structs that are being compiled, to find types within themselves
}

// refuse makes the sentence about a part without a coder.
func (c *compiler) refuse(t reflect.Type, at place, why string) error {
	const advice = "register a coder for it with coder.Register, or use another type"
	if at.path == "" {
		return fmt.Errorf("type %v has no coder: it is %s; %s", t, why, advice)
	}
	return fmt.Errorf("type %v has no coder: its part %s%s (%v) is %s; %s", c.root, c.root.Name(), at.path, t, why, advice)
}

var (
	timeType     = reflect.TypeFor[time.Time]()
	standardPath = reflect.TypeFor[GlobalWindow]().PkgPath()
)

// compile returns the codec of t at a place.
func (c *compiler) compile(t reflect.Type, at place) (*codec, error) {
	k, err := c.kind(t, at)
	if err != nil {
		return nil, err
	}
	k.size = t.Size()
	return k, nil
}

func (c *compiler) kind(t reflect.Type, at place) (*codec, error) {
	if k := registered(t); k != nil {
		if at.row {
			return userField(k), nil
		}
		copied := *k
		return &copied, nil
	}
	if t == timeType {
		return timeCodec(), nil
	}
	switch t.Kind() {
	case reflect.Bool:
		return boolCodec(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if at.row {
			return rowInt(t.Kind()), nil
		}
		return plainInt(t.Kind()), nil
	case reflect.Float64:
		return doubleCodec(), nil
	case reflect.Float32:
		return floatCodec(), nil
	case reflect.String:
		return stringCodec(), nil
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 && registered(t.Elem()) == nil {
			return bytesCodec(), nil
		}
		return c.slice(t, at)
	case reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 && registered(t.Elem()) == nil {
			return fixedBytes(t.Len()), nil
		}
		return c.array(t, at)
	case reflect.Pointer:
		return c.pointer(t, at)
	case reflect.Map:
		return c.mapping(t, at)
	case reflect.Struct:
		for _, o := range c.open {
			if o == t {
				return nil, c.refuse(t, at, "a type that contains itself, so its encoding could nest without end")
			}
		}
		c.open = append(c.open, t)
		defer func() { c.open = c.open[:len(c.open)-1] }()
		if t.PkgPath() == standardPath && !at.row {
			if k, err := c.standard(t, at); k != nil || err != nil {
				return k, err
			}
		}
		return c.row(t, at)
	case reflect.Interface:
		return nil, c.refuse(t, at, "an interface, and nothing says which types it holds")
	case reflect.Chan:
		return nil, c.refuse(t, at, "a channel, which has no bytes")
	case reflect.Func:
		return nil, c.refuse(t, at, "a function, which has no bytes")
	}
	return nil, c.refuse(t, at, "a "+t.Kind().String()+", which has no coder")
}

// standard returns the codec of the types of this package that have a coder of
// Beam's own, and nil for other structs.
func (c *compiler) standard(t reflect.Type, at place) (*codec, error) {
	name, _, _ := strings.Cut(t.Name(), "[")
	switch name {
	case "KV":
		return c.parts(t, at, "beam:coder:kv:v1", "Key", "Value")
	case "ShardedKey":
		return c.parts(t, at, "beam:coder:sharded_key:v1", "Shard", "Key")
	case "GlobalWindow":
		return erase(GlobalWindows()), nil
	case "IntervalWindow":
		return erase(IntervalWindows()), nil
	case "WindowedValue", "Timer":
		return nil, c.refuse(t, at, "made for exchange with Beam, and coder."+name+"s makes its coder from those of its parts")
	}
	return nil, nil
}

// erase is the codec of a typed coder.
func erase[T any](c Coder[T]) *codec {
	return &codec{
		id:  c.ID,
		enc: func(b []byte, p unsafe.Pointer) []byte { return c.Append(b, *(*T)(p)) },
		dec: func(p unsafe.Pointer, b []byte) (rest []byte, err error) {
			*(*T)(p), rest, err = c.Decode(b)
			return rest, err
		},
		typed: c,
	}
}

// parts is the codec of two fields, one after the other.
func (c *compiler) parts(t reflect.Type, at place, urn, first, second string) (*codec, error) {
	f, _ := t.FieldByName(first)
	s, _ := t.FieldByName(second)
	x, err := c.compile(f.Type, at.field(first))
	if err != nil {
		return nil, err
	}
	y, err := c.compile(s.Type, at.field(second))
	if err != nil {
		return nil, err
	}
	k := concat(x, y, f.Offset, s.Offset)
	k.id = urn + "<" + x.id + "," + y.id + ">"
	if first == "Shard" { // whose coder is fixed
		k.id = urn + "<" + y.id + ">"
	}
	return k, nil
}

// concat is the codec of x and y one after the other.
func concat(x, y *codec, atX, atY uintptr) *codec {
	k := &codec{
		min: x.min + y.min,
		enc: func(b []byte, p unsafe.Pointer) []byte {
			return y.enc(x.enc(b, unsafe.Add(p, atX)), unsafe.Add(p, atY))
		},
		dec: func(p unsafe.Pointer, b []byte) ([]byte, error) {
			b, err := x.dec(unsafe.Add(p, atX), b)
			if err != nil {
				return nil, err
			}
			return y.dec(unsafe.Add(p, atY), b)
		},
	}
	if y.outer != nil {
		k.outer = func() *codec { return concat(x, y.outer(), atX, atY) }
	}
	return k
}

func boolCodec() *codec {
	return &codec{
		id: "beam:coder:bool:v1", op: opBool, min: 1, ftype: FieldType{Kind: Boolean},
		enc: func(b []byte, p unsafe.Pointer) []byte { return appendBool(b, *(*bool)(p)) },
		dec: func(p unsafe.Pointer, b []byte) (rest []byte, err error) {
			*(*bool)(p), rest, err = readBool(b)
			return rest, err
		},
	}
}

func doubleCodec() *codec {
	return &codec{
		id: "beam:coder:double:v1", op: opDouble, min: 8, ftype: FieldType{Kind: Double},
		enc: func(b []byte, p unsafe.Pointer) []byte { return appendDouble(b, *(*float64)(p)) },
		dec: func(p unsafe.Pointer, b []byte) (rest []byte, err error) {
			*(*uint64)(p), rest, err = readUint64(b)
			return rest, err
		},
	}
}

func floatCodec() *codec {
	return &codec{
		id: "millrace:coder:float:v1", min: 4, ftype: FieldType{Kind: Float},
		enc: func(b []byte, p unsafe.Pointer) []byte { return appendFloat(b, *(*float32)(p)) },
		dec: func(p unsafe.Pointer, b []byte) (rest []byte, err error) {
			*(*uint32)(p), rest, err = readUint32(b)
			return rest, err
		},
	}
}

func stringCodec() *codec {
	return &codec{
		id: "beam:coder:string_utf8:v1", op: opString, min: 1, ftype: FieldType{Kind: String}, outer: outerString,
		enc: func(b []byte, p unsafe.Pointer) []byte { return appendString(b, *(*string)(p)) },
		dec: func(p unsafe.Pointer, b []byte) ([]byte, error) {
			raw, rest, err := readBlock(b)
			*(*string)(p) = string(raw)
			return rest, err
		},
	}
}

func bytesCodec() *codec {
	return &codec{
		id: "beam:coder:bytes:v1", min: 1, ftype: FieldType{Kind: Bytes}, outer: outerBytes,
		enc: func(b []byte, p unsafe.Pointer) []byte { return appendBlock(b, *(*[]byte)(p)) },
		dec: func(p unsafe.Pointer, b []byte) ([]byte, error) {
			raw, rest, err := readBlock(b)
			*(*[]byte)(p) = cloneBytes(raw)
			return rest, err
		},
	}
}

func fixedBytes(n int) *codec {
	return &codec{
		id: fmt.Sprintf("millrace:coder:fixed_bytes:v1(%d)", n), op: opFixed, min: 1 + n,
		ftype: FieldType{Kind: Logical, URN: "beam:logical_type:fixed_bytes:v1", Arg: int32(n), Elem: &FieldType{Kind: Bytes}},
		enc: func(b []byte, p unsafe.Pointer) []byte {
			return appendBlock(b, unsafe.Slice((*byte)(p), n))
		},
		dec: func(p unsafe.Pointer, b []byte) ([]byte, error) {
			return takeFixed(unsafe.Slice((*byte)(p), n), b)
		},
	}
}

// takeFixed reads a block that fills to.
func takeFixed(to, b []byte) (rest []byte, err error) {
	raw, rest, err := readBlock(b)
	if err != nil {
		return nil, err
	}
	if len(raw) != len(to) {
		return nil, fmt.Errorf("%d bytes for an array of %d", len(raw), len(to))
	}
	copy(to, raw)
	return rest, nil
}

// userField is the codec of a registered type in a row: its bytes as a block, so
// that a reader who has only the schema can pass over it.
func userField(k *codec) *codec {
	return &codec{
		id: k.id, min: 1, user: true,
		ftype: FieldType{Kind: Logical, URN: k.id, Elem: &FieldType{Kind: Bytes}},
		enc: func(b []byte, p unsafe.Pointer) []byte {
			at := len(b)
			b = k.enc(append(b, 0), p)
			n := len(b) - at - 1
			if n < 0x80 {
				b[at] = byte(n)
				return b
			}
			var room [binary.MaxVarintLen64]byte
			size := appendUvarint(room[:0], uint64(n))
			b = append(b, size[1:]...) // as many bytes as the length is longer than one
			copy(b[at+len(size):], b[at+1:at+1+n])
			copy(b[at:], size)
			return b
		},
		dec: func(p unsafe.Pointer, b []byte) ([]byte, error) {
			raw, rest, err := readBlock(b)
			if err != nil {
				return nil, err
			}
			left, err := k.dec(p, raw)
			if err != nil {
				return nil, err
			}
			if len(left) > 0 {
				return nil, fmt.Errorf("%d bytes follow a value of coder %s in its field", len(left), k.id)
			}
			return rest, nil
		},
	}
}

var errNanos = errors.New("nanoseconds outside of [0, 1e9)")
