package coder

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// walk is one pass over bytes: how many elements without bytes it may still meet, so
// that a few bytes cannot make work for two billion.
type walk struct{ empties int }

func newWalk() *walk { return &walk{emptyMax} }

// count checks that n elements of at least least bytes are worth going through, of
// which left bytes are there.
func (w *walk) count(n, left, least int) error {
	if least > 0 {
		if n > left/least {
			return ErrShort
		}
		return nil
	}
	if w.empties -= n; w.empties < 0 {
		return errEmpty
	}
	return nil
}

// Skip returns what follows one value at the front of b, which it checks on the way.
func (d *Description) Skip(b []byte) (rest []byte, err error) {
	return d.skip(newWalk(), b)
}

func (d *Description) skip(w *walk, b []byte) ([]byte, error) {
	switch d.form {
	case formBool:
		_, b, err := readBool(b)
		return b, err
	case formInt64, formUint64, formMillis:
		_, b, err := readUvarint(b)
		return b, err
	case formInt32, formUint16, formUint32:
		_, b, err := d.readNumber(b)
		return b, err
	case formInt8, formUint8:
		return skipBytes(b, 1)
	case formInt16:
		return skipBytes(b, 2)
	case formFloat:
		return skipBytes(b, 4)
	case formDouble:
		return skipBytes(b, 8)
	case formString, formBytes:
		_, b, err := readBlock(b)
		return b, err
	case formFixed:
		_, b, err := d.readFixed(b)
		return b, err
	case formTime:
		_, _, b, err := readTime(b)
		return b, err
	case formNullable:
		set, b, err := readBool(b)
		if err != nil || !set {
			return b, err
		}
		return d.args[0].skip(w, b)
	case formIterable, formArray:
		return d.elements(w, b, func(b []byte) ([]byte, error) { return d.args[0].skip(w, b) })
	case formMap:
		return d.entries(w, b, func(key, val []byte) error { return nil })
	case formKV:
		b, err := d.args[0].skip(w, b)
		if err != nil {
			return nil, err
		}
		return d.args[1].skip(w, b)
	case formEither:
		right, b, err := readBool(b)
		if err != nil {
			return nil, err
		}
		return d.args[side(right)].skip(w, b)
	case formSharded:
		_, b, err := readBlock(b)
		if err != nil {
			return nil, err
		}
		return d.args[0].skip(w, b)
	case formGlobal:
		return b, nil
	case formInterval:
		_, b, err := IntervalWindows().Decode(b)
		return b, err
	case formBlock:
		_, b, err := d.readPart(w, b)
		return b, err
	case formRow:
		_, b, err := d.split(w, b, nil)
		return b, err
	case formTuple:
		for _, f := range d.fields {
			var err error
			if b, err = f.d.skip(w, b); err != nil {
				return nil, fmt.Errorf("%s: %w", f.name, err)
			}
		}
		return b, nil
	}
	return d.skipOpaque(b)
}

// side is the index of the coder of one side of an either.
func side(right bool) int {
	if right {
		return 1
	}
	return 0
}

func skipBytes(b []byte, n int) ([]byte, error) {
	if len(b) < n {
		return nil, ErrShort
	}
	return b[n:], nil
}

// skipOpaque asks the registered decoder where the value ends; without one it is the last.
func (d *Description) skipOpaque(b []byte) ([]byte, error) {
	if d.user == nil {
		return b[len(b):], nil
	}
	rest, err := d.user.dec(d.user.value(), b)
	if err != nil {
		return nil, fmt.Errorf("coder %s: %w", d.id, err)
	}
	if len(rest) > len(b) {
		return nil, fmt.Errorf("coder %s returns more than it was given", d.id)
	}
	return b[len(b)-len(rest):], nil
}

