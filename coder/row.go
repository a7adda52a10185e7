package coder

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"
	"unsafe"
)

// rowField is a field of a struct in a row.
type rowField struct {
	*codec
	off  uintptr
	name string
	null reflect.Type // what a pointer field points to; nil for others
}

// row is the codec of a struct:
//
//	count of fields (varint) | bytes of null bits (varint) | null bits | fields that are not null
//
// Bit i%8 of byte i/8 says that field i is null; zero bytes at the end are left out.
func (c *compiler) row(t reflect.Type, at place) (*codec, error) {
	fields, err := c.fields(t, at)
	if err != nil {
		return nil, err
	}
	schema := &Schema{}
	nullable := false
	for _, f := range fields {
		ft := f.ftype
		if f.null != nil {
			ft.Nullable = true
			nullable = true
		}
		schema.Fields = append(schema.Fields, Field{Name: f.name, Type: ft})
	}
	enc := func(b []byte, p unsafe.Pointer) []byte {
		b = appendUvarint(b, uint64(len(fields)))
		if nullable {
			b = appendNulls(b, p, fields)
		} else {
			b = append(b, 0)
		}
		for i := range fields {
			f := &fields[i]
			q := unsafe.Add(p, f.off)
			switch f.op {
			case opInt64:
				b = appendUvarint(b, *(*uint64)(q))
			case opString:
				b = appendString(b, *(*string)(q))
			case opDouble:
				b = appendDouble(b, *(*float64)(q))
			case opBool:
				b = appendBool(b, *(*bool)(q))
			default:
				if f.null != nil {
					if q = *(*unsafe.Pointer)(q); q == nil {
						continue
					}
				}
				b = f.enc(b, q)
			}
		}
		return b
	}
	dec := func(p unsafe.Pointer, b []byte) ([]byte, error) {
		n, b, err := readUvarint(b)
		if err != nil {
			return nil, err
		}
		if n > uint64(len(fields)) {
			return nil, fmt.Errorf("row of %d fields for %v, which has %d", n, t, len(fields))
		}
		nulls, b, err := readBlock(b)
		if err != nil {
			return nil, err
		}
		for i := range fields[:n] {
			f := &fields[i]
			if i>>3 < len(nulls) && nulls[i>>3]&(1<<(i&7)) != 0 {
				if f.null == nil {
					return nil, fmt.Errorf("field %s of %v is null, but not a pointer", f.name, t)
				}
				continue
			}
			q := unsafe.Add(p, f.off)
			switch f.op {
			case opInt64:
				*(*uint64)(q), b, err = readUvarint(b)
			case opString:
				var raw []byte
				if raw, b, err = readBlock(b); err == nil {
					*(*string)(q) = string(raw)
				}
			case opDouble:
				*(*uint64)(q), b, err = readUint64(b)
			case opBool:
				*(*bool)(q), b, err = readBool(b)
			default:
				if f.null != nil {
					v := reflect.New(f.null).UnsafePointer()
					*(*unsafe.Pointer)(q) = v
					q = v
				}
				b, err = f.dec(q, b)
			}
			if err != nil {
				return nil, fmt.Errorf("field %s of %v: %w", f.name, t, err)
			}
		}
		return b, nil
	}
	return &codec{
		id:    "beam:coder:row:v1" + schema.String(),
		min:   2,
		ftype: FieldType{Kind: Row, Row: schema},
		enc:   enc,
		dec:   dec,
	}, nil
}

// fields compiles the fields of a struct, in order.
func (c *compiler) fields(t reflect.Type, at place) ([]rowField, error) {
	fields := make([]rowField, 0, t.NumField())
	seen := map[string]string{}
	for i := range t.NumField() {
		sf := t.Field(i)
		if !sf.IsExported() {
			return nil, c.refuse(t, at, fmt.Sprintf("a struct with the unexported field %s, which would be lost", sf.Name))
		}
		f := rowField{off: sf.Offset, name: sf.Name}
		if tag, _, _ := strings.Cut(sf.Tag.Get("beam"), ","); tag == "-" {
			return nil, c.refuse(t, at, fmt.Sprintf("a struct whose field %s has the tag beam:\"-\", but no field can be left out", sf.Name))
		} else if tag != "" {
			f.name = tag
		}
		if other, ok := seen[f.name]; ok {
			return nil, c.refuse(t, at, fmt.Sprintf("a struct whose fields %s and %s are both named %q", other, sf.Name, f.name))
		}
		seen[f.name] = sf.Name
		inside := place{at.path + "." + sf.Name, true}
		ft := sf.Type
		if ft.Kind() == reflect.Pointer && registered(ft) == nil {
			f.null = ft.Elem()
			ft = f.null
			if ft.Kind() == reflect.Pointer {
				return nil, c.refuse(sf.Type, inside, "a pointer to a pointer, and a field can be null in one way only")
			}
		}
		k, err := c.compile(ft, inside)
		if err != nil {
			return nil, err
		}
		if f.null != nil {
			k.op = opCall
		}
		f.codec = k
		fields = append(fields, f)
	}
	return fields, nil
}

// appendNulls appends the null bits of p's fields and the number of their bytes.
func appendNulls(b []byte, p unsafe.Pointer, fields []rowField) []byte {
	last := -1
	for i := range fields {
		if fields[i].null != nil && *(*unsafe.Pointer)(unsafe.Add(p, fields[i].off)) == nil {
			last = i
		}
	}
	if last < 0 {
		return append(b, 0)
	}
	n := last>>3 + 1
	b = appendUvarint(b, uint64(n))
	at := len(b)
	for range n {
		b = append(b, 0)
	}
	for i := range fields[:last+1] {
		if fields[i].null != nil && *(*unsafe.Pointer)(unsafe.Add(p, fields[i].off)) == nil {
			b[at+i>>3] |= 1 << (i & 7)
		}
	}
	return b
}

// A time.Time counts from the year 1 and would wrap beyond secondsMax.
const (
	secondsToUnix = 62135596800 // from the year 1 to 1970
	secondsMax    = math.MaxInt64 - secondsToUnix
)

// timeCodec is the codec of an instant: Beam's logical type timestamp:v1 with nine
// digits, which is a row of seconds since 1970 and nanoseconds.
func timeCodec() *codec {
	repr := FieldType{Kind: Row, Row: &Schema{Fields: []Field{
		{Name: "seconds", Type: FieldType{Kind: Int64}}, {Name: "subseconds", Type: FieldType{Kind: Int32}}}}}
	return &codec{
		id:    "millrace:coder:time:v1",
		min:   4,
		ftype: FieldType{Kind: Logical, URN: "beam:logical_type:timestamp:v1", Arg: 9, Elem: &repr},
		enc: func(b []byte, p unsafe.Pointer) []byte {
			t := (*time.Time)(p)
			b = append(b, 2, 0)
			b = AppendVarint(b, t.Unix())
			return appendUvarint(b, uint64(t.Nanosecond()))
		},
		dec: func(p unsafe.Pointer, b []byte) ([]byte, error) {
			sec, nano, b, err := readTime(b)
			if err != nil {
				return nil, err
			}
			*(*time.Time)(p) = time.Unix(sec, int64(nano)).UTC()
			return b, nil
		},
	}
}
