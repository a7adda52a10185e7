package flow

import (
	"encoding/binary"
	"errors"

	"github.com/millrace/millrace/window"
)

// errShort reports bytes that end too early. State comes from our own store, so
// it means damage, and the run ends with it.
var errShort = errors.New("state bytes end early")

// errPosition reports a position that none of a piece's readers gave.
var errPosition = errors.New("damaged position")

func appendInt(b []byte, v int64) []byte { return binary.AppendVarint(b, v) }

func takeInt(b []byte) (int64, []byte, error) {
	v, n := binary.Varint(b)
	if n <= 0 {
		return 0, nil, errShort
	}
	return v, b[n:], nil
}

func takeUint(b []byte) (uint64, []byte, error) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, errShort
	}
	return v, b[n:], nil
}

// appendBytes appends b with its length before it.
func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func takeBytes(b []byte) (v, rest []byte, err error) {
	n, b, err := takeUint(b)
	if err != nil || n > uint64(len(b)) {
		return nil, nil, errShort
	}
	return b[:n:n], b[n:], nil
}

func appendWindow(b []byte, w window.Interval) []byte {
	return appendInt(appendInt(b, w.Start), w.End)
}

func takeWindow(b []byte) (w window.Interval, rest []byte, err error) {
	if w.Start, b, err = takeInt(b); err != nil {
		return w, nil, err
	}
	w.End, b, err = takeInt(b)
	return w, b, err
}
