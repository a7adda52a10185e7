package engine

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/keygroup"
)

// parks is the input of one lane for key groups that are on their way to it: it waits until
// their state is here, and is in rows of its own meanwhile, each some elements of one group
// that came together.
//
//	key: | group u16 | rank u8 | number u64 |, big-endian; numbers rise
//	row: | edge uvarint | sending lane uvarint | a batch, by its edge |
//
// Invariant: what waits of a group and a rank is taken in from the front, and what comes for
// the group is put behind it.
type parks struct {
	awaits [keygroup.N]bool // input of these is parked
	some   bool             // there is one
	rows   map[parkOf][]parkRow
	gone   []goneRow // taken in since the last delta
	last   uint64    // number
}

// parkOf is what is in order: input of a group over edges of one rank.
type parkOf struct{ group, rank int }

type parkRow struct {
	number uint64
	val    []byte
	saved  bool // it is in the store
}

type goneRow struct {
	parkOf
	number uint64
}

// parkedRows names the rows of what is parked. No transform has such a name.
const parkedRows = "\x00parked"

var errParked = errors.New("input that waits for its key group is damaged")

func newParks() *parks { return &parks{rows: map[parkOf][]parkRow{}} }

// await makes groups those whose input is parked.
func (p *parks) await(groups []int) {
	clear(p.awaits[:])
	for _, g := range groups {
		p.awaits[g] = true
	}
	p.some = len(groups) > 0
}

// arrived says that a group is here, and its input is parked no more.
func (p *parks) arrived(group int) {
	p.awaits[group] = false
	p.some = slices.Contains(p.awaits[:], true)
}

// awaited reports that input of a group is parked.
func (p *parks) awaited(group int) bool { return p.awaits[group] }

// idle reports that there is nothing parked, nor to be, and that the store knows.
func (p *parks) idle() bool { return !p.some && len(p.rows)+len(p.gone) == 0 }

// add parks a row, which is the caller's no more.
func (p *parks) add(at parkOf, val []byte) {
	p.last++
	p.rows[at] = append(p.rows[at], parkRow{number: p.last, val: val})
}

// take takes the first row out. There is one, or else ok is false.
func (p *parks) take(at parkOf) (val []byte, ok bool) {
	list := p.rows[at]
	if len(list) == 0 {
		return nil, false
	}
	if list[0].saved {
		p.gone = append(p.gone, goneRow{at, list[0].number})
	}
	if val = list[0].val; len(list) == 1 {
		delete(p.rows, at)
	} else {
		p.rows[at] = list[1:]
	}
	return val, true
}

func parkKey(at parkOf, number uint64) []byte {
	b := append(binary.BigEndian.AppendUint16(nil, uint16(at.group)), byte(at.rank))
	return binary.BigEndian.AppendUint64(b, number)
}

// delta writes what has changed, and all rows of groups that again chooses; nil: none.
func (p *parks) delta(w commit.LaneWriter, again func(group int) bool) {
	w.Node(parkedRows)
	for _, g := range p.gone {
		w.Delete(g.group, parkKey(g.parkOf, g.number))
	}
	p.gone = nil
	for _, at := range slices.SortedFunc(maps.Keys(p.rows), parkOf.compare) {
		all := again != nil && again(at.group)
		for i := range p.rows[at] {
			if r := &p.rows[at][i]; all || !r.saved {
				w.Put(at.group, parkKey(at, r.number), r.val)
				r.saved = true
			}
		}
	}
}

func (a parkOf) compare(b parkOf) int {
	if a.group != b.group {
		return a.group - b.group
	}
	return a.rank - b.rank
}

// load puts a row back. Rows come in any order: settle puts them in theirs.
func (p *parks) load(group int, key, val []byte) error {
	if len(key) != 11 || int(binary.BigEndian.Uint16(key)) != group {
		return errParked
	}
	at, number := parkOf{group, int(key[2])}, binary.BigEndian.Uint64(key[3:])
	p.rows[at] = append(p.rows[at], parkRow{number, slices.Clone(val), true})
	p.last = max(p.last, number)
	return nil
}

// settle is called when all rows are loaded.
func (p *parks) settle() {
	for _, list := range p.rows {
		slices.SortFunc(list, func(a, b parkRow) int { return int(a.number) - int(b.number) })
	}
}
