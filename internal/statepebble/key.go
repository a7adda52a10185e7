package statepebble

import (
	"encoding/binary"
	"fmt"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/keygroup"
)

// number stands for a node in keys. Zero is the store's own.
type number uint16

const (
	ownRows   number = 0
	maxNumber number = 0xFFFE // so that every number has one behind it
)

// Places are the two bytes behind the number: a key group, or one of these, which
// two bytes of the lane follow.
const (
	placeLane  = 0xFF00
	placeEvery = 0xFF01
)

const maxLane = 0xFFFF

// The store's own rows.
var (
	recordKey = ownKey("record")
	nodesKey  = ownKey("nodes")
	writesKey = ownKey("writes") // how many batches were written before this one, and this
	tallyKey  = ownKey("tally")  // one more from each batch: less than writesKey says if one is lost
)

func ownKey(name string) []byte { return append(ownRows.append(nil), name...) }

func (n number) append(b []byte) []byte { return binary.BigEndian.AppendUint16(b, uint16(n)) }

// span is all keys of a number: from start to end, without end.
func (n number) span() (start, end []byte) { return n.append(nil), (n + 1).append(nil) }

// placeSpan is all keys of a number at the places from first to last.
func placeSpan(n number, first, last uint16) (start, end []byte) {
	return binary.BigEndian.AppendUint16(n.append(nil), first), binary.BigEndian.AppendUint16(n.append(nil), last+1)
}

// headLen is the length of a key before the operator's own part.
func headLen(group int) int {
	if group < 0 {
		return 6
	}
	return 4
}

// putHead writes the number and the place into b, which holds headLen bytes.
func putHead(b []byte, n number, group, lane int) {
	binary.BigEndian.PutUint16(b, uint16(n))
	switch group {
	case commit.LaneBound:
		binary.BigEndian.PutUint16(b[2:], placeLane)
		binary.BigEndian.PutUint16(b[4:], uint16(lane))
	case commit.EveryLane:
		binary.BigEndian.PutUint16(b[2:], placeEvery)
		binary.BigEndian.PutUint16(b[4:], uint16(lane))
	default:
		binary.BigEndian.PutUint16(b[2:], uint16(group))
	}
}

// place is where a row belongs.
type place struct{ group, lane int }

// cutHead takes a key apart. The bytes come from disk and may be anything.
func cutHead(b []byte) (n number, p place, key []byte, err error) {
	if len(b) < 4 {
		return 0, p, nil, fmt.Errorf("a key of %d bytes", len(b))
	}
	n = number(binary.BigEndian.Uint16(b))
	v := int(binary.BigEndian.Uint16(b[2:]))
	switch {
	case v < keygroup.N:
		return n, place{group: v}, b[4:], nil
	case v != placeLane && v != placeEvery || len(b) < 6:
		return 0, p, nil, fmt.Errorf("a key at place %#x", v)
	case v == placeLane:
		p.group = commit.LaneBound
	default:
		p.group = commit.EveryLane
	}
	p.lane = int(binary.BigEndian.Uint16(b[4:]))
	return n, p, b[6:], nil
}

// after is the least key behind all of a place.
func (p place) after(b []byte, n number) []byte {
	b = n.append(b[:0])
	switch {
	case p.group >= 0:
		return binary.BigEndian.AppendUint16(b, uint16(p.group+1))
	case p.lane == maxLane:
		v := uint16(placeLane)
		if p.group == commit.EveryLane {
			v = placeEvery
		}
		return binary.BigEndian.AppendUint16(b, v+1)
	}
	b = append(b, 0, 0, 0, 0)
	putHead(b, n, p.group, p.lane+1)
	return b
}

func checkPlace(group, lane int) error {
	if group < commit.EveryLane || group >= keygroup.N || lane < 0 || lane > maxLane {
		return fmt.Errorf("a row of group %d on lane %d", group, lane)
	}
	return nil
}
