package batch

import "encoding/binary"

// varint reads a zigzag varint from the front of b, and says how many bytes it
// took: 0 if b ends inside it or it has more than 64 bits. Almost all numbers
// of a record take one or two bytes.
func varint(b []byte) (v int64, n int) {
	if len(b) >= 2 {
		u := uint64(b[0])
		if u < 0x80 {
			return int64(u>>1) ^ -int64(u&1), 1
		}
		if b[1] < 0x80 {
			u = u&0x7f | uint64(b[1])<<7
			return int64(u>>1) ^ -int64(u&1), 2
		}
	}
	return longVarint(b)
}

//go:noinline
func longVarint(b []byte) (int64, int) {
	v, n := binary.Varint(b)
	return v, max(n, 0)
}

// varintSize is how many bytes v takes.
func varintSize(v int64) int {
	u := uint64(v)<<1 ^ uint64(v>>63)
	n := 1
	for ; u >= 0x80; u >>= 7 {
		n++
	}
	return n
}
