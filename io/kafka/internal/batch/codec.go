package batch

import (
	"fmt"
	"slices"
)

// Codec is how the records of a batch are compressed, by Kafka's numbers.
type Codec int8

// The codecs of Kafka.
const (
	None Codec = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

var codecNames = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// String is the codec's name in Kafka's settings (compression.type).
func (c Codec) String() string {
	if c < 0 || int(c) >= len(codecNames) {
		return fmt.Sprintf("codec %d", int8(c))
	}
	return codecNames[c]
}

// ParseCodec returns the codec that String gives name for.
func ParseCodec(name string) (Codec, bool) {
	i := slices.Index(codecNames, name)
	return Codec(max(i, 0)), i >= 0
}
