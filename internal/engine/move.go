package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/keygroup"
	"github.com/millrace/millrace/window"
)

// Mover is a [Shuffle] between whose slots key groups can move. Groups, Turn and Given are
// called while all lanes stand still, or before any runs; the rest by lanes.
type Mover interface {
	Shuffle
	// Groups is where key groups are. It changes with a Cut before which Turn was not empty.
	Groups() Groups
	// Turn is asked for right before each Cut, and done before it.
	Turn() Turn
	// Given takes the state of Turn.Give, by group: rows as of [commit.RowLog]. A group
	// without any may be missing. It is kept with the epoch that the next Cut ends.
	Given(rows map[int][]byte)
	// Park says that input of a group that is awaited waits in the slot's state, behind what
	// there is of its rank.
	Park(group, rank, bytes int)
	// Replayed says that the first of it, which was so many bytes, was taken in, as Next has
	// asked for by [Arrival].Replay. awaited is whether input of the group is still parked.
	Replayed(group, rank, bytes int) (awaited bool)
	// Frozen reports that no newer watermarks are to be told over edges between slots,
	// neither to others nor to the slot's own lanes. It ends while lanes run, and wakes them.
	Frozen() bool
}

// Groups is where key groups are, as one slot sees it.
type Groups struct {
	Owner  []int  // by group: the slot that its elements go to
	Await  []int  // groups that have become the slot's, whose input is parked
	Absent []int  // those of Await whose state is not here
	Give   []int  // groups that are another slot's, whose state is here still
	Frozen bool   // see [Mover]
	Marks  []Mark // that the slot has told last; of an incarnation that begins, the one before
}

// Turn is what a cut does to key groups.
type Turn struct {
	Give  []int  // the state of these is taken out
	Adopt []Rows // the state of these is put in
	Next  bool   // behind the cut elements follow another assignment
}

// Rows is the state of a key group, as [Mover].Given was given it.
type Rows struct {
	Group int
	Rows  []byte
}

func (t *Turn) empty() bool { return len(t.Give)+len(t.Adopt) == 0 && !t.Next }

// Movable reports why key groups of a graph can't move between slots; nil if they can. They
// can't where a transform may hold watermarks back for a key and something behind it goes by
// watermarks: those that another slot has told meanwhile would not wait for the key.
func Movable(g *graph.Graph) error {
	for i, n := range g.Nodes {
		if n.Key == "" || !holds(n) {
			continue
		}
		behind := map[*graph.Node]bool{n: true}
		for _, o := range g.Nodes[i+1:] {
			if !slices.ContainsFunc(o.In, func(in graph.In) bool { return behind[in.Node] }) {
				continue
			}
			if behind[o] = true; timed(o) {
				return fmt.Errorf("%s may hold the watermark back for a key, and %s goes by it", n.Name, o.Name)
			}
		}
	}
	return nil
}

// holds reports that a transform may hold watermarks back for a key: for panes that are
// stamped by elements or come by a trigger, and for what timers emit.
func holds(n *graph.Node) bool {
	return slices.ContainsFunc(n.State, func(s string) bool {
		p, err := graph.ParsePart(s)
		if err != nil {
			return true
		}
		switch p.Kind {
		case graph.PartEventTimer, graph.PartClockTimer, graph.PartEventTimers, graph.PartClockTimers:
			return true
		case graph.PartPaned, graph.PartMerging:
			return n.Windowing.Timestamps != window.EndOfWindow || !n.Windowing.Compile().FiresAtEnd()
		}
		return false
	})
}

// timed reports that what a transform does depends on watermarks.
func timed(n *graph.Node) bool {
	if n.View > 0 || n.Kind == clockKind || n.Key != "" && n.Windowing.Fn.Kind() != window.KindGlobal {
		return true
	}
	return slices.ContainsFunc(n.State, func(s string) bool {
		p, err := graph.ParsePart(s)
		if err != nil {
			return true
		}
		switch p.Kind {
		case graph.PartWriter, graph.PartParked, graph.PartBroadcast, graph.PartGrouped, graph.PartCombined:
			return false // in the global window, which only the end of the input passes
		case graph.PartValue, graph.PartBag, graph.PartSet, graph.PartMap, graph.PartCombining, graph.PartOrderedList:
			return p.Has(graph.OptionEventTTL)
		}
		return true
	})
}

// awayLane is the lane of a group whose state is in no lane of this slot.
const awayLane = math.MaxUint16

// groups are where key groups are as the run begins: by a fixed formula, or where a Mover
// says that they are.
func (s *slot) groups() (*Groups, Mover) {
	m, ok := s.cfg.Shuffle.(Mover)
	if !ok {
		return nil, nil
	}
	g := m.Groups()
	return &g, m
}

// lanes are the lanes that groups go to, and those that have their state.
func (g *Groups) lanes(at place) (owner, here []uint16) {
	owner = make([]uint16, keygroup.N)
	for group, slot := range g.Owner {
		owner[group] = at.laneOf(slot, group)
	}
	here = slices.Clone(owner)
	for _, group := range g.Absent {
		here[group] = awayLane
	}
	for _, group := range g.Give {
		here[group] = at.laneOf(at.slot, group)
	}
	return owner, here
}