// readNumber reads an integer of any form; a signed one is in its two's complement.
func (d *Description) readNumber(b []byte) (uint64, []byte, error) {
	switch d.form {
	case formInt8:
		v, b, err := readByte(b)
		return uint64(int8(v)), b, err
	case formUint8:
		v, b, err := readByte(b)
		return uint64(v), b, err
	case formInt16:
		v, b, err := readUint16(b)
		return uint64(int16(v)), b, err
	}
	u, b, err := readUvarint(b)
	if err != nil {
		return 0, nil, err
	}
	switch v := int64(u); {
	case d.form == formInt32 && u > math.MaxUint32 && (v >= 0 || v < math.MinInt32):
		return 0, nil, fmt.Errorf("varint %d does not fit into int32", v)
	case d.form == formInt32:
		return uint64(int32(u)), b, nil
	case d.form == formUint16 && u > math.MaxUint16, d.form == formUint32 && u > math.MaxUint32:
		return 0, nil, fmt.Errorf("varint %d does not fit into %v", v, d)
	}
	return u, b, nil
}

// appendNumber is the inverse of readNumber, for a number that fits.
func (d *Description) appendNumber(b []byte, u uint64) []byte {
	switch d.form {
	case formInt8, formUint8:
		return append(b, byte(u))
	case formInt16:
		return binary.BigEndian.AppendUint16(b, uint16(u))
	case formInt32:
		return appendUvarint(b, uint64(uint32(u)))
	}
	return appendUvarint(b, u)
}

func (d *Description) readFixed(b []byte) (raw, rest []byte, err error) {
	raw, rest, err = readBlock(b)
	if err == nil && len(raw) != d.n {
		err = fmt.Errorf("%d bytes for an array of %d", len(raw), d.n)
	}
	return raw, rest, err
}

// readPart reads a block that holds one value and nothing else.
func (d *Description) readPart(w *walk, b []byte) (part, rest []byte, err error) {
	part, rest, err = readBlock(b)
	if err != nil {
		return nil, nil, err
	}
	left, err := d.args[0].skip(w, part)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("%d bytes follow a value of coder %s in its field", len(left), d.args[0].id)
	}
	return part, rest, err
}

// readTime reads an instant, see timeCodec.
func readTime(b []byte) (sec int64, nano uint64, rest []byte, err error) {
	if len(b) < 2 {
		return 0, 0, nil, ErrShort
	}
	if b[0] != 2 || b[1] != 0 {
		return 0, 0, nil, fmt.Errorf("row % x does not begin a timestamp", b[:2])
	}
	if sec, b, err = ReadVarint(b[2:]); err != nil {
		return 0, 0, nil, err
	}
	if nano, b, err = readUvarint(b); err != nil {
		return 0, 0, nil, err
	}
	if nano > 999_999_999 {
		return 0, 0, nil, errNanos
	}
	if sec > secondsMax {
		return 0, 0, nil, fmt.Errorf("second %d is beyond what a time can hold", sec)
	}
	return sec, nano, b, nil
}

// elements calls f at each element of an iterable or array; f returns what follows it.
func (d *Description) elements(w *walk, b []byte, f func(b []byte) ([]byte, error)) ([]byte, error) {
	n, b, err := readCount(b)
	if err != nil {
		return nil, err
	}
	if d.form == formArray && n != d.n {
		return nil, fmt.Errorf("%d elements for an array of %d", n, d.n)
	}
	last := n != chunked
	for {
		if !last {
			if n, b, err = readChunk(b); err != nil {
				return nil, err
			}
			last = n == 0
		}
		if err := w.count(n, len(b), d.args[0].min); err != nil {
			return nil, err
		}
		for range n {
			if b, err = f(b); err != nil {
				return nil, err
			}
		}
		if last {
			return b, nil
		}
	}
}

// entries calls f with each entry of a map.
func (d *Description) entries(w *walk, b []byte, f func(key, val []byte) error) ([]byte, error) {
	n, b, err := readCount(b)
	if err != nil {
		return nil, err
	}
	if n < 0 {
		return nil, errors.New("map without a count")
	}
	if err := w.count(n, len(b), d.args[0].min+d.args[1].min); err != nil {
		return nil, err
	}
	for range n {
		val, err := d.args[0].skip(w, b)
		if err != nil {
			return nil, err
		}
		rest, err := d.args[1].skip(w, val)
		if err != nil {
			return nil, err
		}
		if err := f(b[:len(b)-len(val)], val[:len(val)-len(rest)]); err != nil {
			return nil, err
		}
		b = rest
	}
	return b, nil
}

