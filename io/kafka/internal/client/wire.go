package client

import (
	"encoding/binary"
	"errors"
)

// errCorrupt is what a reader holds once an answer ended early, or counts more
// elements than its bytes can hold.
var errCorrupt = errors.New("the answer is corrupt")

// A writer appends the fields of a request. flex is whether the version has
// compact lengths and tagged fields (KIP-482).
type writer struct {
	b    []byte
	flex bool
}

func (w *writer) int8(v int8)   { w.b = append(w.b, byte(v)) }
func (w *writer) int16(v int16) { w.b = binary.BigEndian.AppendUint16(w.b, uint16(v)) }
func (w *writer) int32(v int32) { w.b = binary.BigEndian.AppendUint32(w.b, uint32(v)) }
func (w *writer) int64(v int64) { w.b = binary.BigEndian.AppendUint64(w.b, uint64(v)) }

func (w *writer) bool(v bool) {
	if v {
		w.int8(1)
	} else {
		w.int8(0)
	}
}

func (w *writer) string(s string) {
	if w.flex {
		w.b = binary.AppendUvarint(w.b, uint64(len(s))+1)
	} else {
		w.int16(int16(len(s)))
	}
	w.b = append(w.b, s...)
}

// nullable writes the empty string as null.
func (w *writer) nullable(s string) {
	switch {
	case s != "":
		w.string(s)
	case w.flex:
		w.b = append(w.b, 0)
	default:
		w.int16(-1)
	}
}

// array writes the length of an array; -1 is null.
func (w *writer) array(n int) {
	if w.flex {
		w.b = binary.AppendUvarint(w.b, uint64(n+1))
	} else {
		w.int32(int32(n))
	}
}

// bytesLen writes the length of bytes that follow the frame so far.
func (w *writer) bytesLen(n int) { w.array(n) }

// bytes writes bytes.
func (w *writer) bytes(b []byte) {
	w.array(len(b))
	w.b = append(w.b, b...)
}

// tags ends a structure: no tagged fields.
func (w *writer) tags() {
	if w.flex {
		w.b = append(w.b, 0)
	}
}

// A reader takes the fields of an answer apart. After the first that isn't there
// every read gives zero, and err is errCorrupt; so only ends need to look. It
// never allocates more than the answer's own size warrants.
type reader struct {
	b    []byte
	flex bool
	err  error
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail()
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) fail() {
	r.err = errCorrupt
	r.b = nil
}

func (r *reader) int8() int8 {
	if b := r.take(1); b != nil {
		return int8(b[0])
	}
	return 0
}

func (r *reader) int16() int16 {
	if b := r.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) int32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *reader) int64() int64 {
	if b := r.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (r *reader) bool() bool { return r.int8() != 0 }

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > 1<<32 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// length reads how long a string is: -1 is null.
func (r *reader) length() int {
	if r.flex {
		return int(r.uvarint()) - 1
	}
	return int(r.int16())
}

// raw reads a string's bytes: they lie in the answer. Null is nil.
func (r *reader) raw() []byte {
	n := r.length()
	if n < 0 || r.err != nil {
		return nil
	}
	return r.take(n)
}

func (r *reader) string() string { return string(r.raw()) }

// bytes reads bytes, which lie in the answer. Null is nil.
func (r *reader) bytes() []byte {
	n := r.count()
	if n < 0 || r.err != nil {
		return nil
	}
	return r.take(n)
}

func (r *reader) count() int {
	if r.flex {
		return int(r.uvarint()) - 1
	}
	return int(r.int32())
}

// array reads how many elements follow, each of at least size bytes; null is
// none.
func (r *reader) array(size int) int {
	n := r.count()
	if n <= 0 {
		return 0
	}
	if n > len(r.b)/size {
		r.fail()
		return 0
	}
	return n
}

// skip32 steps over an array of int32.
func (r *reader) skip32() { r.take(4 * r.array(4)) }

// tags steps over the tagged fields that end a structure.
func (r *reader) tags() { r.tagged(nil) }

// tagged hands each tagged field to f, which reads of it what it knows.
func (r *reader) tagged(f func(tag uint64, field *reader)) {
	if !r.flex || r.err != nil {
		return
	}
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		tag := r.uvarint()
		field := reader{b: r.take(int(r.uvarint())), flex: true, err: r.err}
		if f == nil || r.err != nil {
			continue
		}
		if f(tag, &field); field.err != nil {
			r.fail()
		}
	}
}