// laneOf is the lane of a key group in a slot.
func (p place) laneOf(slot, group int) uint16 { return uint16(slot*p.lanes + group%p.lanes) }

// follow lets lanes know where key groups are. They stand still, or do not run yet.
func (inc *incarnation) follow(g *Groups) {
	owner, here := g.lanes(inc.plan.at)
	copy(inc.run.Owner, owner) // in place: exchanges have it
	copy(inc.run.Here, here)
	for _, l := range inc.lanes {
		var mine []int
		for _, group := range g.Await {
			if int(owner[group]) == l.c.Lane {
				mine = append(mine, group)
			}
		}
		if len(mine) > 0 && l.parks == nil {
			l.parks = newParks()
		}
		if l.parks != nil {
			l.parks.await(mine)
		}
		l.frozen = l.frozen || g.Frozen // who thaws has watermarks to tell
	}
}

// turning is a turn on its way through the lanes.
type turning struct {
	Turn
	gives, adopts func(group int) bool
}

func newTurning(t Turn) *turning {
	x := &turning{Turn: t}
	gives, adopts := map[int]bool{}, map[int]bool{}
	for _, g := range t.Give {
		gives[g] = true
	}
	for _, r := range t.Adopt {
		adopts[r.Group] = true
	}
	x.gives, x.adopts = func(g int) bool { return gives[g] }, func(g int) bool { return adopts[g] }
	return x
}

// turn has all lanes do a turn: they have cut, and stand still. It reports false when the
// incarnation ends meanwhile.
func (inc *incarnation) turn(t Turn) bool {
	if len(t.Give)+len(t.Adopt) == 0 {
		return true
	}
	x := newTurning(t)
	for _, l := range inc.lanes {
		l.turns <- x
	}
	given := map[int][]byte{}
	for range inc.lanes {
		select {
		case rows := <-inc.turned:
			for group, b := range rows {
				given[group] = b
			}
		case e := <-inc.exits: // of a lane that can't do it
			inc.exits <- e
			return false
		case <-inc.ctx.Done():
			return false
		}
	}
	if len(t.Give) > 0 {
		inc.mover.Given(given)
	}
	return true
}

// turn takes out and puts in the state of this lane's groups, and writes into the open epoch
// what that changes. It gives what was taken out, by group.
func (l *lane) turn(t *turning) (given map[int][]byte, err error) {
	w := l.inc.epoch.Lane(l.id)
	out := &giving{LaneWriter: w, gives: t.gives, out: map[int]*commit.RowLog{}}
	in, err := l.coming(t)
	if err != nil {
		return nil, err
	}
	for _, st := range l.stages {
		for _, o := range st.ops {
			m, ok := o.live.(graph.Mover)
			if !ok {
				continue
			}
			l.c.Op = o.node.ID
			if len(t.Give) > 0 {
				m.Rewrite(l.c, graph.Anew{Groups: t.gives})
				out.Node(o.node.Name)
				o.keeper.Delta(out)
				m.Leave(l.c, t.gives, out)
			}
			if rows := in[o.node.Name]; len(rows) > 0 {
				for _, key := range slices.Sorted(maps.Keys(rows)) {
					if err := o.keeper.Load([]byte(key), rows[key]); err != nil {
						return nil, fmt.Errorf("take over %s from another slot: %w", o.node.Name, err)
					}
				}
				delete(in, o.node.Name)
				m.Came(l.c)
				m.Rewrite(l.c, graph.Anew{Groups: t.adopts})
				w.Node(o.node.Name)
				o.keeper.Delta(w)
				l.late = true
			}
		}
	}
	for node := range in {
		return nil, fmt.Errorf("take over %s from another slot: no transform of that name keeps state by key", node)
	}
	given = map[int][]byte{}
	for group, log := range out.out {
		given[group] = log.Bytes()
	}
	return given, l.c.Err()
}

// giving writes the rows of groups that are given where they are taken out to, and deletes
// them in the epoch.
type giving struct {
	commit.LaneWriter
	gives func(group int) bool
	node  string
	out   map[int]*commit.RowLog
}

func (w *giving) Node(name string) {
	w.node = name
	w.LaneWriter.Node(name)
}

// at is where rows of a group go to; nil if it is not given.
func (w *giving) at(group int, key []byte) *commit.RowLog {
	if !w.gives(group) {
		return nil
	}
	log := w.out[group]
	if log == nil {
		log = commit.NewRowLog(nil)
		w.out[group] = log
	}
	log.Node(w.node)
	w.LaneWriter.Delete(group, key)
	return log
}

func (w *giving) Put(group int, key, val []byte) {
	if log := w.at(group, key); log != nil {
		log.Put(group, key, val)
	} else {
		w.LaneWriter.Put(group, key, val)
	}
}

func (w *giving) Append(group int, key, val []byte) {
	if log := w.at(group, key); log != nil {
		log.Append(group, key, val)
	} else {
		w.LaneWriter.Append(group, key, val)
	}
}

