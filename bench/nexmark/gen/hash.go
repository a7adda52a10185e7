package gen

// K_1 to K_5 of the specification: Mix64(i) | 1.
const (
	k1 uint64 = 0x5692161d100b05e5
	k2 uint64 = 0xdbd238973a2b148b
	k3 uint64 = 0x1e535eede31428f1
	k4 uint64 = 0xb7a4712c74562915
	k5 uint64 = 0xb6bf613dbebb45dd
)

// Mix64 is the output function of splitmix64: a bijection whose every output
// bit depends on every input bit.
//
// Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators",
// OOPSLA 2014.
func Mix64(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// Fnv is FNV-1a, 64 bits, over the bytes of s: how a string enters a checksum.
func Fnv(s string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001b3
	}
	return h
}

// H2 hashes an output record of two fields. A query's checksum is the sum of
// the hashes of all its outputs, modulo 2^64, and so independent of their order.
func H2(a, b uint64) uint64 { return Mix64(a*k1 + b*k2) }

// H3 hashes an output record of three fields.
func H3(a, b, c uint64) uint64 { return Mix64(a*k1 + b*k2 + c*k3) }

// H4 hashes an output record of four fields.
func H4(a, b, c, d uint64) uint64 { return Mix64(a*k1 + b*k2 + c*k3 + d*k4) }

// H5 hashes an output record of five fields.
func H5(a, b, c, d, e uint64) uint64 { return Mix64(a*k1 + b*k2 + c*k3 + d*k4 + e*k5) }
