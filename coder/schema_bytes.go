package coder

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// schemaVersion is the first byte of an encoded schema.
const schemaVersion = 1

// AppendBinary appends the schema as bytes to keep beside data: a version byte,
// now 1, then what [Schema.AppendBeam] writes. The error is always nil.
func (s Schema) AppendBinary(b []byte) ([]byte, error) {
	return s.AppendBeam(append(b, schemaVersion)), nil
}

// MarshalBinary returns what AppendBinary appends.
func (s Schema) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil) }

// ParseSchema reads what [Schema.AppendBinary] wrote. Bytes of a later version are
// an error, and so is anything that follows.
func ParseSchema(b []byte) (Schema, error) {
	if len(b) == 0 {
		return Schema{}, fmt.Errorf("schema: %w", ErrShort)
	}
	if b[0] != schemaVersion {
		return Schema{}, fmt.Errorf("schema of version %d, and this program knows version %d: it was written by a later one", b[0], schemaVersion)
	}
	return ParseBeamSchema(b[1:])
}

// AppendBeam appends the schema as the protobuf message Schema of Beam's
// schema.proto, which is also the payload of beam:coder:row:v1. It has neither ID
// nor options, and equal schemas have equal bytes.
func (s Schema) AppendBeam(b []byte) []byte {
	for _, f := range s.Fields {
		m := appendMessage(nil, 1, []byte(f.Name))
		m = appendMessage(m, 3, f.Type.appendBeam(nil))
		b = appendMessage(b, 1, m)
	}
	return b
}

// The numbers of the fields of FieldType, for the kinds that are not atomic.
const (
	protoNullable = 1
	protoAtomic   = 2
	protoArray    = 3
	protoIterable = 4
	protoMap      = 5
	protoRow      = 6
	protoLogical  = 7
)

func (t FieldType) appendBeam(b []byte) []byte {
	if t.Nullable {
		b = append(b, protoNullable<<3, 1)
	}
	switch t.Kind {
	case Array:
		return appendMessage(b, protoArray, appendMessage(nil, 1, t.Elem.appendBeam(nil)))
	case Map:
		m := appendMessage(nil, 1, t.Key.appendBeam(nil))
		return appendMessage(b, protoMap, appendMessage(m, 2, t.Elem.appendBeam(nil)))
	case Row:
		return appendMessage(b, protoRow, appendMessage(nil, 1, t.Row.AppendBeam(nil)))
	case Logical:
		m := appendMessage(nil, 1, []byte(t.URN))
		m = appendMessage(m, 3, t.Elem.appendBeam(nil))
		if t.Arg != 0 { // argument_type int32, argument {atomic_value {int32}}
			m = appendMessage(m, 4, FieldType{Kind: Int32}.appendBeam(nil))
			v := appendUvarint([]byte{3 << 3}, uint64(int64(t.Arg)))
			m = appendMessage(m, 5, appendMessage(nil, 1, v))
		}
		return appendMessage(b, protoLogical, m)
	}
	return append(b, protoAtomic<<3, byte(t.Kind))
}

// appendMessage appends a protobuf field of wire type 2: a length and bytes.
func appendMessage(b []byte, number int, m []byte) []byte {
	return appendBlock(append(b, byte(number<<3|2)), m)
}

// depthMax is how deep an encoded schema may nest: bytes must not exhaust the stack.
const depthMax = 64

// ParseBeamSchema reads Beam's protobuf message Schema. IDs, descriptions and
// options are passed over. Schemas that give their fields another order on the wire
// (encoding_positions_set) come back in that order.
func ParseBeamSchema(b []byte) (Schema, error) {
	s, err := parseSchema(b, 0)
	if err != nil {
		return Schema{}, fmt.Errorf("schema: %w", err)
	}
	return s, nil
}

func parseSchema(b []byte, depth int) (Schema, error) {
	var s Schema
	var positions []uint64
	reorder := false
	err := eachField(b, func(number, v uint64, m []byte) error {
		switch number {
		case 1:
			f, pos, err := parseField(m, depth)
			if err != nil {
				return err
			}
			s.Fields = append(s.Fields, f)
			positions = append(positions, pos)
		case 4:
			reorder = v != 0
		}
		return nil
	})
	if err != nil || !reorder {
		return s, err
	}
	ordered := make([]Field, len(s.Fields))
	taken := make([]bool, len(s.Fields))
	for i, pos := range positions {
		if pos >= uint64(len(ordered)) || taken[pos] {
			return Schema{}, fmt.Errorf("position %d of field %q is out of range or taken", pos, s.Fields[i].Name)
		}
		ordered[pos], taken[pos] = s.Fields[i], true
	}
	return Schema{Fields: ordered}, nil
}