func (w *giving) Delete(group int, key []byte) {
	if log := w.at(group, key); log != nil {
		log.Delete(group, key)
	} else {
		w.LaneWriter.Delete(group, key)
	}
}

// coming is the rows that a turn puts into this lane, by node and key.
func (l *lane) coming(t *turning) (map[string]map[string][]byte, error) {
	in := &comingRows{rows: map[string]map[string][]byte{}}
	for _, r := range t.Adopt {
		if int(l.inc.run.Owner[r.Group]) != l.c.Lane {
			continue
		}
		if in.group = r.Group; commit.Replay(r.Rows, in) != nil || in.strange {
			return nil, fmt.Errorf("the state of key group %d, from another slot, is damaged", r.Group)
		}
	}
	return in.rows, nil
}

// comingRows makes rows of what was written.
type comingRows struct {
	group   int
	node    string
	rows    map[string]map[string][]byte
	strange bool // a row is of another group
}

func (c *comingRows) Node(name string) { c.node = name }

func (c *comingRows) Put(group int, key, val []byte) {
	c.strange = c.strange || group != c.group
	if c.rows[c.node] == nil {
		c.rows[c.node] = map[string][]byte{}
	}
	c.rows[c.node][string(key)] = slices.Clone(val)
}

func (c *comingRows) Append(group int, key, val []byte) {
	c.Put(group, key, append(slices.Clone(c.rows[c.node][string(key)]), val...))
}

func (c *comingRows) Delete(_ int, key []byte) { delete(c.rows[c.node], string(key)) }

// goOn tells again what was told of watermarks when the incarnation before was committed
// last: others hold this one to it, and what has ended does not come again.
func (l *lane) goOn() {
	told := map[int]Mark{}
	for _, m := range l.inc.told {
		told[m.Edge] = m
	}
	for _, st := range l.stages {
		for i, in := range st.outs {
			m, ok := told[in.edge]
			if !ok || !in.shuffled {
				continue
			}
			if m.WM > st.sentWM[i] {
				st.sentWM[i] = m.WM
				l.tell(st, i, in, m.WM)
			}
			if m.Idle {
				st.sentIdle[i] = true
				l.tell(st, i, in, idleWM)
			}
		}
	}
}

// thaw tells watermarks again when nothing is on its way any more.
func (l *lane) thaw() {
	if l.inc.mover.Frozen() {
		return
	}
	l.frozen = false
	for _, st := range l.stages {
		l.pass(st)
	}
}

// catchUp lets operators do what is due of the state that has come: where inputs are idle, the
// slot that had it may have been behind.
func (l *lane) catchUp() {
	l.late = false
	for _, st := range l.stages {
		for i := range st.ops {
			o := &st.ops[i]
			if _, ok := o.live.(graph.Mover); ok && o.wm != nil && known(o.in) {
				l.c.Op, l.c.WM = o.node.ID, o.in
				o.wm.Advance(l.c, o.in)
			}
		}
	}
}

// park takes elements of groups that are awaited out of a batch.
func (l *lane) park(in *input, from int, b graph.Batch) {
	if in.in.Kind != graph.ByKey || !l.parks.some {
		return
	}
	e := l.landings[in.edge].e.(graph.KeyedEdge)
	e.Part(b, l.parks.awaited, func(group int, part graph.Batch) {
		for part.Len() > 0 {
			val := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(in.edge)), uint64(from))
			val = e.Marshal(val, part, l.inc.cfg.Frame)
			l.parks.add(parkOf{group, in.from.rank}, val)
			l.inc.mover.Park(group, in.from.rank, len(val))
		}
	})
}

// replay takes in what was parked first of a group and a rank.
func (l *lane) replay(a Arrival) error {
	if l.parks == nil {
		return errNothingParked
	}
	val, ok := l.parks.take(parkOf{a.Group, a.Rank})
	if !ok {
		return errNothingParked
	}
	edge, n := binary.Uvarint(val)
	if n <= 0 || edge >= uint64(len(l.landings)) || l.landings[edge].e == nil {
		return errParked
	}
	from, k := binary.Uvarint(val[n:])
	if k <= 0 {
		return errParked
	}
	x := &l.landings[edge]
	b, err := x.e.Unmarshal(val[n+k:], x.b)
	if err != nil {
		return fmt.Errorf("%w: %w", errParked, err)
	}
	x.b = b
	l.deliverFrom(x.in, int(from), b)
	if !l.inc.mover.Replayed(a.Group, a.Rank, len(val)) {
		l.parks.arrived(a.Group)
	}
	return nil
}

var errNothingParked = errors.New("BUG: engine: input is to be taken in that is not parked")

// deliverFrom lets a stage take a batch in that came from a lane.
func (l *lane) deliverFrom(in *input, from int, b graph.Batch) {
	st := l.stages[in.to.id]
	l.c.WM, l.c.Split, l.c.Src = l.progress.stages[st.id].wm, from, nil
	st.deliver[in.index](b)
}
