package statelog

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/commit/plant"
	"github.com/millrace/millrace/internal/keygroup"
)

// table folds changes into rows. The changes stay where they were read to; a flat table
// finds the newest one of a key. A change that a later one overtakes is marked in its
// place, so that in the end all that is not marked is handed on from front to back.
type table struct {
	blocks []block
	nodes  map[string]uint32
	count  int

	slots   []uint64 // 0: free
	mask    uint64
	touched uint64  // means nothing: what reads ahead has to put it somewhere
	chains  []chain // rows that were appended to
	pieces  []piece
}

// block is the wanted rows of a chunk.
type block struct {
	chunk *chunk
	node  uint32
	rows  []byte
}

// A slot holds 20 bits of the key's hash, and where the row is: 24 bits of the block's
// index plus one, and 20 of the offset in the block; or, if the first of them is set,
// the index of a chain.
const (
	refBits   = 44
	refMask   = 1<<refBits - 1
	offBits   = 20
	offMask   = 1<<offBits - 1
	chainMark = uint64(1) << (refBits - 1)
	blocksMax = 1<<(refBits-1-offBits) - 1
)

// chain is a row of several changes: the last put if there is one, and appends.
type chain struct {
	first, last int // of pieces; first is -1 if the row is gone
	size        int
}

type piece struct {
	at   uint64 // without hash
	next int    // -1: the last one
}

func newTable(line []*epochFrames) *table {
	n := 0
	for _, e := range line {
		n += len(e.chunks)
	}
	return &table{blocks: make([]block, 0, n), nodes: map[string]uint32{}}
}

// load reads what is wanted of the chunks of all epochs.
func (t *table) load(fs FS, line []*epochFrames, w *wish) error {
	relaned := 0 // the epoch before which the rows of lanes are gone
	for i, e := range line {
		if e.relaned && !plant.Is(plant.RelanedForgotten) {
			relaned = i
		}
	}
	if plant.Is(plant.DeltasReversed) {
		line = slices.Clone(line)
		slices.Reverse(line)
	}
	for at := 0; at < len(line); {
		end := at + 1 // of the epochs in the same file
		for end < len(line) && line[end].seg == line[at].seg {
			end++
		}
		if err := t.loadFile(fs, line[at:end], w, relaned-at); err != nil {
			return err
		}
		at = end
	}
	return nil
}

// loadFile reads epochs of one file; the rows of lanes only from the one on whose
// index is relaned.
func (t *table) loadFile(fs FS, line []*epochFrames, w *wish, relaned int) error {
	name := line[0].seg.name()
	r, err := fs.Open(name)
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	defer r.Close()
	in := chunkReader{r: r, small: window{r: r, size: r.Size()}}
	for i, e := range line {
		w.keysOnly = i < relaned
		from := len(t.blocks)
		for i := range e.chunks {
			c := &e.chunks[i]
			if some, all := w.wanted(c); some {
				if err := t.loadChunk(&in, c, all, w); err != nil {
					return fmt.Errorf("read %s at byte %d: %w", name, c.off, err)
				}
			}
		}
		// Lanes write side by side. What counts is what each did, in its order.
		slices.SortFunc(t.blocks[from:], func(a, b block) int {
			return cmp.Or(cmp.Compare(a.chunk.lane, b.chunk.lane), cmp.Compare(a.chunk.index, b.chunk.index))
		})
	}
	return nil
}

// chunkReader reads chunks from front to back.
type chunkReader struct {
	r       ReadFile
	small   window // many chunks of an epoch in which little has changed are one read
	scratch []byte
}

