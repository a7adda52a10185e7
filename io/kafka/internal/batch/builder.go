package batch

import (
	"encoding/binary"
	"math"
	"slices"
)

// Header is a header of a record. A nil value is null.
type Header struct {
	Key   string
	Value []byte
}

// Builder makes one batch after the other, each between Reset and Finish. It
// does not allocate, but to grow the buffer it was given. The zero Builder is
// ready, with no buffer. It must not be used by two goroutines at once.
//
// A batch of no records does not exist: Finish returns nil for it. A batch may
// not have more than 2 GiB, and brokers take 1 MiB by default
// (max.message.bytes): ask Size, or SizeWith, in time.
type Builder struct {
	buf      []byte // room for the header, and records
	n        int
	base     int64 // timestamp of the first record
	newest   int64 // largest timestamp
	tmp      []byte
	finished bool
}

// Reset begins a batch in the memory of buf, whose content is lost. What Finish
// returns lies there, or in larger memory if that was too small.
func (b *Builder) Reset(buf []byte) {
	b.buf, b.n, b.finished = buf[:0], 0, false
}

// Add copies a record into the batch. ts is in Unix ms; a nil key or value is
// null. The record's offset is that of the one before, plus one.
func (b *Builder) Add(ts int64, key, value []byte, headers []Header) {
	if b.finished {
		panic("BUG: batch: Add behind Finish, without Reset")
	}
	if b.n == 0 {
		b.begin(ts)
	}
	delta := ts - b.base
	body := b.bodySize(delta, key, value, headers)
	buf := slices.Grow(b.buf, body+binary.MaxVarintLen64)
	buf = binary.AppendVarint(buf, int64(body))
	buf = append(buf, 0) // attributes
	buf = binary.AppendVarint(buf, delta)
	buf = binary.AppendVarint(buf, int64(b.n))
	buf = appendBytes(buf, key)
	buf = appendBytes(buf, value)
	buf = binary.AppendVarint(buf, int64(len(headers)))
	for i := range headers {
		buf = binary.AppendVarint(buf, int64(len(headers[i].Key)))
		buf = append(buf, headers[i].Key...)
		buf = appendBytes(buf, headers[i].Value)
	}
	b.buf = buf
	b.n++
	b.newest = max(b.newest, ts)
}

// Len is the number of records.
func (b *Builder) Len() int { return b.n }

// Size is what the batch would have if it were finished now, without
// compression, in bytes.
func (b *Builder) Size() int { return max(len(b.buf), HeaderSize) }

// SizeWith is what Size would be behind an Add.
func (b *Builder) SizeWith(ts int64, key, value []byte, headers []Header) int {
	delta := int64(0)
	if b.n > 0 {
		delta = ts - b.base
	}
	body := b.bodySize(delta, key, value, headers)
	return b.Size() + varintSize(int64(body)) + body
}

// Finish returns the batch, with base offset 0, no leader epoch and no producer,
// and its records compressed with c, unless that makes them no smaller. It
// belongs to the caller; the Builder needs a Reset.
func (b *Builder) Finish(c Codec) []byte {
	buf := b.Build(c)
	if buf != nil {
		stamp(buf, Producer{-1, -1}, -1, false)
	}
	return buf
}

// Build is Finish for a batch that is stamped before anybody reads it: it has no producer
// and no sum yet, which cost a pass over it.
func (b *Builder) Build(c Codec) []byte {
	b.finished = true
	if b.n == 0 {
		return nil
	}
	buf, attributes := b.buf, None
	b.buf = nil
	if c != None {
		b.tmp = compress(b.tmp[:0], c, buf[HeaderSize:])
		if len(b.tmp) < len(buf)-HeaderSize {
			buf, attributes = append(buf[:HeaderSize], b.tmp...), c
		}
	}
	if len(buf) > math.MaxInt32 {
		panic("BUG: batch: a batch of more than 2 GiB")
	}
	be := binary.BigEndian
	be.PutUint64(buf, 0)
	be.PutUint32(buf[atLength:], uint32(len(buf)-beforeLength))
	be.PutUint32(buf[atEpoch:], math.MaxUint32)
	buf[atMagic] = 2
	be.PutUint16(buf[atAttributes:], uint16(attributes))
	be.PutUint32(buf[atLastDelta:], uint32(b.n-1))
	be.PutUint64(buf[atBaseTime:], uint64(b.base))
	be.PutUint64(buf[atMaxTime:], uint64(b.newest))
	be.PutUint32(buf[atCount:], uint32(b.n))
	return buf
}

func (b *Builder) begin(ts int64) {
	b.buf = slices.Grow(b.buf[:0], HeaderSize)[:HeaderSize]
	b.base, b.newest = ts, ts
}

// bodySize is the size of a record without its own length.
func (b *Builder) bodySize(delta int64, key, value []byte, headers []Header) int {
	n := 1 + varintSize(delta) + varintSize(int64(b.n)) + bytesSize(key) + bytesSize(value) + varintSize(int64(len(headers)))
	for i := range headers {
		n += varintSize(int64(len(headers[i].Key))) + len(headers[i].Key) + bytesSize(headers[i].Value)
	}
	return n
}

func bytesSize(p []byte) int {
	if p == nil {
		return 1
	}
	return varintSize(int64(len(p))) + len(p)
}

func appendBytes(b, p []byte) []byte {
	if p == nil {
		return append(b, 1) // -1
	}
	return append(binary.AppendVarint(b, int64(len(p))), p...)
}
