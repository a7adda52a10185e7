package flow

import "encoding/binary"

// arena holds chains of encoded values without a pointer the collector has to
// follow. A chain is a list of segments:
//
//	| next u32 | bytes u32 | cap u32 | values u32 | cap bytes … |
//
// An address counts units of 8 bytes over all blocks; 0 is "none".
type arena struct {
	blocks [][]byte
	spare  *spare
	used   int   // bytes used of the last block
	total  int64 // bytes of all blocks but the last
}

// spare is emptied blocks for the next arena: the collector need not come.
type spare struct{ blocks [][]byte }

const mostSpare = 32 // blocks

// size is the bytes that are in use.
func (a *arena) size() int64 { return a.total + int64(a.used) }

const (
	blockUnits = 1 << 17 // units of 8 bytes in a block: 1 MiB
	blockBytes = blockUnits * 8
	blockFirst = 1 << 10 // bytes of an arena's first block; each next one is twice as large, up to blockBytes
	segHeader  = 16
	segMin     = 48
	segMax     = 4096
)

// chain is the segments of one key.
type chain struct {
	head, tail uint32
	n          uint32 // values
	bytes      int64
}

// alloc makes a segment with room for size bytes and returns its address.
func (a *arena) alloc(size int) uint32 {
	need := (segHeader + size + 7) &^ 7
	if len(a.blocks) == 0 || a.used+need > len(a.blocks[len(a.blocks)-1]) {
		if n := len(a.blocks); n > 0 {
			a.total += int64(len(a.blocks[n-1]))
		}
		a.used = 0
		if len(a.blocks) == 0 {
			a.used = 8 // address 0 is "none"
		}
		a.blocks = append(a.blocks, a.block(a.used+need))
	}
	addr := uint32((len(a.blocks)-1)*blockUnits + a.used/8)
	a.used += need
	if a.used > blockBytes {
		a.used = len(a.blocks[len(a.blocks)-1]) // an outsize block holds one segment
	}
	h := a.seg(addr)
	binary.LittleEndian.PutUint32(h[0:], 0)
	binary.LittleEndian.PutUint32(h[4:], 0)
	binary.LittleEndian.PutUint32(h[8:], uint32(need-segHeader))
	binary.LittleEndian.PutUint32(h[12:], 0)
	return addr
}

// block is memory for segments of need bytes in all: a spare block if that will do.
func (a *arena) block(need int) []byte {
	size := min(blockFirst<<min(len(a.blocks), 20), blockBytes)
	if n := len(a.spare.blocks); n > 0 && size == blockBytes && need <= size {
		b := a.spare.blocks[n-1]
		a.spare.blocks = a.spare.blocks[:n-1]
		return b
	}
	return make([]byte, max(size, need))
}

// seg is the memory from a segment's header on.
func (a *arena) seg(addr uint32) []byte {
	return a.blocks[addr/blockUnits][addr%blockUnits*8:]
}

// add appends one encoded value to c.
func (a *arena) add(c *chain, v []byte) {
	c.n++
	c.bytes += int64(len(v))
	if c.tail != 0 {
		h := a.seg(c.tail)
		n, room := binary.LittleEndian.Uint32(h[4:]), binary.LittleEndian.Uint32(h[8:])
		if int(n)+len(v) <= int(room) {
			copy(h[segHeader+n:], v)
			binary.LittleEndian.PutUint32(h[4:], n+uint32(len(v)))
			binary.LittleEndian.PutUint32(h[12:], binary.LittleEndian.Uint32(h[12:])+1)
			return
		}
	}
	size := max(len(v), min(segMax, max(segMin, int(c.bytes))))
	addr := a.alloc(size)
	if c.tail == 0 {
		c.head = addr
	} else {
		binary.LittleEndian.PutUint32(a.seg(c.tail), addr)
	}
	c.tail = addr
	h := a.seg(addr)
	copy(h[segHeader:], v)
	binary.LittleEndian.PutUint32(h[4:], uint32(len(v)))
	binary.LittleEndian.PutUint32(h[12:], 1)
}

// each calls f with the values of every segment of c, in order, until it returns false.
func (a *arena) each(c chain, f func(values []byte, n int) bool) {
	for addr := c.head; addr != 0; {
		h := a.seg(addr)
		n := binary.LittleEndian.Uint32(h[4:])
		if !f(h[segHeader:segHeader+n:segHeader+n], int(binary.LittleEndian.Uint32(h[12:]))) {
			return
		}
		addr = binary.LittleEndian.Uint32(h)
	}
}

// reset empties the arena and leaves its blocks to others.
func (a *arena) reset() {
	for _, b := range a.blocks {
		if len(b) == blockBytes && len(a.spare.blocks) < mostSpare {
			a.spare.blocks = append(a.spare.blocks, b)
		}
	}
	clear(a.blocks)
	a.blocks, a.total, a.used = a.blocks[:0], 0, 0
}
