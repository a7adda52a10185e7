package batch

import "encoding/binary"

// Partition is the partition, of n, that Java's producer sends key to, and with
// it most others. Records without a key have none of their own: where those go
// is the caller's to say. n must be 1 or more.
func Partition(key []byte, n int) int {
	return int(uint32(murmur2(key))&0x7fffffff) % n
}

// murmur2 is MurmurHash2 (32 bits) as Kafka has it: read little-endian, and with
// a seed of its own. Source: Austin Appleby's MurmurHash2; Kafka's
// org.apache.kafka.common.utils.Utils for the seed.
func murmur2(b []byte) int32 {
	const (
		m = 0x5bd1e995
		r = 24
	)
	h := uint32(0x9747b28c) ^ uint32(len(b))
	for ; len(b) >= 4; b = b[4:] {
		k := binary.LittleEndian.Uint32(b) * m
		k ^= k >> r
		h = h*m ^ k*m
	}
	switch len(b) {
	case 3:
		h ^= uint32(b[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(b[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(b[0])) * m
	}
	h = (h ^ h>>13) * m
	return int32(h ^ h>>15)
}