// rows reads the rows of a chunk: to keep, or to be valid until the next call.
func (in *chunkReader) rows(c *chunk, keep bool) ([]byte, error) {
	off := c.off + int64(chunkHead+len(c.node))
	if c.size < windowSize/8 {
		b, err := in.small.bytes(off, c.size)
		if keep {
			b = slices.Clone(b)
		}
		return b, err
	}
	var b []byte
	if keep {
		b = make([]byte, c.size)
	} else {
		in.scratch = slices.Grow(in.scratch[:0], c.size)
		b = in.scratch[:c.size]
	}
	if n, err := in.r.ReadAt(b, off); n < len(b) {
		return nil, err
	}
	return b, nil
}

// loadChunk reads a chunk into a block of its own, or what is wanted of it.
func (t *table) loadChunk(in *chunkReader, c *chunk, all bool, w *wish) error {
	b, err := in.rows(c, all)
	if err != nil {
		return err
	}
	if sum(c.seg.seed, b) != c.sum && !plant.Is(plant.NoChecksum) {
		return fmt.Errorf("%w since the log was opened: the rows do not have their checksum", errDamaged)
	}
	count := c.count
	if !all {
		if b, count, err = pick(b, c, w); err != nil {
			return err
		}
	}
	if count == 0 {
		return nil
	}
	id, ok := t.nodes[c.node]
	if !ok {
		id = uint32(len(t.nodes))
		t.nodes[c.node] = id
	}
	if len(t.blocks) == blocksMax {
		return fmt.Errorf("more than %d chunks", blocksMax)
	}
	t.blocks = append(t.blocks, block{c, id, b})
	t.count += count
	return nil
}

var errRow = fmt.Errorf("%w: a row is not whole", errDamaged)

// pick copies the wanted rows of a chunk.
func pick(b []byte, c *chunk, w *wish) (rows []byte, count int, err error) {
	var row change
	size := 0
	for at := 0; at < len(b); at += row.size {
		if !decodeRow(b[at:], &row) {
			return nil, 0, errRow
		}
		if w.row(row.group, c.lane) {
			size += row.size
			count++
		} else {
			b[at] = kindDead
		}
	}
	rows = make([]byte, 0, size)
	for at := 0; at < len(b); at += row.size {
		decodeRow(b[at:], &row)
		if row.kind != kindDead {
			rows = append(rows, b[at:at+row.size]...)
		}
	}
	return rows, count, nil
}

// batch is how many changes are looked up at a time. Where their slots are is known
// before the first of them is looked at, so that the memory is waited for once, and not
// once for each.
const batch = 32

// fold goes through all changes in order.
func (t *table) fold() error {
	size := uint64(16)
	for size < uint64(t.count)*3/2 {
		size *= 2
	}
	t.slots, t.mask = make([]uint64, size), size-1
	var (
		rows   [batch]change
		hashes [batch]uint64
		ats    [batch]uint64
	)
	for i := range t.blocks {
		b := &t.blocks[i]
		for at := 0; at < len(b.rows); {
			n := 0
			for ; n < batch && at < len(b.rows); n++ {
				row := &rows[n]
				if at >= chunkMax || !decodeRow(b.rows[at:], row) {
					return fmt.Errorf("%s at byte %d: %w", b.chunk.seg.name(), b.chunk.off, errRow)
				}
				hashes[n], ats[n] = hash(b, row), uint64(i+1)<<offBits|uint64(at)
				at += row.size
			}
			for _, h := range hashes[:n] {
				t.touched |= t.slots[h&t.mask]
			}
			for k := range n {
				t.change(b, ats[k], hashes[k], &rows[k])
			}
		}
	}
	return nil
}

// hash is one of node, key, and for rows that belong to no key the lane.
func hash(b *block, row *change) uint64 {
	h := keygroup.SumBytes(row.key) + uint64(b.node)*0x9E3779B97F4A7C15
	if row.group < 0 || plant.Is(plant.KeysByLane) {
		h += uint64(b.chunk.lane+1) * 0xD1B54A32D192ED03
	}
	return keygroup.Mix(h) // the key's own hash has its group in the top bits
}

