package engine

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"slices"

	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/keygroup"
	"github.com/millrace/millrace/window"
)

// Shuffle is the other slots of the job, as the engine of one slot sees them. Lanes are
// those of the job: lane l of slot s is s·Lanes + l. Send, Room and Next are called by
// the lanes, Open and Cut while none of them runs or all stand still.
type Shuffle interface {
	// Open is called before lanes run, once for each incarnation: what was sent since the
	// last Cut that was committed is void. wake rouses a lane: when something is there for
	// it that can be taken in, and when sources have room again. at is what Cut gave last
	// in the record from which the incarnation begins, nil at the start; the newest marks
	// that it holds of each slot are to come again.
	Open(edges []ShuffleEdge, wake func(lane int), at []byte) error
	// Send takes a frame for a lane of another slot: what Buffer gave, and what was
	// appended to that. It is the Shuffle's own from then on. Send never waits.
	Send(edge, to int, b []byte)
	Buffer() []byte
	// Room reports that sources may be read whose elements can lead to frames of this
	// rank and of higher ones; with NoRank, to none.
	Room(rank int) bool
	// Next is what lane is to take in next, the highest rank first: frames of committed
	// epochs, each once, in order, if there is room where they can lead to, which is
	// ShuffleEdge.Reach.
	Next(lane int) (Arrival, bool)
	// Cut is called while all lanes stand still at a cut: what was sent belongs to the
	// epoch that ends here. marks are the watermarks of edges, the least over this slot's
	// lanes. at is how far what arrived is taken in; it goes into the epoch's record.
	Cut(marks []Mark) (at []byte)
}

// ShuffleEdge is an exchange between slots.
type ShuffleEdge struct {
	Edge  int    // its number among the plan's inputs
	Name  string // of the transform that it leads to
	Rank  int    // the longest path of such edges from a source to it
	Reach int    // the least rank to which what it brings can lead; NoRank: to none
}

// NoRank is the rank of what leads to no other slot: there is always room for it.
const NoRank = math.MaxInt

// Arrival is a frame, or the marks of an epoch.
type Arrival struct {
	Edge, From int    // number of the edge, and the slot that sent it
	Batch      []byte // valid until the next call of Next on this lane
	Marks      []Mark // or, instead of a batch, the watermarks at the end of an epoch

	// Replay, instead of all that: the first of what is parked of Group and Rank is to be
	// taken in.
	Replay      bool
	Group, Rank int
}

// Mark is the watermark of one edge, as the slot before it gives it.
type Mark struct {
	Edge int
	WM   int64
	Idle bool // nobody need wait for it
}

// place is which slot of how many this is, and how many lanes each has.
type place struct{ slot, slots, lanes int }

func (c Config) place() place { return place{c.Slot, max(c.Slots, 1), c.Lanes} }

// first is the slot's first lane, among all of the job.
func (p place) first() int { return p.slot * p.lanes }

// all is how many lanes the job has.
func (p place) all() int { return p.slots * p.lanes }

// owners is the lane of each key group. A slot's are g mod lanes, so that a group which
// moves to another slot is there on the lane that it was on.
func (p place) owners() []uint16 {
	own := make([]uint16, keygroup.N)
	for g := range own {
		if p.slots == 1 {
			own[g] = uint16(g * p.lanes / keygroup.N)
			continue
		}
		own[g] = p.laneOf(SlotOf(g, p.slots), g)
	}
	return own
}

// SlotOf is the slot of a key group as a job begins.
func SlotOf(group, slots int) int { return group * slots / keygroup.N }

// reads reports that a split is the slot's: by its place in the source's list, or where
// more may turn up, so that a place means nothing, by its name.
func (p place) reads(kind rootKind, i int, id string) bool {
	if kind == growing && p.slots > 1 {
		h := fnv.New32a()
		h.Write([]byte(id))
		i = int(h.Sum32() % uint32(p.slots))
	}
	return i%p.slots == p.slot
}

// slots are the other slots from which lane gets what comes over the input, as numbers
// behind those of this slot's lanes.
func (in *input) slots(lane int, at place) (out []int) {
	if !in.shuffled || !in.meets(lane, at) {
		return nil
	}
	for s := range at.slots {
		if s != at.slot {
			out = append(out, at.lanes+s)
		}
	}
	return out
}

