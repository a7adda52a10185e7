package engine

import (
	"bytes"
	"slices"
)

// pool is the splits of one root: which wait, which lane reads which, which are
// done. A pure core; the slot guards it with a mutex, since lanes take from it.
//
// Invariant: a split is in one state at a time, and Done is final.
type pool struct {
	kind    rootKind
	lanes   int
	splits  []poolSplit
	waiting int
}

type poolSplit struct {
	id    string
	state splitState
	pos   []byte // where to go on; nil: at the start
	lane  int    // that has it, will have it, or had it open in the snapshot; -1: none
	fresh bool   // it was not there when the job began
}

// rootKind says how a root's splits are given to lanes.
type rootKind uint8

const (
	bounded   rootKind = iota // the next one to a lane that is free
	unbounded                 // all at once, shared among lanes
	growing                   // unbounded, and there may be more
)

type splitState uint8

const (
	splitWaiting splitState = iota
	splitOpen
	splitDone
)

// savedSplit is a split as a snapshot holds it.
type savedSplit struct {
	done bool
	pos  []byte
	lane int // that had it open; -1: none
}

func (s savedSplit) equal(o savedSplit) bool { return s.done == o.done && bytes.Equal(s.pos, o.pos) }

// newPool makes a pool of splits as a snapshot left them; saved is nil at the start.
// Of a growing root, splits that it does not know are fresh, and so are those behind
// the first old ones.
func newPool(ids []string, old int, kind rootKind, lanes int, saved map[string]savedSplit) *pool {
	p := &pool{kind: kind, lanes: lanes}
	for i, id := range ids {
		s := poolSplit{id: id, lane: -1, fresh: kind == growing && (len(saved) > 0 || i >= old)}
		if was, ok := saved[id]; ok {
			s.pos, s.fresh = was.pos, false
			if was.lane < lanes {
				s.lane = was.lane
			}
			if was.done {
				s.state = splitDone
			}
		}
		p.splits = append(p.splits, s)
	}
	for i := range p.splits {
		if p.splits[i].state == splitWaiting {
			p.waiting++
			p.share(i)
		}
	}
	return p
}

// share gives a split of an unbounded root, which was no lane's, to the lane that has
// the fewest.
func (p *pool) share(i int) {
	if p.kind == bounded || p.splits[i].lane >= 0 {
		return
	}
	has := make([]int, p.lanes)
	for _, s := range p.splits {
		if s.lane >= 0 && s.state != splitDone {
			has[s.lane]++
		}
	}
	p.splits[i].lane = slices.Index(has, slices.Min(has))
}

// add adds a split that has turned up.
func (p *pool) add(id string) {
	p.splits = append(p.splits, poolSplit{id: id, lane: -1, fresh: true})
	p.waiting++
	p.share(len(p.splits) - 1)
}

// take gives lane the splits that it should open now, having none open: of a
// bounded root the one that it had open in the snapshot, or else the next one that
// waits; of an unbounded one all of its share. A split that another lane had open is
// that lane's: the watermarks of this one have been restored, too, and may be ahead
// of the split.
func (p *pool) take(lane int) (out []int) {
	if p.kind != bounded {
		for i := range p.splits {
			if p.splits[i].lane == lane && p.splits[i].state == splitWaiting {
				out = append(out, p.open(i, lane))
			}
		}
		return out
	}
	next := -1
	for i := range p.splits {
		switch s := &p.splits[i]; {
		case s.state != splitWaiting:
		case s.lane == lane:
			return []int{p.open(i, lane)}
		case s.lane < 0 && next < 0:
			next = i
		}
	}
	if next < 0 {
		return nil
	}
	return []int{p.open(next, lane)}
}

func (p *pool) open(i, lane int) int {
	p.splits[i].state, p.splits[i].lane = splitOpen, lane
	p.waiting--
	return i
}

// finish marks a split as done.
func (p *pool) finish(i int) { p.splits[i].state = splitDone }

// save is the pool for a snapshot; positions of open splits are the lanes' to say.
func (p *pool) save(positions map[int][]byte) map[string]savedSplit {
	out := map[string]savedSplit{}
	for i, s := range p.splits {
		pos := s.pos
		if at, ok := positions[i]; ok {
			pos = at
		}
		if s.state == splitDone || pos != nil || p.kind == growing && !s.fresh {
			out[s.id] = savedSplit{s.state == splitDone, pos, s.lane}
		}
	}
	return out
}
