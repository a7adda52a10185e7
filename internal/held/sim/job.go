package sim

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/millrace/millrace/internal/held"
)

// keys is how many keys there are; a key is its own key group.
const keys = 16

// ranks: 0 leads from sources to the stage that fans out, 1 from there to the counts.
const ranks = 2

// element is one thing under way.
type element struct {
	part, n, index int // where it comes from
	key            int
	via            int // the key that it had in rank 0
	ts             int
	nonce          uint32
}

func (e *element) size() int { return 20 + (e.n*7+e.index*13)%60 }

func bytesOf(f []element) (n int) {
	for i := range f {
		n += f[i].size()
	}
	return n
}

// source is element n of a source, from 1 on.
func source(part, n int) element {
	return element{part: part, n: n, key: (n*5 + part*3) % keys, ts: n}
}

// fanOut is what an element of rank 0 becomes.
func fanOut(p *Plan, e element, nonce uint32) (list []element) {
	for i := range (e.n*7 + e.part) % (p.Fan + 1) {
		o := e
		o.index, o.via, o.key, o.nonce = i, e.key, (e.part*5+e.n*3+i*7)%keys, nonce
		list = append(list, o)
	}
	return list
}

// output is what the sink gets.
type output struct {
	element
	count int // of its key, with it
}

// fan is the state of a key of the stage that fans out.
type fan struct {
	count int
	sum   uint32      // of nonces, each as often as it was sent
	last  map[int]int // by part: n
}

// tally is the state of a key of the stage that counts.
type tally struct {
	count int
	last  map[[2]int]int // by part and via: n and index
	open  map[int]int    // by window: how many; each has a timer at its end
}

// windowSize is how long windows of the stage that counts are, in event time.
const windowSize = 20

// forever is the watermark behind all elements.
const forever = 1 << 30

// endSize is how many bytes a timer's output has.
const endSize = 20

// fired is what a timer has led to.
type fired struct{ key, window, count int }

// txn is the outputs of one epoch.
type txn struct {
	id   txnID
	outs []output
	ends []fired
}

type txnID struct {
	slot  int
	gen   held.Gen
	inc   held.Inc
	epoch held.Epoch
}

// state is all that a slot's record stands for.
type state struct {
	read    int                       // elements of its source
	marks   [ranks]int                // what it tells, itself and others
	parked  map[int]*[ranks][]element // by key group: what its state is awaited for
	fans    map[int]*fan
	tallies map[int]*tally
	outbox  []*txn
	applied [][]held.Pos // by source and class: the last frame that was applied
	durable bool
}

func newState(p *Plan) *state {
	s := &state{parked: map[int]*[ranks][]element{}, fans: map[int]*fan{}, tallies: map[int]*tally{}, applied: make([][]held.Pos, p.Slots)}
	for i := range s.applied {
		s.applied[i] = make([]held.Pos, ranks*p.Lanes)
	}
	return s
}

func (s *state) clone() *state {
	o := *s
	o.fans, o.tallies, o.durable = map[int]*fan{}, map[int]*tally{}, false
	for k, v := range s.fans {
		o.fans[k] = v.clone()
	}
	for k, v := range s.tallies {
		o.tallies[k] = v.clone()
	}
	o.parked = map[int]*[ranks][]element{}
	for k, v := range s.parked {
		c := *v
		for r := range c {
			c[r] = slices.Clone(c[r])
		}
		o.parked[k] = &c
	}
	o.outbox = slices.Clone(s.outbox)
	o.applied = slices.Clone(s.applied)
	for i := range o.applied {
		o.applied[i] = slices.Clone(o.applied[i])
	}
	return &o
}

func (f *fan) clone() *fan { return &fan{f.count, f.sum, maps.Clone(f.last)} }

func (t *tally) clone() *tally { return &tally{t.count, maps.Clone(t.last), maps.Clone(t.open)} }

// marks as bytes: one number for each rank.
func putMarks(m [ranks]int) (b []byte) {
	for _, v := range m {
		b = binary.AppendUvarint(b, uint64(v))
	}
	return b
}

func getMarks(b []byte) (m [ranks]int) {
	for i := range m {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return m
		}
		m[i], b = int(v), b[n:]
	}
	return m
}