func parseField(b []byte, depth int) (f Field, pos uint64, err error) {
	err = eachField(b, func(number, v uint64, m []byte) (err error) {
		switch number {
		case 1:
			f.Name = string(m)
		case 3:
			f.Type, err = parseType(m, depth+1)
		case 5:
			pos = v
		}
		return err
	})
	if err == nil && f.Type.Kind == 0 {
		err = errors.New("no type")
	}
	if err != nil {
		err = fmt.Errorf("field %q: %w", f.Name, err)
	}
	return f, pos, err
}

func parseType(b []byte, depth int) (t FieldType, err error) {
	if depth > depthMax {
		return t, fmt.Errorf("nested more than %d deep", depthMax)
	}
	err = eachField(b, func(number, v uint64, m []byte) (err error) {
		switch number {
		case protoNullable:
			t.Nullable = v != 0
		case protoAtomic:
			if v < uint64(Byte) || v > uint64(Bytes) {
				return fmt.Errorf("atomic type %d is unknown", v)
			}
			t.Kind = Kind(v)
		case protoArray, protoIterable:
			t.Kind = Array
			t.Elem, _, err = parseTypes(m, depth+1, 1, 0)
		case protoMap:
			t.Kind = Map
			t.Key, t.Elem, err = parseTypes(m, depth+1, 1, 2)
		case protoRow:
			t.Kind = Row
			t.Row = new(Schema)
			err = eachField(m, func(number, _ uint64, m []byte) (err error) {
				if number == 1 {
					*t.Row, err = parseSchema(m, depth+1)
				}
				return err
			})
		case protoLogical:
			t.Kind = Logical
			err = t.parseLogical(m, depth+1)
		}
		return err
	})
	if err == nil && t.Kind == 0 {
		err = errors.New("no type")
	}
	return t, err
}

// parseTypes reads the types in one or two fields of a message; second may be 0.
func parseTypes(b []byte, depth int, first, second uint64) (x, y *FieldType, err error) {
	err = eachField(b, func(number, _ uint64, m []byte) error {
		if number != first && number != second {
			return nil
		}
		t, err := parseType(m, depth)
		if number == first {
			x = &t
		} else {
			y = &t
		}
		return err
	})
	if err == nil && (x == nil || second != 0 && y == nil) {
		err = errors.New("no type of elements")
	}
	return x, y, err
}

func (t *FieldType) parseLogical(b []byte, depth int) error {
	err := eachField(b, func(number, _ uint64, m []byte) error {
		switch number {
		case 1:
			t.URN = string(m)
		case 3:
			repr, err := parseType(m, depth)
			t.Elem = &repr
			return err
		case 5: // FieldValue
			return eachField(m, func(number, _ uint64, m []byte) error {
				if number != 1 {
					return nil
				}
				return eachField(m, func(number, v uint64, _ []byte) error { // AtomicTypeValue
					if number == 3 && v <= math.MaxInt32 {
						t.Arg = int32(v)
					}
					return nil
				})
			})
		}
		return nil
	})
	if err == nil && (t.URN == "" || t.Elem == nil) {
		err = fmt.Errorf("logical type %q without a representation", t.URN)
	}
	return err
}

// eachField calls f for each field of a protobuf message, with v for the wire types
// of numbers and m, a part of b, for the type of bytes.
func eachField(b []byte, f func(number, v uint64, m []byte) error) error {
	for len(b) > 0 {
		key, rest, err := readUvarint(b)
		if err != nil {
			return err
		}
		var v uint64
		var m []byte
		switch key & 7 {
		case 0:
			v, rest, err = readUvarint(rest)
		case 1:
			v, rest, err = readUint64(rest)
		case 2:
			m, rest, err = readBlock(rest)
		case 5:
			if len(rest) < 4 {
				return ErrShort
			}
			v, rest = uint64(binary.LittleEndian.Uint32(rest)), rest[4:]
		default:
			return fmt.Errorf("wire type %d", key&7)
		}
		if err != nil {
			return err
		}
		if err := f(key>>3, v, m); err != nil {
			return err
		}
		b = rest
	}
	return nil
}
