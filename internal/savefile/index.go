package savefile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sort"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/keygroup"
)

// The fixed parts of a file. docs/format/savepoint.md draws them.
const (
	magic    = "MILRSAVE"
	endMagic = "EVASRLIM"
	version  = 1

	headSize   = len(magic) + 4 + 8 + 8 // magic, version, lengths of facts and record
	footerSize = 8 + 8 + 4 + len(endMagic)

	chunkTarget = 256 << 10 // bytes of rows after which a chunk ends
	smallChunk  = 1 << 20   // what a chunk of several rows never reaches
	rowMax      = 1 << 30   // bytes of a row, and nearly of a chunk
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrDamaged is what reading a file fails with that is not what was written.
var ErrDamaged = errors.New("the savepoint is damaged")

// node is what the index says of a node.
type node struct {
	name   string
	rows   int64
	bytes  int64 // of keys and values
	chunks []chunk
}

// chunk is a run of a node's rows: raw bytes, kept as stored bytes at at.
type chunk struct {
	first  place
	rows   int
	raw    int
	stored int
	crc    uint32 // of the stored bytes
	at     int64  // told by the lengths of those before
}

func appendIndex(b []byte, nodes []node) []byte {
	b = appendUint(b, uint64(len(nodes)))
	for i := range nodes {
		n := &nodes[i]
		b = appendText(b, n.name)
		b = appendUint(appendUint(b, uint64(n.rows)), uint64(n.bytes))
		b = appendUint(b, uint64(len(n.chunks)))
		for _, c := range n.chunks {
			b = appendPlace(b, c.first)
			b = appendUint(appendUint(appendUint(b, uint64(c.rows)), uint64(c.raw)), uint64(c.stored))
			b = binary.BigEndian.AppendUint32(b, c.crc)
		}
	}
	return b
}

// decodeIndex reads what appendIndex wrote. The chunks lie between from and to.
func decodeIndex(b []byte, from, to int64) ([]node, error) {
	d := reader{b: b}
	size := uint64(to - from)
	nodes := make([]node, d.upTo(uint64(len(d.b))/4))
	for i := range nodes {
		n := &nodes[i]
		n.name = string(d.block())
		n.rows = int64(d.upTo(1 << 62))
		n.bytes = int64(d.upTo(1 << 62))
		n.chunks = make([]chunk, d.upTo(uint64(len(d.b))/8))
		for j := range n.chunks {
			c := &n.chunks[j]
			c.first = d.place()
			c.first.key = slices.Clone(c.first.key)
			c.rows, c.raw, c.stored = d.upTo(rowMax), d.upTo(2*rowMax), d.upTo(size)
			if len(d.b) < 4 {
				d.fail()
				break
			}
			c.crc = binary.BigEndian.Uint32(d.b)
			d.b = d.b[4:]
			c.at = from
			from += int64(c.stored)
		}
	}
	if err := d.end(); err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	if from != to {
		return nil, fmt.Errorf("index: %d bytes of rows are missing", to-from)
	}
	return nodes, nil
}

// find is the node of that name, or nil.
func find(nodes []node, name string) *node {
	i := sort.Search(len(nodes), func(i int) bool { return nodes[i].name >= name })
	if i < len(nodes) && nodes[i].name == name {
		return &nodes[i]
	}
	return nil
}

// groups is the range of groups that rows of chunk i may be in.
func (n *node) groups(i int) (least, most int) {
	least, most = n.chunks[i].first.group, keygroup.N-1
	if i+1 < len(n.chunks) {
		most = n.chunks[i+1].first.group
	}
	return least, most
}

// wanted reports that some row of chunk i may be wanted.
func (n *node) wanted(i int, want *commit.Want) bool {
	least, most := n.groups(i)
	if least < 0 || want.Group == nil {
		return true
	}
	for g := least; g <= most; g++ {
		if want.Group(g) {
			return true
		}
	}
	return false
}

// from is the first chunk in which a row at p or behind it may be.
func (n *node) from(p place) int {
	i := sort.Search(len(n.chunks), func(i int) bool { return n.chunks[i].first.compare(p) > 0 })
	return max(i-1, 0)
}
