package savefile

import (
	"bytes"
	"cmp"
	"math"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/keygroup"
)

// place is where a row stands in the order of a node's rows. The rows of keys have
// lane 0 in it.
type place struct {
	group, lane int
	key         []byte
}

func (a place) compare(b place) int {
	return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.lane, b.lane), bytes.Compare(a.key, b.key))
}

func placeOf(r *commit.Row) place {
	if r.Group >= 0 {
		return place{r.Group, 0, r.Key}
	}
	return place{r.Group, r.Lane, r.Key}
}

// firstGroup is the least there is: groups are written as their distance from it.
const firstGroup = commit.EveryLane

func appendPlace(b []byte, p place) []byte {
	b = appendUint(b, uint64(p.group-firstGroup))
	if p.group < 0 {
		b = appendUint(b, uint64(p.lane))
	}
	return appendBlock(b, p.key)
}

func (d *reader) place() (p place) {
	p.group = d.upTo(keygroup.N-1-firstGroup) + firstGroup
	if p.group < 0 {
		p.lane = d.upTo(math.MaxInt32)
	}
	p.key = d.block()
	return p
}

// fits reports that a row can be written.
func fits(r *commit.Row) bool {
	if r.Group >= 0 {
		return r.Group < keygroup.N
	}
	return r.Group >= firstGroup && r.Lane >= 0 && r.Lane <= math.MaxInt32
}