func (t *table) change(b *block, at, h uint64, row *change) {
	tag := h &^ refMask
	i := h & t.mask
	for ; t.slots[i] != 0; i = (i + 1) & t.mask {
		if s := t.slots[i]; s&^refMask == tag && t.same(s&refMask, b, row) {
			break
		}
	}
	was := t.slots[i] & refMask
	kind := &b.rows[at&offMask]
	switch row.kind {
	case kindPut:
		t.kill(was)
		t.slots[i] = tag | at
	case kindDelete:
		// The slot stays: it is where later changes of the key are found.
		if !plant.Is(plant.DeleteIgnored) {
			t.kill(was)
			t.slots[i] = tag | at
		}
		*kind = kindDead
	case kindAppend:
		t.slots[i] = tag | t.append(was, at, len(row.val))
		if plant.Is(plant.AppendTwice) {
			t.slots[i] = tag | t.append(t.slots[i]&refMask, at, len(row.val))
		}
		*kind = kindDead
	}
}

// kill marks a row as overtaken.
func (t *table) kill(was uint64) {
	switch {
	case was == 0:
	case was >= chainMark:
		t.chains[was-chainMark].first = -1
	default:
		*t.kind(was) = kindDead
	}
}

func (t *table) kind(at uint64) *byte {
	return &t.blocks[at>>offBits-1].rows[at&offMask]
}

// append makes a chain of a row, or of nothing, and a change behind it.
func (t *table) append(was, at uint64, size int) uint64 {
	n := len(t.pieces)
	t.pieces = append(t.pieces, piece{at, -1})
	if was >= chainMark && t.chains[was-chainMark].first >= 0 {
		c := &t.chains[was-chainMark]
		t.pieces[c.last].next = n
		c.last, c.size = n, c.size+size
		return was
	}
	c := chain{n, n, size}
	if was != 0 && was < chainMark && *t.kind(was) != kindDead {
		*t.kind(was) = kindDead
		t.pieces = append(t.pieces, piece{was, n})
		c.first = n + 1
		c.size += len(t.at(was).val)
	}
	t.chains = append(t.chains, c)
	return chainMark + uint64(len(t.chains)-1)
}

// at decodes a row that was decoded before.
func (t *table) at(ref uint64) (row change) {
	decodeRow(t.blocks[ref>>offBits-1].rows[ref&offMask:], &row)
	return row
}

// same reports that was is of the same row as a change.
func (t *table) same(was uint64, b *block, row *change) bool {
	if was >= chainMark {
		was = t.pieces[t.chains[was-chainMark].last].at
	}
	o := &t.blocks[was>>offBits-1]
	old := t.at(was)
	return o.node == b.node && (old.group < 0) == (row.group < 0) &&
		(row.group >= 0 || o.chunk.lane == b.chunk.lane) && bytes.Equal(old.key, row.key)
}

// each hands on what is left.
func (t *table) each(f func(commit.Row) error) error {
	var row change
	for i := range t.blocks {
		b := &t.blocks[i]
		for at := 0; at < len(b.rows); at += row.size {
			if decodeRow(b.rows[at:], &row); row.kind == kindDead {
				continue
			}
			if err := f(commit.Row{Node: b.chunk.node, Lane: b.chunk.lane, Group: row.group, Key: row.key, Val: row.val}); err != nil {
				return err
			}
		}
	}
	var buf []byte
	for _, c := range t.chains {
		if c.first < 0 {
			continue
		}
		buf = slices.Grow(buf[:0], c.size)
		for p := c.first; p >= 0; p = t.pieces[p].next {
			buf = append(buf, t.at(t.pieces[p].at).val...)
		}
		last := t.pieces[c.last].at
		row, b := t.at(last), &t.blocks[last>>offBits-1]
		if err := f(commit.Row{Node: b.chunk.node, Lane: b.chunk.lane, Group: row.group, Key: row.key, Val: buf}); err != nil {
			return err
		}
	}
	return nil
}