// reaches finds how far stages can lead, from the last one back.
func (p *plan) reaches() {
	for _, s := range slices.Backward(p.stages) {
		s.reach = NoRank
		for _, in := range s.outs {
			if in.shuffled {
				s.reach = min(s.reach, s.rank)
			}
			s.reach = min(s.reach, in.to.reach)
		}
	}
}

// shuffleEdges are the plan's edges between slots.
func (p *plan) shuffleEdges() (out []ShuffleEdge) {
	for _, in := range p.inputs {
		if in.shuffled {
			out = append(out, ShuffleEdge{Edge: in.edge, Name: in.node.Name, Rank: in.from.rank, Reach: in.to.reach})
		}
	}
	return out
}

func (inc *incarnation) openShuffle() error {
	sh := inc.cfg.Shuffle
	if sh == nil {
		return nil
	}
	var at []byte
	if rec := inc.slot.store.Last(); rec != nil {
		at = rec.Shuffle
	}
	first := inc.plan.at.first()
	return sh.Open(inc.plan.shuffleEdges(), func(lane int) { inc.lanes[lane-first].poke() }, at)
}

// marks are the watermarks that lanes have passed on over the edges between slots. All
// lanes stand still.
func (inc *incarnation) marks() (out []Mark) {
	for _, in := range inc.plan.inputs {
		if !in.shuffled {
			continue
		}
		m, all := Mark{Edge: in.edge, WM: window.MaxTime}, int64(window.MaxTime)
		for _, l := range inc.lanes {
			st := l.stages[in.from.id]
			i := st.outOf(in)
			all = min(all, st.sentWM[i])
			if st.sentIdle[i] {
				m.Idle = true
			} else {
				m.WM = min(m.WM, st.sentWM[i])
			}
		}
		if m.Idle = m.Idle && m.WM == window.MaxTime; m.Idle { // as in progress
			m.WM = all
		}
		out = append(out, m)
	}
	return out
}

// outOf is the place of in among the stage's outs.
func (st *laneStage) outOf(in *input) int {
	for i, o := range st.outs {
		if o == in {
			return i
		}
	}
	panic("BUG: engine: an input that is not an output of the stage before it")
}

// frames are what a lane sends over an input to lanes of other slots. Batches are made
// frames, which are sent when they are large enough, or at a flush.
//
//	frame: | sending lane uvarint | (length u32, little-endian | a batch, by its edge)* |
type frames struct {
	in   *input
	e    graph.Edge
	sh   Shuffle
	lane int      // that sends
	most int      // bytes of a frame, about
	open [][]byte // by lane of the job; nil: not begun
}

// shuffled sends batches of in to lanes of other slots as frames, and the others by local.
// flush sends frames that are begun.
func (l *lane) shuffled(in *input, e graph.Edge, local func(int, graph.Batch) graph.Batch) (send func(int, graph.Batch) graph.Batch, flush func()) {
	at := l.inc.plan.at
	x := &frames{in, e, l.inc.cfg.Shuffle, l.c.Lane, l.inc.cfg.Frame, make([][]byte, at.all())}
	send = func(to int, b graph.Batch) graph.Batch {
		if to/at.lanes == at.slot {
			return local(to, b)
		}
		for b.Len() > 0 {
			x.add(to, b)
		}
		return b
	}
	return send, x.flush
}

// add puts what fits of b into the frame for lane to.
func (x *frames) add(to int, b graph.Batch) {
	f := x.open[to]
	if f == nil {
		f = binary.AppendUvarint(x.sh.Buffer(), uint64(x.lane))
	}
	at := len(f) + 4
	f = x.e.Marshal(append(f, 0, 0, 0, 0), b, x.most)
	binary.LittleEndian.PutUint32(f[at-4:], uint32(len(f)-at))
	x.open[to] = f
	if len(f) > x.most-x.most/8 {
		x.give(to)
	}
}

func (x *frames) give(to int) {
	f := x.open[to]
	x.open[to] = nil
	x.sh.Send(x.in.edge, to, f)
}

func (x *frames) flush() {
	for to, f := range x.open {
		if f != nil {
			x.give(to)
		}
	}
}

// landing is where a lane takes in what other slots send over an input.
type landing struct {
	in *input      // nil: not from other slots, or not on this lane
	e  graph.Edge  // nil: only watermarks
	b  graph.Batch // for the next frame
}

