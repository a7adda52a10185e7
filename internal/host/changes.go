package host

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/held"
)

// In a slot's changelog are the changes of its epochs, each one chunk; beside it are copies of
// epochs for receivers that have not acknowledged them. Both lie there in pieces:
//
//	piece: | kind | generation (8) | incarnation (8) | epoch (8) | receiver (4) | number (4) | pieces (4), big-endian | bytes |
//	chunk: | base | lanes uvarint | (length uvarint | rows of the lane: commit.RowLog)* | the engine's record |
//	copy:  | (frames uvarint | (length uvarint | frame)*)* |, by class
//
// The base is 0 of a chunk that holds what has changed, 1 of one that holds all rows, and
// 2 + p of one that holds all rows of part p, and what has changed in others.
//
// The pieces of copies have generation 0, those of chunks receiver 0.
const (
	pieceHead = 37
	pieceMost = 256<<10 - pieceHead
)

// thing is what pieces are of.
type thing struct {
	kind  byte
	gen   held.Gen
	inc   held.Inc
	epoch held.Epoch
	dst   int
}

const (
	chunkKind = 1
	copyKind  = 2
)

func chunkOf(id held.Ident) thing { return thing{chunkKind, id.Gen, id.Inc, id.Epoch, 0} }
func copyOf(k *held.Kept) thing   { return thing{copyKind, 0, k.Inc, k.Epoch, k.Dst} }

// split cuts what lies one behind the other in bs into pieces.
func split(pieces [][]byte, of thing, bs ...[]byte) [][]byte {
	size := 0
	for _, b := range bs {
		size += len(b)
	}
	bs = slices.Clone(bs)
	count := (size + pieceMost - 1) / pieceMost
	for i := range count {
		want := min(pieceMost, size-i*pieceMost)
		p := append(make([]byte, 0, pieceHead+want), of.kind)
		p = binary.BigEndian.AppendUint64(p, uint64(of.gen))
		p = binary.BigEndian.AppendUint64(p, uint64(of.inc))
		p = binary.BigEndian.AppendUint64(p, uint64(of.epoch))
		p = binary.BigEndian.AppendUint32(p, uint32(of.dst))
		p = binary.BigEndian.AppendUint32(p, uint32(i))
		p = binary.BigEndian.AppendUint32(p, uint32(count))
		for want > 0 {
			n := min(want, len(bs[0]))
			p = append(p, bs[0][:n]...)
			if bs[0] = bs[0][n:]; len(bs[0]) == 0 {
				bs = bs[1:]
			}
			want -= n
		}
		pieces = append(pieces, p)
	}
	return pieces
}

var errChunk = errors.New("a chunk of a changelog is damaged")

// makeChunk makes a chunk of an epoch: what lies in it one behind the other. Rows are not
// copied.
func makeChunk(of part, lanes []*commit.RowLog, rec *commit.Record) (chunk [][]byte) {
	head := binary.AppendUvarint([]byte{byte(of - noPart)}, uint64(len(lanes)))
	for _, l := range lanes {
		rows := l.Bytes()
		chunk = append(chunk, binary.AppendUvarint(head, uint64(len(rows))), rows)
		head = nil
	}
	return append(chunk, head, commit.AppendRecord(nil, rec))
}

// chunk is a chunk that is read.
type chunk struct {
	of    part
	lanes [][]byte // rows of each
	rec   []byte
}

// partIn is what a chunk is the base of.
func partIn(b []byte) part {
	if len(b) == 0 {
		return noPart
	}
	return part(b[0]) + noPart
}

// readChunk takes a chunk apart. The slices are those of b.
func readChunk(b []byte) (c chunk, err error) {
	if c.of = partIn(b); len(b) == 0 || c.of >= parts {
		return c, errChunk
	}
	n, k := binary.Uvarint(b[1:])
	if k <= 0 || n > 1<<16 {
		return c, errChunk
	}
	b = b[1+k:]
	for range n {
		size, k := binary.Uvarint(b)
		if k <= 0 || size > uint64(len(b)-k) {
			return c, errChunk
		}
		c.lanes = append(c.lanes, b[k:k+int(size)])
		b = b[k+int(size):]
	}
	c.rec = b
	return c, nil
}
