package batch

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// DefaultMaxSize is what Options.MaxSize is if it is not set: 128 MiB.
const DefaultMaxSize = 128 << 20

// Options are what a Reader has to know of a fetch.
type Options struct {
	// Committed leaves out the records of transactions that were aborted, which
	// Aborted names.
	Committed bool
	// Aborted is what the broker sent with the fetch, in any order. It is copied.
	Aborted []Aborted
	// Keep gives each batch that has to be decompressed memory of its own, so that
	// records live on. Otherwise that memory is used again for the next batch that
	// Next comes to, and by the next Reset.
	Keep bool
	// MaxSize is what the records of one batch may take when decompressed, in
	// bytes; default DefaultMaxSize.
	MaxSize int
}

// Aborted is a transaction whose records are void: all of ProducerID from
// FirstOffset up to its abort marker.
type Aborted struct{ ProducerID, FirstOffset int64 }

// Reader walks what a fetch brought for one partition: whole batches, and
// perhaps a piece of one. It can be used again, and then keeps its buffers. Next
// does not allocate, except that a Reader which reads compressed batches grows
// its buffer to the largest.
//
// Of each batch the sum is checked, always; and that its offsets follow those of
// the one before. Records must have rising offsets inside those of their batch.
//
// The zero Reader is empty. A Reader must not be used by two goroutines at once.
type Reader struct {
	// The batch that is being read. The position is base+last+1 as soon as a
	// record was taken or skipped.
	body  []byte // what is left of the records
	left  int    // records in body
	base  int64
	time  int64 // base timestamp, or that of the log
	last  int64 // offset delta of the newest record; -1 before the first
	end   int64 // last offset delta
	stamp bool  // all records have time

	raw     []byte // batches behind that
	whole   bool   // there was at least one whole batch
	floor   int64  // no batch behind may begin below
	next    int64  // where to fetch next when what is left of the batch was read
	from    int64
	epoch   int32
	err     error
	partial bool
	need    int

	o       Options
	aborted []Aborted          // by first offset
	reached int                // how many of aborted begin in what was read
	void    map[int64]struct{} // producers whose transaction is aborted, here
	buf     []byte             // decompressed records
}

