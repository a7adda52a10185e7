package statelog

import (
	"encoding/binary"
	"math"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/keygroup"
)

// Behind its header a segment is a sequence of frames: chunks of rows, and behind the
// chunks of an epoch its commit. docs/format/statelog.md has the pictures.
const (
	chunkMagic  = 0x4843524d // "MRCH"
	commitMagic = 0x4f43524d // "MRCO"

	chunkHead  = 44
	commitHead = 56
	// chunkMax is how many bytes of rows a chunk has at most, unless it is a single row.
	// Rows begin below it.
	chunkMax = 1 << 20
	nameMax  = math.MaxUint16
	rowMax   = math.MaxInt32 // bytes of a row, so that a chunk's length fits
)

// The bits of a chunk's flags.
const (
	hasKeys    = 1 << iota // rows of keys: min and max are of their groups
	hasLane                // rows of commit.LaneBound
	hasEvery               // rows of commit.EveryLane
	hasChanges             // appends and deletes
)

// The bits of a commit's flags.
const (
	isWhole   = 1 << iota // the epoch needs none before it
	isRelaned             // it needs no rows of lanes from before it
)

// chunk is rows of one node that one lane wrote, in a segment.
type chunk struct {
	seg   *segment
	off   int64 // of the frame
	epoch uint64
	lane  int
	index int // among those of its lane in the epoch
	node  string
	size  int // of the rows in bytes
	count int
	min   int
	max   int
	flags uint16
	sum   uint32 // of the rows
}

func (c *chunk) frameSize() int64 { return int64(chunkHead + len(c.node) + c.size) }

// seal writes the head of a chunk into frame, which holds room for it, the node and
// the rows, but for what is lent, their end. It returns the sum of the head.
func (c *chunk) seal(frame, lent []byte, seed uint32) uint32 {
	rows := frame[chunkHead+copy(frame[chunkHead:], c.node):]
	c.size, c.sum = len(rows)+len(lent), sum(sum(seed, rows), lent)
	le := binary.LittleEndian
	le.PutUint32(frame, chunkMagic)
	le.PutUint32(frame[4:], uint32(c.size))
	le.PutUint64(frame[8:], c.epoch)
	le.PutUint32(frame[16:], uint32(c.lane))
	le.PutUint32(frame[20:], uint32(c.index))
	le.PutUint32(frame[24:], uint32(c.count))
	le.PutUint16(frame[28:], uint16(c.min))
	le.PutUint16(frame[30:], uint16(c.max))
	le.PutUint16(frame[32:], uint16(len(c.node)))
	le.PutUint16(frame[34:], c.flags)
	le.PutUint32(frame[36:], c.sum)
	head := sum(sum(seed, frame[:40]), frame[chunkHead:chunkHead+len(c.node)])
	le.PutUint32(frame[40:], head)
	return head
}

// decodeChunk reads the head of a chunk and its node, which b begins with. left is how
// many bytes the file has from there on.
func decodeChunk(b []byte, left int64, seed uint32) (c chunk, head uint32, wrong string) {
	le := binary.LittleEndian
	n := int(le.Uint16(b[32:]))
	if len(b) < chunkHead+n {
		return c, 0, "the name of a node is cut off"
	}
	head = le.Uint32(b[40:])
	if sum(sum(seed, b[:40]), b[chunkHead:chunkHead+n]) != head {
		return c, 0, "the head of a chunk does not have its checksum"
	}
	c = chunk{
		epoch: le.Uint64(b[8:]),
		lane:  int(le.Uint32(b[16:])),
		index: int(le.Uint32(b[20:])),
		node:  string(b[chunkHead : chunkHead+n]),
		size:  int(le.Uint32(b[4:])),
		count: int(le.Uint32(b[24:])),
		min:   int(le.Uint16(b[28:])),
		max:   int(le.Uint16(b[30:])),
		flags: le.Uint16(b[34:]),
		sum:   le.Uint32(b[36:]),
	}
	switch {
	case c.size < 0 || c.frameSize() > left: // where an int has 32 bits
		return c, 0, "a chunk is cut off"
	case c.max >= keygroup.N || c.min > c.max || c.count > c.size/minRow:
		return c, 0, "the head of a chunk contradicts itself"
	}
	return c, head, ""
}

// commitFrame ends an epoch.
type commitFrame struct {
	epoch   uint64
	start   int64 // where the epoch's frames begin
	chunks  int
	whole   bool
	relaned bool
	before  uint32 // chain of the epoch before
	rows    uint32 // sum over the heads' sums of the epoch's chunks, as they lie in the file
	record  []byte
	chain   uint32 // of this epoch: the sum of this head
}