// land makes the landings of a lane.
func (inc *incarnation) land(lane int) []landing {
	ls := make([]landing, len(inc.plan.inputs))
	for i, in := range inc.plan.inputs {
		if in.shuffled && in.meets(lane, inc.plan.at) {
			ls[i].in = in
		}
	}
	return ls
}

// room reports that a root may be read: what comes of it has room on its way to other slots.
func (l *lane) room(st *laneStage) bool {
	return l.inc.cfg.Shuffle == nil || l.inc.cfg.Shuffle.Room(st.reach)
}

// takeMost is how many frames a lane takes in before it reads its sources again: more than
// it makes of one reading, so that they don't pile up.
const takeMost = 16

// takeIn takes in what other slots have sent, and reports whether there was anything new.
func (l *lane) takeIn() (any bool, err error) {
	for range takeMost { // not for ever: sources want their turn, too
		a, ok := l.inc.cfg.Shuffle.Next(l.c.Lane)
		if !ok || l.c.Err() != nil {
			return any, nil
		}
		if a.Replay {
			if err := l.replay(a); err != nil {
				return true, err
			}
			any = true
			continue
		}
		if a.Batch == nil {
			more, err := l.takeMarks(a)
			if err != nil {
				return any, err
			}
			any = any || more
			continue
		}
		if err := l.takeFrame(a); err != nil {
			return true, err
		}
		any = true
	}
	return any, nil
}

func (l *lane) takeFrame(a Arrival) error {
	if a.Edge < 0 || a.Edge >= len(l.landings) || l.landings[a.Edge].e == nil || l.landings[a.Edge].in == nil {
		return fmt.Errorf("slot %d sends lane %d something over edge %d, over which nothing comes: have all processes the same pipeline?", a.From, l.c.Lane, a.Edge)
	}
	x := &l.landings[a.Edge]
	lane, n := binary.Uvarint(a.Batch)
	if n <= 0 || lane >= uint64(l.c.Lanes) {
		return fmt.Errorf("a frame from slot %d for %s: it names no lane", a.From, x.in.node.Name)
	}
	for rest := a.Batch[n:]; len(rest) > 0; {
		if len(rest) < 4 || uint64(binary.LittleEndian.Uint32(rest)) > uint64(len(rest)-4) {
			return fmt.Errorf("a frame from slot %d for %s: it ends early", a.From, x.in.node.Name)
		}
		size := binary.LittleEndian.Uint32(rest)
		b, err := x.e.Unmarshal(rest[4:4+size], x.b)
		if err != nil {
			return fmt.Errorf("a frame from slot %d for %s: %w", a.From, x.in.node.Name, err)
		}
		rest, x.b = rest[4+size:], b
		l.stages[x.in.to.id].counts.elements.Add(int64(b.Len()))
		if l.parks != nil {
			if l.park(x.in, int(lane), b); b.Len() == 0 {
				continue
			}
		}
		l.deliverFrom(x.in, int(lane), b)
	}
	return nil
}

// takeMarks takes in how far another slot was at the end of an epoch. A slot that was
// restored may be behind what it has said: what had ended ends again.
func (l *lane) takeMarks(a Arrival) (any bool, err error) {
	for _, m := range a.Marks {
		if m.Edge < 0 || m.Edge >= len(l.landings) {
			return any, fmt.Errorf("slot %d tells a watermark of edge %d, which there is not: have all processes the same pipeline?", a.From, m.Edge)
		}
		in := l.landings[m.Edge].in
		if in == nil {
			continue
		}
		from := l.inc.plan.at.lanes + a.From
		was := l.progress.sender(in.to.id, in.index, from)
		if was == nil {
			return any, fmt.Errorf("slot %d tells a watermark of edge %d, over which it sends nothing here", a.From, m.Edge)
		}
		wm, idle := was.wm, was.idle
		if m.WM > wm || idle && !m.Idle {
			any = true
			l.note(l.stages[in.to.id], in.index, from, max(wm, m.WM))
			idle = false
		}
		if m.Idle && !idle {
			any = true
			l.note(l.stages[in.to.id], in.index, from, idleWM)
		}
	}
	return any, nil
}

// ShuffleEdges are the exchanges between slots that g has in a run with cfg: equal in
// all slots of a job.
func ShuffleEdges(g *graph.Graph, cfg Config) []ShuffleEdge {
	return newPlan(g, cfg.withDefaults()).shuffleEdges()
}
