package kafka

import (
	"encoding/binary"
	"fmt"
	"math"
)

// spot is where the reader of a partition is, as snapshots keep it:
//
//	| version (1 byte) | next | epoch+1 | end+1 |    the latter three are uvarints
type spot struct {
	next  int64 // the offset to go on from
	epoch int32 // leader epoch of the batch before it; -1 if it is not known
	end   int64 // where reading ends; -1 if it does not
}

const spotVersion = 1

func (p spot) append(b []byte) []byte {
	b = append(b, spotVersion)
	b = binary.AppendUvarint(b, uint64(p.next))
	b = binary.AppendUvarint(b, uint64(p.epoch+1))
	return binary.AppendUvarint(b, uint64(p.end+1))
}

func readPosition(b []byte) (spot, error) {
	if len(b) > 0 && b[0] != spotVersion {
		return spot{}, fmt.Errorf("damaged position, or one of another version: %d", b[0])
	}
	var v [3]uint64
	rest := b[min(1, len(b)):]
	for i := range v {
		n := 0
		if v[i], n = binary.Uvarint(rest); n <= 0 || v[i] > math.MaxInt64 {
			return spot{}, fmt.Errorf("damaged position")
		}
		rest = rest[n:]
	}
	p := spot{next: int64(v[0]), epoch: int32(v[1] - 1), end: int64(v[2]) - 1}
	if len(rest) > 0 || v[1] > math.MaxInt32 || string(p.append(nil)) != string(b) {
		return spot{}, fmt.Errorf("damaged position")
	}
	return p, nil
}
