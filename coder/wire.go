package coder

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrShort reports that the bytes end inside a value.
var ErrShort = errors.New("encoding ends too early")

var errVarint = errors.New("varint is longer than 64 bits")

// AppendVarint appends v as Beam's varint: the two's complement of 64 bits, seven
// bits a byte, lowest first. A negative number takes ten bytes.
func AppendVarint(b []byte, v int64) []byte { return appendUvarint(b, uint64(v)) }

func appendUvarint(b []byte, u uint64) []byte {
	for u >= 0x80 {
		b = append(b, byte(u)|0x80)
		u >>= 7
	}
	return append(b, byte(u))
}

// ReadVarint reads what AppendVarint wrote and returns it with what follows.
func ReadVarint(b []byte) (int64, []byte, error) {
	u, rest, err := readUvarint(b)
	return int64(u), rest, err
}

func readUvarint(b []byte) (uint64, []byte, error) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), b[1:], nil
	}
	u, n := binary.Uvarint(b)
	switch {
	case n > 0:
		return u, b[n:], nil
	case n == 0 && len(b) < binary.MaxVarintLen64:
		return 0, nil, ErrShort
	}
	return 0, nil, errVarint
}

func appendString(b []byte, s string) []byte {
	b = appendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendBlock(b, v []byte) []byte {
	b = appendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

// readBlock returns the bytes after a length, still a part of b.
func readBlock(b []byte) (block, rest []byte, err error) {
	n, rest, err := readUvarint(b)
	if err != nil {
		return nil, nil, err
	}
	if n > uint64(len(rest)) {
		return nil, nil, ErrShort
	}
	return rest[:n:n], rest[n:], nil
}

// cloneBytes copies b; the copy of nothing is nil.
func cloneBytes(b []byte) []byte { return append([]byte(nil), b...) }

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func readBool(b []byte) (bool, []byte, error) {
	if len(b) == 0 {
		return false, nil, ErrShort
	}
	if b[0] > 1 {
		return false, nil, fmt.Errorf("byte %#02x is no boolean", b[0])
	}
	return b[0] == 1, b[1:], nil
}

func readByte(b []byte) (byte, []byte, error) {
	if len(b) == 0 {
		return 0, nil, ErrShort
	}
	return b[0], b[1:], nil
}

func readUint16(b []byte) (uint16, []byte, error) {
	if len(b) < 2 {
		return 0, nil, ErrShort
	}
	return binary.BigEndian.Uint16(b), b[2:], nil
}

func readUint32(b []byte) (uint32, []byte, error) {
	if len(b) < 4 {
		return 0, nil, ErrShort
	}
	return binary.BigEndian.Uint32(b), b[4:], nil
}

func readUint64(b []byte) (uint64, []byte, error) {
	if len(b) < 8 {
		return 0, nil, ErrShort
	}
	return binary.BigEndian.Uint64(b), b[8:], nil
}

// appendDouble writes every NaN as one, the one that Java writes.
func appendDouble(b []byte, v float64) []byte {
	u := math.Float64bits(v)
	if v != v {
		u = 0x7ff8000000000000
	}
	return binary.BigEndian.AppendUint64(b, u)
}

func appendFloat(b []byte, v float32) []byte {
	u := math.Float32bits(v)
	if v != v {
		u = 0x7fc00000
	}
	return binary.BigEndian.AppendUint32(b, u)
}

// chunked is the count that says: the length was not known, chunks follow.
const chunked = -1

// appendCount appends the number of elements of an iterable or a map.
func appendCount(b []byte, n int) []byte {
	if n > math.MaxInt32 {
		panic(fmt.Sprintf("coder: %d elements in one collection, the format ends at %d", n, math.MaxInt32))
	}
	return binary.BigEndian.AppendUint32(b, uint32(n))
}

// readCount reads the number of elements, or chunked.
func readCount(b []byte) (int, []byte, error) {
	u, rest, err := readUint32(b)
	if err != nil {
		return 0, nil, err
	}
	if n := int32(u); n >= chunked {
		return int(n), rest, nil
	}
	return 0, nil, fmt.Errorf("element count %d is negative", int32(u))
}

// readChunk reads the number of elements of the next chunk; 0 ends the iterable.
func readChunk(b []byte) (int, []byte, error) {
	n, rest, err := ReadVarint(b)
	switch {
	case err != nil:
		return 0, nil, err
	case n == -1:
		return 0, nil, errors.New("iterable continues in a runner's state, which this coder cannot fetch")
	case n < 0 || n > math.MaxInt32:
		return 0, nil, fmt.Errorf("chunk of %d elements", n)
	}
	return int(n), rest, nil
}