// split cuts a row into its fields, appended to fields: nil where a field is null or was
// not there yet when the row was written (then beyond the count of n).
func (d *Description) split(w *walk, b []byte, fields [][]byte) (_ [][]byte, rest []byte, err error) {
	n, b, err := readUvarint(b)
	if err != nil {
		return nil, nil, err
	}
	if n > uint64(len(d.fields)) {
		return nil, nil, fmt.Errorf("row of %d fields for a schema of %d", n, len(d.fields))
	}
	nulls, b, err := readBlock(b)
	if err != nil {
		return nil, nil, err
	}
	for i, f := range d.fields[:n] {
		if i>>3 < len(nulls) && nulls[i>>3]&(1<<(i&7)) != 0 {
			if !f.nullable {
				return nil, nil, fmt.Errorf("field %s is null, but not a pointer", f.name)
			}
			fields = append(fields, nil)
			continue
		}
		rest, err := f.d.skip(w, b)
		if err != nil {
			return nil, nil, fmt.Errorf("field %s: %w", f.name, err)
		}
		fields = append(fields, b[:len(b)-len(rest):len(b)-len(rest)])
		b = rest
	}
	return fields, b, nil
}

// appendRow joins fields to a row. A nil field is null.
func (d *Description) appendRow(b []byte, fields [][]byte) []byte {
	b = appendUvarint(b, uint64(len(d.fields)))
	last := -1
	for i, f := range fields {
		if f == nil {
			last = i
		}
	}
	n := (last + 8) / 8
	b = appendUvarint(b, uint64(n))
	at := len(b)
	b = append(b, make([]byte, n)...)
	for i, f := range fields {
		if f == nil {
			b[at+i>>3] |= 1 << (i & 7)
		}
	}
	for _, f := range fields {
		b = append(b, f...)
	}
	return b
}

// AppendZero appends the zero value of the type. It fails where a part was written by a
// registered coder that this process does not have.
func (d *Description) AppendZero(b []byte) ([]byte, error) {
	switch d.form {
	case formBool, formInt64, formUint64, formInt8, formUint8, formUint16, formInt32, formUint32, formString, formBytes, formNullable, formMillis:
		return append(b, 0), nil
	case formInt16:
		return append(b, 0, 0), nil
	case formFloat, formIterable, formMap:
		return append(b, 0, 0, 0, 0), nil
	case formDouble:
		return append(b, 0, 0, 0, 0, 0, 0, 0, 0), nil
	case formFixed:
		return append(appendUvarint(b, uint64(d.n)), make([]byte, d.n)...), nil
	case formTime:
		return append(AppendVarint(append(b, 2, 0), -secondsToUnix), 0), nil
	case formArray:
		b = appendCount(b, d.n)
		for range d.n {
			var err error
			if b, err = d.args[0].AppendZero(b); err != nil {
				return nil, err
			}
		}
		return b, nil
	case formKV:
		b, err := d.args[0].AppendZero(b)
		if err != nil {
			return nil, err
		}
		return d.args[1].AppendZero(b)
	case formSharded, formEither:
		return d.args[0].AppendZero(append(b, 0))
	case formGlobal:
		return b, nil
	case formInterval:
		return AppendVarint(AppendInstant(b, 0), 0), nil
	case formBlock:
		v, err := d.args[0].AppendZero(nil)
		return appendBlock(b, v), err
	case formRow:
		fields := make([][]byte, len(d.fields))
		for i, f := range d.fields {
			if f.nullable {
				continue
			}
			var err error
			if fields[i], err = f.d.AppendZero([]byte{}); err != nil {
				return nil, err
			}
		}
		return d.appendRow(b, fields), nil
	}
	if d.form == formTuple {
		for _, f := range d.fields {
			var err error
			if b, err = f.d.AppendZero(b); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	if d.user == nil {
		return nil, fmt.Errorf("coder %s is not registered in this program, which alone knows its zero value", d.id)
	}
	return d.user.enc(b, d.user.value()), nil
}