func (c *commitFrame) encode(seed uint32) []byte {
	b := make([]byte, commitHead, commitHead+len(c.record))
	le := binary.LittleEndian
	le.PutUint32(b, commitMagic)
	le.PutUint32(b[4:], uint32(len(c.record)))
	le.PutUint64(b[8:], c.epoch)
	le.PutUint64(b[16:], uint64(c.start))
	le.PutUint64(b[24:], uint64(c.chunks))
	if c.whole {
		b[32] |= isWhole
	}
	if c.relaned {
		b[32] |= isRelaned
	}
	le.PutUint32(b[36:], c.before)
	le.PutUint32(b[40:], c.rows)
	le.PutUint32(b[44:], sum(seed, c.record))
	c.chain = sum(seed, b[:52])
	le.PutUint32(b[52:], c.chain)
	return append(b, c.record...)
}

// decodeCommit reads the head of a commit, which b begins with. size is how many
// bytes of record follow, and recordSum their sum.
func decodeCommit(b []byte, left int64, seed uint32) (c commitFrame, size int, recordSum uint32, wrong string) {
	le := binary.LittleEndian
	c.chain = le.Uint32(b[52:])
	if sum(seed, b[:52]) != c.chain {
		return c, 0, 0, "the head of a commit does not have its checksum"
	}
	size = int(le.Uint32(b[4:]))
	if size < 0 || int64(commitHead)+int64(size) > left {
		return c, 0, 0, "a commit is cut off"
	}
	c.epoch, c.start = le.Uint64(b[8:]), int64(le.Uint64(b[16:]))
	c.chunks, c.whole, c.relaned = int(le.Uint64(b[24:])), b[32]&isWhole != 0, b[32]&isRelaned != 0
	c.before, c.rows = le.Uint32(b[36:]), le.Uint32(b[40:])
	return c, size, le.Uint32(b[44:]), ""
}

// The kinds of changes.
const (
	kindPut    = 1
	kindAppend = 2
	kindDelete = 3
	kindDead   = 4 // in memory only: overtaken by a later change
)

// minRow is the least size of a change: kind, group, the lengths of key and value.
const minRow = 5

// The groups of a change that have no number.
const (
	groupLane  = 0xffff
	groupEvery = 0xfffe
)

func appendRow(b []byte, kind byte, group int, key, val []byte) []byte {
	return append(appendRowHead(b, kind, group, key, len(val)), val...)
}

// appendRowHead appends all of a row but its value, of size bytes.
func appendRowHead(b []byte, kind byte, group int, key []byte, size int) []byte {
	g := uint16(group) // -1 and -2 become groupLane and groupEvery
	if len(key) < 0x80 && size < 0x80 {
		b = append(b, kind, byte(g), byte(g>>8), byte(len(key)), byte(size))
	} else {
		b = append(b, kind, byte(g), byte(g>>8))
		b = binary.AppendUvarint(b, uint64(len(key)))
		b = binary.AppendUvarint(b, uint64(size))
	}
	return append(b, key...)
}

// change is a change as it lies in a chunk.
type change struct {
	kind     byte
	group    int
	key, val []byte
	size     int // of all
}

// decodeRow reads the change that b begins with; false if there is none.
func decodeRow(b []byte, c *change) bool {
	if len(b) < minRow {
		return false
	}
	c.kind = b[0]
	switch g := uint16(b[1]) | uint16(b[2])<<8; {
	case g < keygroup.N:
		c.group = int(g)
	case g == groupLane:
		c.group = commit.LaneBound
	case g == groupEvery:
		c.group = commit.EveryLane
	default:
		return false
	}
	k, v, n := uint64(b[3]), uint64(b[4]), 5
	if k|v >= 0x80 {
		var m int
		if k, m = binary.Uvarint(b[3:]); m <= 0 {
			return false
		}
		n = 3 + m
		if v, m = binary.Uvarint(b[n:]); m <= 0 {
			return false
		}
		n += m
	}
	left := uint64(len(b) - n)
	if k > left || v > left-k {
		return false
	}
	c.key = b[n : n+int(k) : n+int(k)]
	c.size = n + int(k) + int(v)
	c.val = b[n+int(k) : c.size : c.size]
	return c.kind >= kindPut && c.kind <= kindDead
}