// Reset makes r read raw, for records from offset from on. r reads raw in place:
// it must not change while r or the records are in use.
func (r *Reader) Reset(raw []byte, from int64, o Options) {
	if o.MaxSize <= 0 {
		o.MaxSize = DefaultMaxSize
	}
	clear(r.void)
	*r = Reader{
		raw: raw, from: from, next: from, last: -1, epoch: -1, o: o,
		aborted: r.aborted[:0], void: r.void, buf: r.buf,
	}
	if o.Committed && len(o.Aborted) > 0 {
		r.aborted = append(r.aborted, o.Aborted...)
		slices.SortFunc(r.aborted, func(a, b Aborted) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
	}
	r.o.Aborted = nil
}

// Next fills rec with the next record and returns true, or returns false: then
// raw has no more, or Err says what is wrong.
func (r *Reader) Next(rec *Record) bool {
	for r.left > 0 || r.nextBatch() {
		b := r.body
		l, n := varint(b)
		if b = b[n:]; n == 0 || l < 1 || l > int64(len(b)) {
			return r.corrupt("a record ends outside its batch")
		}
		r.body, b = b[l:], b[1:l] // without the attributes, of which none is in use
		ts, n := varint(b)
		if b = b[n:]; n == 0 {
			return r.corrupt("a record's timestamp is cut off")
		}
		delta, n := varint(b)
		if b = b[n:]; n == 0 || delta <= r.last || delta > r.end {
			return r.corrupt("a record's offset is not between that of the one before and the end of the batch")
		}
		l, n = varint(b)
		if b = b[n:]; n == 0 || l < -1 || l > int64(len(b)) {
			return r.corrupt("a key ends outside its record")
		}
		var key, value []byte
		if l >= 0 {
			key, b = b[:l:l], b[l:]
		}
		l, n = varint(b)
		if b = b[n:]; n == 0 || l < -1 || l > int64(len(b)) {
			return r.corrupt("a value ends outside its record")
		}
		if l >= 0 {
			value, b = b[:l:l], b[l:]
		}
		headers := int64(0)
		if len(b) != 1 || b[0] != 0 {
			if headers, n = varint(b); n == 0 || !validHeaders(b[n:], headers) {
				return r.corrupt("headers do not end where their record ends")
			}
			b = b[n:]
		}
		if r.left == 1 && len(r.body) > 0 {
			return r.corrupt("bytes are left behind the last record of a batch")
		}
		r.left--
		r.last = delta
		if r.base+delta < r.from {
			continue
		}
		if r.stamp {
			ts = 0
		}
		rec.Offset, rec.Timestamp = r.base+delta, r.time+ts
		rec.Key, rec.Value = key, value
		rec.headers, rec.n = b, int(headers)
		return true
	}
	return false
}

// Err is why Next returned false: nil if there is no more to read, else
// *CorruptError, or an error that is ErrCodec or ErrOldFormat.
func (r *Reader) Err() error { return r.err }

// NextOffset is where to fetch next: behind what Next has returned, and behind
// gaps, control batches and aborted ones as soon as Next has passed them. It is
// never below what Reset was given. Behind an error it is where reading ended.
func (r *Reader) NextOffset() int64 {
	if r.left > 0 {
		return max(r.from, r.base+r.last+1)
	}
	return r.next
}

// LeaderEpoch is that of the newest batch Next came to; -1 if there was none, or
// its leader is not known.
func (r *Reader) LeaderEpoch() int32 { return r.epoch }

// Partial reports, once Next has returned false, whether raw ended inside a
// batch, as fetches do that reached their limit.
func (r *Reader) Partial() bool { return r.partial }

// Need is, once Next has returned false, how many bytes a fetch has to bring so
// that there is progress: the size of the first batch, if not all of it was
// there, or HeaderSize if not even its size was there. It is 0 if there was at
// least one whole batch, or raw was empty. It is as large as the batch says, so
// limit it.
func (r *Reader) Need() int { return r.need }

// nextBatch goes to the next batch that has records to be read, and reports
// whether there is one.
func (r *Reader) nextBatch() bool {
	for r.err == nil && len(r.raw) > 0 {
		h := header(r.raw)
		if len(h) > atMagic && (h[atMagic] == 0 || h[atMagic] == 1) {
			return r.fail(fmt.Errorf("messages at offset %d have format %d: %w: have them written again, or let them be deleted", h.base(), h[atMagic], ErrOldFormat))
		}
		if len(h) >= beforeLength && h.length() < minimumLength {
			return r.corruptBatch(h, "it is shorter than its header", nil)
		}
		if len(h) < HeaderSize || h.size() > int64(len(h)) {
			return r.cut(h)
		}
		h = h[:h.size()]
		if !r.right(h) || !r.enter(h) {
			return false
		}
		r.raw, r.whole = r.raw[len(h):], true
		if r.left > 0 {
			return true
		}
	}
	return false
}

// cut notes that raw ends inside a batch.
func (r *Reader) cut(h header) bool {
	r.raw, r.partial = nil, true
	if !r.whole {
		r.need = HeaderSize
		if len(h) >= beforeLength {
			r.need = int(h.size())
		}
	}
	return false
}

// right checks all of a batch but its records.
func (r *Reader) right(h header) bool {
	if h[atMagic] != 2 {
		return r.corruptBatch(h, fmt.Sprintf("format %d is not known", h[atMagic]), nil)
	}
	if h.sum() != h.summed() {
		return r.corruptBatch(h, "its sum (CRC-32C) is wrong", nil)
	}
	base, last, count := h.base(), h.lastDelta(), h.count()
	switch {
	case base < 0 || last < 0 || base > math.MaxInt64-1-int64(last):
		return r.corruptBatch(h, "its offsets are out of range", nil)
	case base < r.floor:
		return r.corruptBatch(h, "its offsets are not above those of the batch before", nil)
	case count < 0 || int64(count) > int64(last)+1:
		return r.corruptBatch(h, "it has not as many offsets as records", nil)
	}
	return true
}

// enter goes into a batch that is right, or over it if nothing in it is wanted.
// It returns false if its records cannot be decompressed.
func (r *Reader) enter(h header) bool {
	end := h.lastOffset()
	if !h.is(control) && !r.isVoid(h) && h.count() > 0 && end >= r.from {
		body, err := h.records(), error(nil)
		if c := h.codec(); c != None {
			if body, err = r.decompress(h, c); err != nil {
				return r.fail(err)
			}
		}
		r.body, r.left, r.end, r.last = body, int(h.count()), int64(h.lastDelta()), -1
		r.base, r.time, r.stamp = h.base(), h.baseTime(), h.is(logAppendTime)
		if r.stamp {
			r.time = h.maxTime()
		}
	} else if h.is(control) && r.o.Committed && endsAborted(h) {
		delete(r.void, h.producer())
	}
	r.floor, r.next, r.epoch = end+1, max(r.from, end+1), h.epoch()
	return true
}

// isVoid reports whether h belongs to a transaction that was aborted. It has to
// see every batch that is no control batch, in order.
func (r *Reader) isVoid(h header) bool {
	if !r.o.Committed {
		return false
	}
	for end := h.lastOffset(); r.reached < len(r.aborted) && r.aborted[r.reached].FirstOffset <= end; r.reached++ {
		if r.void == nil {
			r.void = make(map[int64]struct{})
		}
		r.void[r.aborted[r.reached].ProducerID] = struct{}{}
	}
	if len(r.void) == 0 || !h.is(transactional) {
		return false
	}
	_, is := r.void[h.producer()]
	return is
}

// endsAborted reports whether a control batch is the marker of an abort. One
// whose record compaction took is none.
func endsAborted(h header) bool {
	b := h.records()
	if h.count() == 0 || h.codec() != None {
		return false
	}
	for i := range 4 { // length, timestamp, offset, length of the key
		_, n := varint(b)
		if n == 0 {
			return false
		}
		if b = b[n:]; i == 0 && len(b) > 0 {
			b = b[1:] // attributes
		}
	}
	// The key: its version, and what it marks (0: abort, 1: commit).
	return len(b) >= 4 && binary.BigEndian.Uint16(b[2:]) == 0
}

// decompress returns the records of h, in r's buffer unless they are to be kept.
func (r *Reader) decompress(h header, c Codec) ([]byte, error) {
	if c > Zstd {
		return nil, fmt.Errorf("batch at offset %d: codec %d: %w", h.base(), c, ErrCodec)
	}
	var into []byte
	if !r.o.Keep {
		into = r.buf[:0]
	}
	body, err := decompress(into, c, h.records(), r.o.MaxSize)
	if err != nil {
		return nil, &CorruptError{h.base(), "its records cannot be decompressed (" + c.String() + ")", err}
	}
	if !r.o.Keep {
		r.buf = body
	}
	return body, nil
}

func (r *Reader) corruptBatch(h header, reason string, err error) bool {
	return r.fail(&CorruptError{h.base(), reason, err})
}

//go:noinline
func (r *Reader) corrupt(reason string) bool {
	return r.fail(&CorruptError{r.base + r.last + 1, reason, nil})
}

// fail ends reading where it is.
func (r *Reader) fail(err error) bool {
	r.next, r.err = r.NextOffset(), err
	r.raw, r.left = nil, 0
	return false
}
