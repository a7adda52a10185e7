package sim

import "github.com/millrace/millrace/internal/keygroup"

// element is one record of the input: a pure function of the seed, its split and
// its number, so that the oracle needs no copy.
type element struct {
	split, n int
	key      int
	op       opKind
	val      int64
}

// opKind is what an element does to the state of its key.
type opKind uint8

const (
	opAdd   opKind = iota // to the sum
	opPush                // some bytes to the list, and add
	opTrim                // the older half of the list goes
	opClear               // nothing is left of the key
)

func elementAt(seed uint64, split, n, keys int) element {
	h := keygroup.Mix(seed ^ keygroup.Mix(uint64(split)<<32|uint64(n)))
	e := element{split: split, n: n, key: int(h>>8&0xffff) % keys, val: int64(h>>40) % 1000}
	switch h % 16 {
	case 0:
		e.op = opClear
	case 1:
		e.op = opTrim
	case 2, 3, 4, 5, 6:
		e.op = opPush
	}
	return e
}

// groupOf is the key group of a key.
func groupOf(key int) int { return keygroup.Group(keygroup.Mix(uint64(key) + 1)) }

// output is what a keyed operator sends to the sink for each element.
type output struct {
	split, n, key int
	sum           int64
	list          uint64 // hash of the list
}

// hashList is an FNV-1a of a list.
func hashList(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}
