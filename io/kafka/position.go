package kafka

import (
	"encoding/binary"
	"fmt"
	"math"
)

// spot is where the reader of a partition is.
type spot struct {
	next  int64 // the offset to go on from
	epoch int32 // leader epoch of the batch before it; -1 if it is not known
	end   int64 // where reading ends; -1 if it does not
}

// topicID is what brokers tell a topic by from others of the same name, such as one
// that was deleted; zero if it is not known.
type topicID [16]byte

const spotVersion = 1

// append appends p as snapshots keep it: see docs/format/kafka-positions.md.
func (p spot) append(b []byte, topic topicID) []byte {
	b = append(b, spotVersion)
	b = append(b, topic[:]...)
	b = binary.AppendUvarint(b, uint64(p.next))
	b = binary.AppendUvarint(b, uint64(p.epoch+1))
	return binary.AppendUvarint(b, uint64(p.end+1))
}

func readPosition(b []byte) (spot, topicID, error) {
	damaged := fmt.Errorf("damaged position")
	var topic topicID
	if len(b) < 1+len(topic) {
		return spot{}, topic, damaged
	}
	if b[0] != spotVersion {
		return spot{}, topic, fmt.Errorf("damaged position, or one of another version: %d", b[0])
	}
	rest := b[1+copy(topic[:], b[1:]):]
	var v [3]uint64
	for i := range v {
		n := 0
		if v[i], n = binary.Uvarint(rest); n <= 0 || v[i] > math.MaxInt64 {
			return spot{}, topic, damaged
		}
		rest = rest[n:]
	}
	p := spot{next: int64(v[0]), epoch: int32(v[1] - 1), end: int64(v[2]) - 1}
	if len(rest) > 0 || v[1] > math.MaxInt32 || string(p.append(nil, topic)) != string(b) {
		return spot{}, topic, damaged
	}
	return p, topic, nil
}
