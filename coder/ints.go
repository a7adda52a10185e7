package coder

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"unsafe"
)

type integer interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

// varintOf is the codec of an integer as a varint of its value in 64 bits. A value
// outside of I is an error, not cut off.
func varintOf[I integer]() *codec {
	k := &codec{
		id: "beam:coder:varint:v1", min: 1,
		enc: func(b []byte, p unsafe.Pointer) []byte { return appendUvarint(b, uint64(*(*I)(p))) },
		dec: func(p unsafe.Pointer, b []byte) ([]byte, error) {
			u, rest, err := readUvarint(b)
			if err != nil {
				return nil, err
			}
			v := I(u)
			if uint64(v) != u {
				return nil, fmt.Errorf("varint %d does not fit into %T", int64(u), v)
			}
			*(*I)(p) = v
			return rest, nil
		},
	}
	if unsafe.Sizeof(I(0)) == 8 {
		k.op = opInt64
	}
	return k
}

// plainInt is the codec of an integer kind outside of rows.
func plainInt(kind reflect.Kind) *codec {
	switch kind {
	case reflect.Int:
		return varintOf[int]()
	case reflect.Int8:
		return varintOf[int8]()
	case reflect.Int16:
		return varintOf[int16]()
	case reflect.Int32:
		return varintOf[int32]()
	case reflect.Int64:
		return varintOf[int64]()
	case reflect.Uint8:
		return varintOf[uint8]()
	case reflect.Uint16:
		return varintOf[uint16]()
	case reflect.Uint32:
		return varintOf[uint32]()
	}
	k := varintOf[uint64]()
	if kind == reflect.Uint {
		k = varintOf[uint]()
	}
	k.id = "millrace:coder:uvarint:v1"
	return k
}

// rowInt is the codec of an integer kind in a row. The unsigned kinds but uint8 and
// int8 are not in Beam's schemas, so they are logical types of ours over the next
// type that holds them; Beam's BYTE is Go's byte, as in Beam's own Go SDK.
func rowInt(kind reflect.Kind) *codec {
	k := plainInt(kind)
	atom := Int64
	switch kind {
	case reflect.Uint8, reflect.Int8:
		k.enc = func(b []byte, p unsafe.Pointer) []byte { return append(b, *(*byte)(p)) }
		k.dec = func(p unsafe.Pointer, b []byte) (rest []byte, err error) {
			*(*byte)(p), rest, err = readByte(b)
			return rest, err
		}
		atom = Byte
	case reflect.Int16:
		k.enc = func(b []byte, p unsafe.Pointer) []byte { return binary.BigEndian.AppendUint16(b, *(*uint16)(p)) }
		k.dec = func(p unsafe.Pointer, b []byte) (rest []byte, err error) {
			*(*uint16)(p), rest, err = readUint16(b)
			return rest, err
		}
		k.min = 2
		atom = Int16
	case reflect.Int32:
		k.enc = func(b []byte, p unsafe.Pointer) []byte { return appendUvarint(b, uint64(*(*uint32)(p))) }
		k.dec = readInt32
		atom = Int32
	case reflect.Uint16:
		atom = Int32
	}
	k.ftype = FieldType{Kind: atom}
	switch kind {
	case reflect.Int8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uint:
		name := kind.String()
		if kind == reflect.Uint {
			name = "uint64"
		}
		k.ftype = FieldType{Kind: Logical, URN: "millrace:logical_type:" + name + ":v1", Elem: &FieldType{Kind: atom}}
	}
	return k
}

// readInt32 reads a varint of 32 bits, and also the sign-extended one of 64 that
// Beam's Go SDK writes for a negative number.
func readInt32(p unsafe.Pointer, b []byte) ([]byte, error) {
	u, rest, err := readUvarint(b)
	if err != nil {
		return nil, err
	}
	if v := int64(u); u > math.MaxUint32 && (v >= 0 || v < math.MinInt32) {
		return nil, fmt.Errorf("varint %d does not fit into int32", v)
	}
	*(*uint32)(p) = uint32(u)
	return rest, nil
}
