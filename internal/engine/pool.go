package engine

import "bytes"

// pool is the splits of one root: which wait, which lane reads which, which are
// done. A pure core; the slot guards it with a mutex, since lanes take from it.
//
// Invariant: a split is in one state at a time, and Done is final.
type pool struct {
	bounded bool
	lanes   int
	splits  []poolSplit
	waiting int
}

type poolSplit struct {
	id    string
	state splitState
	pos   []byte // where to go on; nil: at the start
	lane  int    // that has begun to read it, or -1
}

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
	lane int // that was reading it
}

func (s savedSplit) equal(o savedSplit) bool { return s.done == o.done && bytes.Equal(s.pos, o.pos) }

// newPool makes a pool of splits as a snapshot left them; saved is nil at the start.
func newPool(ids []string, bounded bool, lanes int, saved map[string]savedSplit) *pool {
	p := &pool{bounded: bounded, lanes: lanes}
	for _, id := range ids {
		s := poolSplit{id: id, lane: -1}
		if was, ok := saved[id]; ok {
			s.pos = was.pos
			if was.lane < lanes {
				s.lane = was.lane
			}
			if was.done {
				s.state = splitDone
			}
		}
		if s.state == splitWaiting {
			p.waiting++
		}
		p.splits = append(p.splits, s)
	}
	return p
}

// take gives lane the splits that it should open now, having none open: of a
// bounded root the next one that waits, of an unbounded one all of its share. A split
// that a lane had begun before a restart goes on there: that lane's watermark goes by
// it, and another lane's may be further.
func (p *pool) take(lane int) (out []int) {
	for _, mine := range []bool{true, false} {
		for i := range p.splits {
			s := &p.splits[i]
			if s.state != splitWaiting || p.bounded && mine != (s.lane == lane) || p.bounded && !mine && s.lane >= 0 || !p.bounded && i%p.lanes != lane {
				continue
			}
			s.state, s.lane = splitOpen, lane
			p.waiting--
			out = append(out, i)
			if p.bounded {
				return out
			}
		}
	}
	return out
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
		if s.state == splitDone || pos != nil {
			out[s.id] = savedSplit{s.state == splitDone, pos, s.lane}
		}
	}
	return out
}
