package sim

import "github.com/millrace/millrace/internal/commit"

// pool is the splits of the one root, as lanes take them.
type pool struct{ splits []pooled }

type pooled struct {
	state splitState
	pos   int
	lane  int // that has it open, or had; -1: none
}

type splitState uint8

const (
	splitWaits splitState = iota
	splitOpen
	splitDone
)

func newPool(n int, saved []commit.Split) *pool {
	p := &pool{splits: make([]pooled, n)}
	for i := range p.splits {
		p.splits[i].lane = -1
		for _, s := range saved {
			if s.ID != splitID(i) {
				continue
			}
			p.splits[i] = pooled{pos: decodePos(s.Pos), lane: s.Lane}
			if s.Done {
				p.splits[i].state = splitDone
			}
		}
	}
	return p
}

// take gives a lane a split that waits; -1 if there is none.
func (p *pool) take(lane int) (split, pos int) {
	for i := range p.splits {
		if s := &p.splits[i]; s.state == splitWaits {
			s.state, s.lane = splitOpen, lane
			return i, s.pos
		}
	}
	return -1, 0
}

func (p *pool) finish(split, pos int) { p.splits[split] = pooled{splitDone, pos, -1} }

// save is what the record says of the splits; those that are open are where the
// lanes' reports say.
func (p *pool) save(at []reader) []commit.Split {
	for _, r := range at {
		p.splits[r.split].pos = r.cut
	}
	out := make([]commit.Split, len(p.splits))
	for i, s := range p.splits {
		out[i] = commit.Split{ID: splitID(i), Done: s.state == splitDone, Pos: encodePos(s.pos), Lane: s.lane}
		if s.state != splitOpen {
			out[i].Lane = -1
		}
	}
	return out
}
