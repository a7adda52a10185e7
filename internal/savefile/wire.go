package savefile

import (
	"encoding/binary"
	"errors"
)

var errBytes = errors.New("bytes that are none of this format")

func appendUint(b []byte, v uint64) []byte  { return binary.AppendUvarint(b, v) }
func appendInt(b []byte, v int64) []byte    { return binary.AppendVarint(b, v) }
func appendBlock(b []byte, v []byte) []byte { return append(appendUint(b, uint64(len(v))), v...) }
func appendText(b []byte, s string) []byte  { return append(appendUint(b, uint64(len(s))), s...) }
func appendFixed(b []byte, vs ...uint64) []byte {
	for _, v := range vs {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}

// reader reads from the front of b until something is wrong; then all that it reads
// is zero. Its blocks are pieces of b.
type reader struct {
	b   []byte
	err error
}

func (d *reader) fail() {
	d.b, d.err = nil, errBytes
}

func (d *reader) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *reader) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

// upTo is a number that may be as large as most.
func (d *reader) upTo(most uint64) int {
	v := d.uint()
	if v > most {
		d.fail()
		return 0
	}
	return int(v)
}

func (d *reader) block() []byte {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

// end says that all of b should have been read by now.
func (d *reader) end() error {
	if d.err == nil && len(d.b) > 0 {
		d.fail()
	}
	return d.err
}
