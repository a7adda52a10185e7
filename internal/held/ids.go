package held

import "math"

// Gen is the generation of the job; it rises with each rollback of all.
type Gen uint64

// Inc is the incarnation of a slot, or of a leader: the ballot of its register. The
// upper half is a round, the lower half is what the driver drew for this attempt, so
// that two never share one.
type Inc uint64

// Epoch is an epoch of one slot; the first is 1.
type Epoch uint64

// Cut is the number of a cut of the whole job, which is the colour of what comes
// after it; 0 is the start of the job.
type Cut uint64

// Class is (rank of an edge, lane of the receiver): rank·Lanes + lane. Order, credit
// and position are kept for each source slot and class.
type Class int

// Shape is what is equal in all slots of a job.
type Shape struct {
	Slots int
	Lanes int // of each slot
	Ranks int // of edges between slots; 0: no slot sends to another
}

// Classes is how many classes there are.
func (s Shape) Classes() int { return s.Ranks * s.Lanes }

// Class gives the class of a rank and a lane of the receiver, counted within its slot.
func (s Shape) Class(rank, lane int) Class { return Class(rank*s.Lanes + lane) }

// Rank is the rank of a class.
func (s Shape) Rank(c Class) int { return int(c) / s.Lanes }

// Lane is the lane of a class.
func (s Shape) Lane(c Class) int { return int(c) % s.Lanes }

// Pos is the first frame of a class that is not applied. The end of an epoch is a
// frame, too: behind it the position is frame 0 of the next epoch.
type Pos struct {
	Epoch Epoch
	Frame int
}

// Covers reports that frame f of epoch e is applied at p.
func (p Pos) Covers(e Epoch, f int) bool { return e < p.Epoch || e == p.Epoch && f < p.Frame }

// Start is the position before all frames.
var Start = Pos{Epoch: 1}

// ended is the last epoch whose end all classes have passed.
func ended(at []Pos) Epoch {
	e := Epoch(math.MaxUint64)
	for _, p := range at {
		e = min(e, p.Epoch-1)
	}
	if len(at) == 0 {
		return 0
	}
	return e
}

// Span says that an incarnation began behind the committed epoch Base.
type Span struct {
	Inc  Inc
	Base Epoch
}

// owner is the incarnation that an epoch belongs to: the last that began before it.
func owner(history []Span, e Epoch) Inc {
	var inc Inc
	for _, s := range history {
		if s.Base < e {
			inc = s.Inc
		}
	}
	return inc
}

// historyMax is how many incarnations a history remembers. An epoch of an older one
// is consumed long before.
const historyMax = 32

// began is a history with one more incarnation. Spans that no epoch belongs to any
// more are left out.
func began(history []Span, s Span) []Span {
	var list []Span
	for _, old := range history {
		if old.Base < s.Base {
			list = append(list, old)
		}
	}
	list = append(list, s)
	return list[max(0, len(list)-historyMax):]
}

// Ident names one committed record of a slot.
type Ident struct {
	Gen   Gen
	Inc   Inc
	Epoch Epoch
}
