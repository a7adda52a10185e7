package host

import (
	"hash/crc32"
	"iter"
	"slices"

	"github.com/millrace/millrace/internal/held"
)

// chain is the chunks that lead to rows. The base of a part is the chunk that holds all its
// rows, and may be that of all parts; chunks behind it hold what has changed. The chain begins
// with the oldest base that counts, so that rows are written anew a part at a time. Chunks of
// an incarnation behind a base have one name together with it, so that a record is small
// however many there are.
//
// Invariant: each part has a base, and the first chunk is the newest base of a part.
type chain struct {
	named []held.Chunk // shared with records: never written to
	bases []base       // of each of named
	since int          // bytes of all chunks behind the newest base; a small one counts as chunkLeast
	count int          // of these chunks
}

// base is what the first chunk of a name is.
type base struct {
	of   part
	size int // in bytes, with what has changed in other parts
}

const (
	// changesMin is how many bytes of changes there are, at least, before as much is
	// written again.
	changesMin = 2 << 20
	// chunkLeast is what reading a chunk costs, however small it is.
	chunkLeast = 4 << 10
	// partMin is how large bases are together before they are written in parts.
	partMin = 4 << 20
)

// next is what the next epoch is to be a base of. All rows are written again while as much
// is changed as they are: of the parts one, when that is so of its share. most is how many
// chunks of changes there may be before that, for tests; 0: any number.
func (c *chain) next(most int) part {
	if len(c.bases) == 0 {
		return allParts
	}
	all := c.weight()
	due := all + changesMin
	inParts := all >= partMin || most > 0
	if inParts {
		due /= parts
	}
	switch {
	case c.since <= due && (most == 0 || c.count < most):
		return noPart
	case !inParts:
		return allParts
	}
	for _, b := range slices.Backward(c.bases) {
		if b.of >= 0 {
			return (b.of + 1) % parts
		}
	}
	return 0
}

// weight is how many bytes all rows are, more or less.
func (c *chain) weight() (size int) {
	alone := 0
	for _, b := range c.bases {
		switch {
		case b.of == allParts:
			size = b.size
		case b.of >= 0:
			alone++
			size += b.size
		}
	}
	if c.bases[0].of == allParts {
		size -= c.bases[0].size * alone / parts
	}
	return size
}

// grow adds the chunk of an epoch, the bytes of which lie one behind the other in chunk, and
// which is a base of a part, of all or of none.
func (c *chain) grow(id held.Ident, of part, chunk ...[]byte) {
	size := 0
	for _, b := range chunk {
		size += len(b)
	}
	if of == allParts {
		*c = chain{}
	}
	c.named, c.bases = slices.Clone(c.named), slices.Clone(c.bases)
	last := len(c.named) - 1
	if of != noPart || last < 0 || !follows(c.named[last], id) {
		c.named = append(c.named, held.Chunk{Gen: id.Gen, Inc: id.Inc})
		c.bases = append(c.bases, base{of, size})
		last++
	}
	if c.since, c.count = c.since+max(size, chunkLeast), c.count+1; of != noPart {
		c.since, c.count = 0, 0
	}
	n := &c.named[last]
	n.Epoch, n.Count = id.Epoch, n.Count+1
	for _, b := range chunk {
		n.CRC = uint64(crc32.Update(uint32(n.CRC), castagnoli, b))
	}
	if of != noPart {
		c.shorten()
	}
}

// shorten lets go of what lies before the oldest base that counts.
func (c *chain) shorten() {
	first := 0
	for first < len(c.bases)-1 && c.replaced(first) {
		first++
	}
	c.named, c.bases = c.named[first:], c.bases[first:]
}

// replaced reports that all that the ith name is a base of has another one behind it.
func (c *chain) replaced(i int) bool {
	of := c.bases[i].of
	var newer [parts]bool
	for _, b := range c.bases[i+1:] {
		if b.of >= 0 {
			newer[b.of] = true
		}
	}
	switch of {
	case noPart:
		return true
	case allParts:
		return !slices.Contains(newer[:], false)
	}
	return newer[of]
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// follows reports that id is the epoch behind those of n.
func follows(n held.Chunk, id held.Ident) bool {
	return n.Gen == id.Gen && n.Inc == id.Inc && n.Epoch+1 == id.Epoch
}

// rest is what named has behind the chunks of c, of which it may have let go of the oldest.
// Where it does not go on from them, it is all of named, and onward is false.
func (c *chain) rest(named []held.Chunk) (rest []held.Chunk, onward bool) {
	last := len(c.named) - 1
	if last < 0 {
		return named, false
	}
	have := c.named[last]
	at := slices.IndexFunc(named, func(n held.Chunk) bool { return firstOf(n) == firstOf(have) })
	if at < 0 || at > last || !slices.Equal(c.named[last-at:last], named[:at]) {
		return named, false
	}
	want := named[at]
	named, all := named[at:], named
	if have.Epoch > want.Epoch {
		return all, false
	}
	more := want
	switch more.Count -= have.Count; {
	case more.Count > 0:
		return append([]held.Chunk{more}, named[1:]...), true
	case have == want:
		return named[1:], true
	}
	return all, false
}

// firstOf is the first epoch of n.
func firstOf(n held.Chunk) held.Ident {
	return held.Ident{Gen: n.Gen, Inc: n.Inc, Epoch: n.Epoch + 1 - held.Epoch(n.Count)}
}

// idents are the epochs of named, in order.
func idents(named []held.Chunk) iter.Seq[held.Ident] {
	return func(yield func(held.Ident) bool) {
		for _, n := range named {
			for id := firstOf(n); id.Epoch <= n.Epoch; id.Epoch++ {
				if !yield(id) {
					return
				}
			}
		}
	}
}

// names reports that t is a chunk of named.
func names(named []held.Chunk, t thing) bool {
	return slices.ContainsFunc(named, func(n held.Chunk) bool {
		return t.kind == chunkKind && t.gen == n.Gen && t.inc == n.Inc && t.epoch <= n.Epoch && t.epoch >= firstOf(n).Epoch
	})
}
