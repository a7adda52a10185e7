package flow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace/millrace/internal/graph"
)

// A batch as bytes, on its way to another slot:
//
//	| version u8 = 1 | flags u8 | n uvarint | n × time varint | n × window, pane | n × value |
//
// A time is what it is more than the one before it, which is 0 before the first.
// Windows and panes are there if flags has wireWindows, values are in the nested
// encoding of the collection's coder. Nothing follows. See docs/format/frame.md.
const (
	wireVersion = 1

	wireWindows = 1 // of the flags
)

var errWireEnd = errors.New("bytes behind the last value")

// Marshal implements graph.Edge. How many elements fit it takes from those before.
func (e *edge[T]) Marshal(buf []byte, gb graph.Batch, most int) []byte {
	b, at := gb.(*Batch[T]), len(buf)
	n := len(b.vals)
	if e.size > 0 {
		n = min(n, max(1, (most-at)/e.size))
	}
	for whole := false; !whole; {
		buf = e.marshalTimes(buf[:at], b, n)
		buf, n, whole = e.marshalValues(buf, b.vals[:n], 2*most)
	}
	e.size = (len(buf)-at)/n + 1
	b.drop(n)
	return buf
}

// marshalTimes appends what is before the values of n elements.
func (e *edge[T]) marshalTimes(buf []byte, b *Batch[T], n int) []byte {
	var flags byte
	if e.cfg.Windows {
		flags = wireWindows
	}
	buf = binary.AppendUvarint(append(buf, wireVersion, flags), uint64(n))
	last := int64(0)
	for _, ts := range b.ts[:n] {
		buf = appendInt(buf, ts-last)
		last = ts
	}
	if e.cfg.Windows {
		for i := range b.meta[:n] {
			buf = appendPane(appendWindow(buf, b.meta[i].win), b.meta[i].pane)
		}
	}
	return buf
}

// marshalValues appends values, and reports how many it has got to before buf was longer
// than most, and whether these are all. It looks after few at first, as it is not known
// how long they are.
func (e *edge[T]) marshalValues(buf []byte, vals []T, most int) (_ []byte, n int, all bool) {
	for step := 1; n < len(vals); step = min(2*step, 64) {
		next := min(n+step, len(vals))
		buf = e.cod.AppendAll(buf, vals[n:next])
		if n = next; len(buf) > most {
			break
		}
	}
	return buf, n, n == len(vals)
}

// Unmarshal implements graph.Edge.
func (e *edge[T]) Unmarshal(p []byte, into graph.Batch) (graph.Batch, error) {
	b, _ := into.(*Batch[T])
	if b == nil {
		b = e.newBatch()
	}
	if err := e.unmarshal(p, b); err != nil {
		b.reset()
		return nil, fmt.Errorf("a batch of %d bytes: %w", len(p), err)
	}
	return b, nil
}

func (e *edge[T]) unmarshal(p []byte, b *Batch[T]) error {
	switch {
	case len(p) < 2:
		return errShort
	case p[0] != wireVersion:
		return fmt.Errorf("version %d, want %d", p[0], wireVersion)
	case p[1]&^wireWindows != 0 || (p[1] == wireWindows) != e.cfg.Windows:
		return fmt.Errorf("flags %#x of another kind of edge", p[1])
	}
	n, p, err := takeUint(p[2:])
	if err != nil || n > uint64(len(p)) { // a time has a byte at least
		return errShort
	}
	last := int64(0)
	for range n {
		var d int64
		if d, p, err = takeInt(p); err != nil {
			return err
		}
		last += d
		b.ts = append(b.ts, last)
	}
	if e.cfg.Windows {
		for range n {
			var m meta
			if m.win, p, err = takeWindow(p); err != nil {
				return err
			}
			if m.pane, p, err = takePane(p); err != nil {
				return err
			}
			b.meta = append(b.meta, m)
		}
	}
	if p, err = e.unmarshalValues(p, b, int(n)); err != nil {
		return err
	}
	if len(p) > 0 {
		return errWireEnd
	}
	return nil
}

// unmarshalValues takes n values into b. Room is made for so many at a time that what
// there is of bytes has to be there first.
func (e *edge[T]) unmarshalValues(p []byte, b *Batch[T], n int) ([]byte, error) {
	for len(b.vals) < n {
		at := len(b.vals)
		room := min(n, max(cap(b.vals), at+64))
		b.vals = slices.Grow(b.vals, room-at)[:room]
		if !b.points { // else reset has done so
			clear(b.vals[at:])
		}
		k, rest, err := e.cod.DecodeAll(b.vals[at:], p)
		if err != nil {
			return nil, fmt.Errorf("decode value %d of %d: %w", at+k+1, n, err)
		}
		p = rest
	}
	return p, nil
}
