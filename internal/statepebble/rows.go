package statepebble

import (
	"encoding/binary"
	"sync"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/keygroup"
)

// rows are changed rows on their way to disk, one behind the other:
//
//	| kind 1 | length of key | length of value | number 2 | place 2 | rest of key | value |
//
// lengths are varints.
type rows struct {
	chunks [][]byte // the last is being filled
	counts map[number]*counts
	size   int // of a batch that holds them
}

type kind byte

const (
	put kind = iota
	appendTo
	remove
)

// counts is how many rows of a node are at each place: the groups, and those below.
type counts [placesN]uint32

const (
	atLane  = keygroup.N
	atEvery = keygroup.N + 1
	placesN = keygroup.N + 2
)

// slot is the index of a place in counts.
func slot(place uint16) int {
	switch place {
	case placeLane:
		return atLane
	case placeEvery:
		return atEvery
	}
	return int(place)
}

const chunkLen = 1 << 16

var chunks = sync.Pool{New: func() any { return new([chunkLen]byte) }}

func newRows() *rows { return &rows{counts: map[number]*counts{}} }

func (r *rows) of(n number) *counts {
	c := r.counts[n]
	if c == nil {
		c = new(counts)
		r.counts[n] = c
	}
	return c
}

// add takes a row of lane and of node n, whose counts c are.
func (r *rows) add(n number, c *counts, k kind, group, lane int, key, val []byte) {
	head := headLen(group)
	most := 1 + 2*binary.MaxVarintLen32 + head + len(key) + len(val)
	b := r.room(most)
	start := len(b)
	b = append(b, byte(k))
	b = binary.AppendUvarint(b, uint64(head+len(key)))
	b = binary.AppendUvarint(b, uint64(len(val)))
	at := len(b)
	b = append(b, 0, 0, 0, 0, 0, 0)[:at+head]
	putHead(b[at:], n, group, lane)
	b = append(b, key...)
	b = append(b, val...)
	r.chunks[len(r.chunks)-1] = b
	r.size += len(b) - start
	switch group {
	case commit.LaneBound:
		group = atLane
	case commit.EveryLane:
		group = atEvery
	}
	c[group]++
}

// room is the last chunk, with room for n bytes.
func (r *rows) room(n int) []byte {
	if last := len(r.chunks) - 1; last >= 0 {
		if b := r.chunks[last]; cap(b)-len(b) >= n {
			return b
		}
	}
	var b []byte
	if n <= chunkLen {
		b = chunks.Get().(*[chunkLen]byte)[:0]
	} else {
		b = make([]byte, 0, n)
	}
	r.chunks = append(r.chunks, b)
	return b
}

// cutRow takes a row off the front of b. key begins with number and place.
func cutRow(b []byte) (k kind, key, val, rest []byte) {
	k = kind(b[0])
	keyLen, n := binary.Uvarint(b[1:])
	b = b[1+n:]
	valLen, n := binary.Uvarint(b)
	b = b[n:]
	end := keyLen + valLen
	return k, b[:keyLen], b[keyLen:end], b[end:]
}

// reset makes r empty and gives the memory back. Counts that of returned are r's no more.
func (r *rows) reset() {
	for _, c := range r.chunks {
		if cap(c) == chunkLen {
			chunks.Put((*[chunkLen]byte)(c[:chunkLen]))
		}
	}
	*r = *newRows()
}
