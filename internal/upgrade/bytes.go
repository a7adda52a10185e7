package upgrade

import (
	"encoding/binary"
	"errors"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/window"
)

// Rows are written by internal/flow with Go's varints, values within them by coders.

var errShort = errors.New("the row ends early")

func appendInt(b []byte, v int64) []byte { return binary.AppendVarint(b, v) }

func takeInt(b []byte) (int64, []byte, error) {
	v, n := binary.Varint(b)
	if n <= 0 {
		return 0, nil, errShort
	}
	return v, b[n:], nil
}

// emptyMax is how many things may be counted of which none takes a byte.
const emptyMax = 1 << 16

// takeCount reads a number of things that follow.
func takeCount(b []byte) (int, []byte, error) {
	v, n := binary.Uvarint(b)
	if n <= 0 || v > uint64(len(b))+emptyMax {
		return 0, nil, errShort
	}
	return int(v), b[n:], nil
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func takeBytes(b []byte) (v, rest []byte, err error) {
	u, n := binary.Uvarint(b)
	if n <= 0 || u > uint64(len(b)-n) {
		return nil, nil, errShort
	}
	b = b[n:]
	return b[:u:u], b[u:], nil
}

func appendWindow(b []byte, w window.Interval) []byte {
	return appendInt(appendInt(b, w.Start), w.End)
}

func takeWindow(b []byte) (w window.Interval, rest []byte, err error) {
	if w.Start, b, err = takeInt(b); err != nil {
		return w, nil, err
	}
	if w.End, b, err = takeInt(b); err == nil && w.End < w.Start {
		err = errors.New("the window ends before it starts")
	}
	return w, b, err
}

// Times that may be missing are stored so that 0 means so.
func pack(ts int64) int64  { return ts - window.MinTime + 1 }
func unpack(p int64) int64 { return p + window.MinTime - 1 }

// takeMaybe reads a packed time and appends it as a nullable instant.
func takeMaybe(dst, raw []byte) ([]byte, []byte, error) {
	p, raw, err := takeInt(raw)
	if err != nil || p == 0 {
		return append(dst, 0), raw, err
	}
	return coder.AppendVarint(append(dst, 1), unpack(p)), raw, nil
}

// appendMaybe is the inverse.
func appendMaybe(dst, b []byte) ([]byte, []byte, error) {
	if len(b) == 0 {
		return nil, nil, errShort
	}
	if b[0] == 0 {
		return appendInt(dst, 0), b[1:], nil
	}
	ts, b, err := coder.ReadVarint(b[1:])
	return appendInt(dst, pack(ts)), b, err
}

// count patches the number of elements of an iterable that begins at head.
func count(dst []byte, head, n int) []byte {
	binary.BigEndian.PutUint32(dst[head:], uint32(n))
	return dst
}

// takeListed reads the number of elements of an iterable.
func takeListed(b []byte) (int, []byte, error) {
	if len(b) < 4 {
		return 0, nil, errShort
	}
	n := binary.BigEndian.Uint32(b)
	if n > 1<<31-1 {
		return 0, nil, errors.New("the list has no length")
	}
	return int(n), b[4:], nil
}
