package batch

import (
	"encoding/binary"
	"fmt"
)

// Producer is what a broker gave an idempotent or transactional producer.
type Producer struct {
	ID    int64
	Epoch int16
}

// Stamp makes batch, which must be whole and have been built here, one of p:
// sequence is the number of its first record among all that p sent to the
// partition, modulo 2^31 (see NextSequence). It may be done again, with another
// producer. It costs a pass over the batch, for the sum.
func Stamp(batch []byte, p Producer, sequence int32, transactional bool) {
	if !Whole(batch) {
		panic(fmt.Sprintf("BUG: batch: %d bytes to be stamped are not one batch", len(batch)))
	}
	stamp(batch, p, sequence, transactional)
}

// Whole reports that raw has the form of one batch, so that it can be stamped. It
// looks at the header only.
func Whole(raw []byte) bool {
	return len(raw) >= HeaderSize && header(raw).size() == int64(len(raw)) && raw[atMagic] == 2
}

// Sound reports that raw is one batch as it was built here, and stamped: nothing of it
// has changed since. It costs a pass over it.
func Sound(raw []byte) bool {
	return Whole(raw) && header(raw).base() == 0 && header(raw).epoch() == -1 && header(raw).sum() == header(raw).summed()
}

// NextSequence is the sequence of the batch behind one of n records whose
// sequence is s: it begins again at 0 behind 2^31-1.
func NextSequence(s int32, n int) int32 {
	return int32((int64(s) + int64(n)) & 0x7fffffff)
}

// Count is the number of records in the whole batches of raw, control records
// too, by what their headers say. It reads nothing but these.
func Count(raw []byte) int {
	n := 0
	for h := header(raw); len(h) >= HeaderSize && h.length() >= minimumLength && h.size() <= int64(len(h)); h = h[h.size():] {
		n += int(max(h.count(), 0))
	}
	return n
}

func stamp(h header, p Producer, sequence int32, txn bool) {
	attributes := h.attributes() &^ transactional
	if txn {
		attributes |= transactional
	}
	binary.BigEndian.PutUint16(h[atAttributes:], uint16(attributes))
	binary.BigEndian.PutUint64(h[atProducer:], uint64(p.ID))
	binary.BigEndian.PutUint16(h[atProdEpoch:], uint16(p.Epoch))
	binary.BigEndian.PutUint32(h[atSequence:], uint32(sequence))
	h.seal()
}
