package keygroup

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// The constants of SumBytes: the fractional parts of the golden ratio, of pi and of
// e, made odd.
const (
	k0 = 0x9E3779B97F4A7C15
	k1 = 0x243F6A8885A308D3
	k2 = 0xB7E151628AED2A6B
)

// fold multiplies to 128 bits and folds the halves.
func fold(x, y uint64) uint64 {
	hi, lo := bits.Mul64(x, y)
	return hi ^ lo
}

// SumString is [SumBytes] of the bytes of s.
func SumString(s string) uint64 { return SumBytes(unsafe.Slice(unsafe.StringData(s), len(s))) }

// SumBytes hashes bytes, sixteen at a time: see docs/format/keyhash.md. It is meant
// for keys, not for keeping out an attacker who chooses them.
//
// Source: the multiply-and-fold step is the one of Wang Yi's wyhash (public domain);
// constants, order and tail are ours.
func SumBytes(b []byte) uint64 {
	n := len(b)
	h := uint64(k0)
	var x, y uint64
	switch {
	case n > 16:
		for t := b; len(t) > 16; t = t[16:] {
			h = fold(binary.LittleEndian.Uint64(t)^k1, binary.LittleEndian.Uint64(t[8:])^h)
		}
		x = binary.LittleEndian.Uint64(b[n-16:])
		y = binary.LittleEndian.Uint64(b[n-8:])
	case n >= 8:
		x = binary.LittleEndian.Uint64(b)
		y = binary.LittleEndian.Uint64(b[n-8:])
	case n >= 4:
		x = uint64(binary.LittleEndian.Uint32(b))
		y = uint64(binary.LittleEndian.Uint32(b[n-4:]))
	case n > 0:
		x = uint64(b[0])<<16 | uint64(b[n>>1])<<8 | uint64(b[n-1])
	}
	return fold(k2^uint64(n), fold(x^k1, y^h))
}
