package kafka

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/millrace/millrace/io/kafka/internal/batch"
)

// txnState is what a snapshot holds of a lane: its transaction, with all batches, so
// that it can be written again. As bytes:
//
//	| version (2) | run (8) | number uvarint | prefix | topics uvarint | topic* | CRC-32C of all before (4, big-endian) | batch* |
//	prefix:    | length uvarint | of ExactlyOnce |
//	topic:     | length uvarint | name | partitions uvarint | partition* |
//	partition: | id uvarint | batches uvarint | length uvarint * |
//
// A batch is one of Kafka's, which has a sum of its own. They follow in the order of
// their lengths.
type txnState struct {
	run    token
	number int64  // of the transaction; of the newest one if it has no batches
	prefix string // of the sink
	parts  []txnPart
}

// txnPart is the batches of one partition, in order.
type txnPart struct {
	topic     string
	partition int32
	batches   [][]byte
}

func (s *txnState) saved() *saved { return &saved{s.run, s.number, len(s.parts) > 0} }

const txnStateVersion = 2

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode appends the state. Parts of one topic should follow one another.
func (s *txnState) encode(b []byte) []byte {
	start := len(b)
	b = append(b, txnStateVersion)
	b = append(b, s.run[:]...)
	b = binary.AppendUvarint(b, uint64(s.number))
	b = binary.AppendUvarint(b, uint64(len(s.prefix)))
	b = append(b, s.prefix...)
	topics := s.topics()
	b = binary.AppendUvarint(b, uint64(len(topics)))
	for _, parts := range topics {
		b = binary.AppendUvarint(b, uint64(len(parts[0].topic)))
		b = append(b, parts[0].topic...)
		b = binary.AppendUvarint(b, uint64(len(parts)))
		for _, p := range parts {
			b = binary.AppendUvarint(b, uint64(p.partition))
			b = binary.AppendUvarint(b, uint64(len(p.batches)))
			for _, raw := range p.batches {
				b = binary.AppendUvarint(b, uint64(len(raw)))
			}
		}
	}
	b = appendSum(b, start)
	for _, p := range s.parts {
		for _, raw := range p.batches {
			b = append(b, raw...)
		}
	}
	return b
}

// appendSum appends the sum of what b has from start on.
func appendSum(b []byte, start int) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// topics is the parts, those of one topic together.
func (s *txnState) topics() (all [][]txnPart) {
	for i := 0; i < len(s.parts); {
		j := i + 1
		for j < len(s.parts) && s.parts[j].topic == s.parts[i].topic {
			j++
		}
		all = append(all, s.parts[i:j])
		i = j
	}
	return all
}

var errTxnState = errors.New("the state of a writer to Kafka is damaged")

// decodeTxnState reads a state. Its batches lie in b.
func decodeTxnState(b []byte) (*txnState, error) {
	if len(b) > 0 && b[0] != txnStateVersion && b[0] < 16 {
		return nil, fmt.Errorf("the state of a writer to Kafka has version %d, which this program does not know", b[0])
	}
	if len(b) < 1+8+4 || b[0] != txnStateVersion {
		return nil, errTxnState
	}
	s := &txnState{}
	r := stateReader{b: b[1:]}
	copy(s.run[:], r.bytes(8))
	s.number = int64(r.uvarint())
	s.prefix = string(r.bytes(r.uvarint()))
	var sizes []uint64
	for range r.count() {
		topic := string(r.bytes(r.uvarint()))
		for range r.count() {
			s.parts = append(s.parts, txnPart{topic, int32(r.uvarint()), make([][]byte, r.count())})
			for range s.parts[len(s.parts)-1].batches {
				sizes = append(sizes, r.uvarint())
			}
		}
	}
	head := b[:len(b)-len(r.b)]
	if sum := r.bytes(4); r.bad || crc32.Checksum(head, castagnoli) != binary.BigEndian.Uint32(sum) {
		return nil, errTxnState
	}
	for _, p := range s.parts {
		for i := range p.batches {
			p.batches[i] = r.bytes(sizes[0])
			sizes = sizes[1:]
			if !batch.Sound(p.batches[i]) {
				return nil, errTxnState
			}
		}
	}
	if len(r.b) > 0 {
		return nil, errTxnState
	}
	return s, nil
}

// stateReader takes bytes from the front, and notes if there were too few.
type stateReader struct {
	b   []byte
	bad bool
}

func (r *stateReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count is a number of things, each of which takes a byte at least.
func (r *stateReader) count() uint64 {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return 0
	}
	return n
}

func (r *stateReader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

// txnPositionVersion begins the metadata in which a position is kept, beside its number,
// which is the offset: "1 RUN LIFE RUN:NUMBER RUN:NUMBER ...", tokens in hex.
const txnPositionVersion = "1"

func (p txnPosition) metadata() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %x %x", txnPositionVersion, p.run, p.life)
	for _, f := range p.before {
		if f.run != (token{}) {
			fmt.Fprintf(&b, " %x:%d", f.run, f.number)
		}
	}
	return b.String()
}

// parseTxnPosition reads what metadata wrote.
func parseTxnPosition(number int64, metadata string) (p txnPosition, err error) {
	fields := strings.Fields(metadata)
	p.number = number
	ok := len(fields) >= 3 && fields[0] == txnPositionVersion && len(fields)-3 <= len(p.before) && number >= 0
	if ok {
		ok = parseToken(&p.run, fields[1]) && parseToken(&p.life, fields[2])
	}
	for i := 3; ok && i < len(fields); i++ {
		f := &p.before[i-3]
		run, n, _ := strings.Cut(fields[i], ":")
		f.number, err = strconv.ParseInt(n, 10, 64)
		ok = parseToken(&f.run, run) && err == nil
	}
	if !ok {
		return txnPosition{}, fmt.Errorf("it holds offset %d with %q, which is no position of a sink: the group is used for something else, or by another version of this program", number, metadata)
	}
	return p, nil
}

func parseToken(t *token, text string) bool {
	b, err := hex.DecodeString(text)
	return err == nil && copy(t[:], b) == len(t) && len(b) == len(t)
}
