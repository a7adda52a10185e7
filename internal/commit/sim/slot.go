package sim

import (
	"fmt"
	"iter"
	"slices"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/commit/plant"
)

// incarnation is the lanes of a process from their opening to their end, and the
// driver, which does what the cycle decides.
type incarnation struct {
	s     *sim
	store commit.Store
	cycle commit.Cycle
	lanes []*lane
	pool  *pool
	up    [][]message // by lane

	asked      int // the cut that lanes are asked for
	lettersEnd bool
	showed     int  // lanes that have committed their sinks in this cut
	heardShown int  // lanes that have told so
	owed       bool // an epoch is durable that not all sinks have committed
	end        commit.Decision

	epoch   commit.Epoch // open, or being made durable
	epochN  uint64
	whole   bool // it holds all rows
	relaned bool // it holds all rows of lanes
	reports []reader
	saved   []commit.Split // as of the last cut
	persist *persist       // nil: nothing is made durable
}

// message is what a lane says to the driver.
type message struct {
	lane int
	kind says
	pos  []reader
}

type says uint8

const (
	saysReported says = iota
	saysCommitted
	saysCore
	saysFinished
	saysEnded
)

// owner is the lane of a key group.
func (inc *incarnation) owner(group int) int { return ownerOf(group, len(inc.lanes)) }

func (inc *incarnation) lane(id int) commit.LaneWriter {
	return &shadow{to: inc.epoch.Lane(id), orc: inc.s.orc, lane: id}
}

// open opens lanes from what the store has.
func (s *sim) openLanes(store commit.Store) (*incarnation, error) {
	rec := store.Last()
	var rows []commit.Row
	var states [][]byte
	err := store.Rows(commit.Want{}, func(r commit.Row) error {
		r.Key, r.Val = append([]byte(nil), r.Key...), append([]byte(nil), r.Val...)
		rows = append(rows, r)
		if r.Node == "sink" {
			states = append(states, r.Val)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read all rows: %w", err)
	}
	if s.orc.opened(rec, rows, s.disk.sizes()) {
		s.count.FellBack++
		s.event(evFellBack, s.orc.last.epoch(), 0)
		for _, t := range s.out.txns { // sinks undo what was written since
			if t.epoch > s.orc.last.epoch() {
				t.state = txnGone
			}
		}
	}
	s.orc.found(s.out)
	s.at(Loading)
	if err := s.out.undo(states); err != nil {
		return nil, err
	}
	n := s.lanes
	inc := &incarnation{s: s, store: store, cycle: commit.Cycle{Lanes: n, Ahead: s.plan.Ahead, RestartAt: s.plan.Restart}, up: make([][]message, n)}
	if rec != nil {
		inc.saved = slices.Clone(rec.Splits["source"])
		if rec.Lanes != n {
			for i := range inc.saved {
				inc.saved[i].Lane = -1
			}
		}
	}
	inc.pool = newPool(len(s.plan.Splits), inc.saved)
	for i := range n {
		inc.lanes = append(inc.lanes, &lane{s: s, inc: inc, id: i, in: make([][]item, n), keys: make([]keyState, s.plan.Keys)})
	}
	for _, l := range inc.lanes {
		if err := inc.openLane(l); err != nil {
			return nil, fmt.Errorf("open lane %d: %w", l.id, err)
		}
	}
	for i := range inc.pool.splits {
		if p := &inc.pool.splits[i]; p.state == splitWaits && p.lane >= 0 { // goes back to who had it
			p.state = splitOpen
			inc.lanes[p.lane].openSplit(i, p.pos)
		}
	}
	s.event(evOpened, s.orc.last.epoch(), uint64(n))
	return inc, nil
}

func (inc *incarnation) openLane(l *lane) error {
	s := inc.s
	n := len(inc.lanes)
	var mine [][]byte
	want := commit.Want{
		Lane: func(lane int) bool {
			return lane%n == l.id && (lane < n || !plant.Is(plant.RowsOfOldLanes))
		},
		Group: func(g int) bool { return inc.owner(g) == l.id },
	}
	if err := inc.store.Rows(want, func(r commit.Row) error {
		if r.Group == commit.LaneBound && r.Lane%n != l.id {
			return fmt.Errorf("a row of lane %d that is not wanted", r.Lane)
		}
		if last := inc.store.Last(); r.Group == commit.EveryLane && last.Lanes == n && r.Lane != l.id {
			return nil // lanes know their own, as long as they are as many
		}
		return l.load(r, &mine)
	}); err != nil {
		return err
	}
	s.at(Loading)
	w, err := openWriter(s.out, l.id, mine, s.plan.Eager)
	l.w = w
	return err
}

// stop tears the lanes down: what is being made durable is waited for.
func (inc *incarnation) stop() {
	for inc.persist != nil {
		inc.resume(false)
	}
	if inc.epoch != nil {
		inc.epoch.Discard()
		inc.s.orc.dropped()
		inc.epoch = nil
	}
	for _, l := range inc.lanes {
		if inc.owed && inc.s.r.IntN(2) == 0 { // a driver may, or may leave it to recovery
			for _, t := range l.w.commit() {
				inc.s.orc.shows(t)
			}
		}
		l.w.abort()
	}
}

// step lets the driver take in one message.
func (inc *incarnation) step() bool {
	n := len(inc.up)
	first := inc.s.r.IntN(n)
	for i := range n {
		l := (first + i) % n
		if len(inc.up[l]) == 0 {
			continue
		}
		m := inc.up[l][0]
		inc.up[l] = inc.up[l][1:]
		inc.do(inc.heard(m))
		return true
	}
	return false
}

func (inc *incarnation) heard(m message) commit.Decision {
	switch m.kind {
	case saysReported:
		inc.reports = append(inc.reports, m.pos...)
		return inc.cycle.Reported()
	case saysCommitted:
		if inc.heardShown++; inc.heardShown == len(inc.lanes) {
			inc.heardShown, inc.owed = 0, false
			inc.s.at(Shown)
		}
		return inc.cycle.Committed()
	case saysCore:
		return inc.cycle.CoreFinished()
	case saysFinished:
		return inc.cycle.LaneFinished()
	default:
		return inc.cycle.LaneEnded()
	}
}

func (inc *incarnation) do(d commit.Decision) {
	s := inc.s
	if d != commit.Nothing {
		s.event(evDecision, uint64(d), uint64(inc.cycle.Cut()))
	}
	switch d {
	case commit.AskCut:
		inc.begin()
	case commit.EndLetters:
		inc.lettersEnd = true
	case commit.Persist:
		s.at(BeforePersist)
		inc.do(inc.cycle.Persisting(inc.startPersist()))
	case commit.Commit:
		inc.order(d)
	case commit.Release:
		inc.order(d)
		inc.do(inc.cycle.Released())
	case commit.Finish:
		s.at(Finishing)
		inc.order(d)
	case commit.Restart:
		s.count.Restarts++
		s.orc.restarted()
		inc.end = d
	case commit.Done:
		inc.end = d
	}
}

// begin opens an epoch and asks the lanes for a cut.
func (inc *incarnation) begin() {
	s := inc.s
	inc.epoch = inc.store.Begin(len(inc.lanes))
	last := inc.store.Last()
	inc.epochN, inc.showed = 1, 0
	if last != nil {
		inc.epochN = last.Epoch + 1
	}
	inc.whole, inc.relaned = inc.store.WantsWhole() || s.r.IntN(32) == 0, false
	if last != nil && last.Lanes != len(inc.lanes) && !plant.Is(plant.DeltaAtRescale) {
		inc.relaned = !inc.whole
	}
	switch {
	case inc.whole:
		s.count.Whole++
		inc.epoch.Whole()
	case inc.relaned:
		s.count.Relaned++
		inc.epoch.Relaned()
	}
	s.orc.began(inc.whole, inc.relaned)
	inc.asked = inc.cycle.Cut()
}

func (inc *incarnation) order(d commit.Decision) {
	for _, l := range inc.lanes {
		l.ctl = append(l.ctl, d)
	}
}

// persist is a Commit under way: a coroutine that gives way at each call of the
// file system.
type persist struct {
	rec   *commit.Record
	over  bool // Commit has returned
	aside bool // the epoch before is to be read meanwhile
	err   error
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool // set by the coroutine
}

// abandon ends the coroutine of a process that is no more.
func (p *persist) abandon() {
	defer func() {
		if x := recover(); x != nil && x != any(abandoned{}) {
			panic(x)
		}
	}()
	p.stop()
}

// advance lets Commit go on to its next call of the file system, if it has not returned.
func (inc *incarnation) advance() {
	s, p := inc.s, inc.persist
	if p.over {
		return
	}
	s.within = p
	_, more := p.next()
	s.within, p.over = nil, !more
}

// readAside reads the newest epoch while the next one is committed, as savepoints do.
// Commit goes on between the calls of the file system.
func (inc *incarnation) readAside() {
	s := inc.s
	if inc.persist.over {
		return
	}
	rec := inc.store.Last()
	var rows []commit.Row
	s.aside = true
	err := inc.store.Rows(commit.Want{}, func(r commit.Row) error {
		r.Key, r.Val = append([]byte(nil), r.Key...), append([]byte(nil), r.Val...)
		rows = append(rows, r)
		return nil
	})
	s.aside = false
	s.count.Asides++
	if err != nil && !s.ioFailed {
		s.orc.wrong("read epoch %d while the next one is committed: %w", s.orc.last.epoch(), err)
	}
	if err == nil {
		s.orc.read(rec, rows)
	}
}

// startPersist makes the record of what was reported, and begins to commit it. It
// reports whether some source has got further.
func (inc *incarnation) startPersist() (moved bool) {
	s := inc.s
	splits := inc.pool.save(inc.reports)
	inc.reports = nil
	moved = positions(splits) != positions(inc.saved)
	before := inc.saved
	inc.saved = splits
	switch {
	case plant.Is(plant.PositionOfEarlier) && before != nil:
		splits = before
	case plant.Is(plant.PositionOfNext):
		for i := range splits {
			if pos := decodePos(splits[i].Pos); pos < s.plan.Splits[i] && pos%4 == 3 {
				splits[i].Pos = encodePos(pos + 1)
				break
			}
		}
	}
	rec := &commit.Record{
		Lanes: len(inc.lanes), Ended: inc.cycle.Last(),
		Manifest: commit.Manifest{Hash: s.plan.Seed, Nodes: []commit.Node{{Name: "sum", Kind: "Sum", Key: "int", State: []string{"value sum int"}, Stateful: true}}},
		Splits:   map[string][]commit.Split{"source": splits},
	}
	for _, l := range inc.lanes {
		rec.Times = append(rec.Times, commit.Time{Node: "sum", Lane: l.id, In: l.seen, Out: l.seen - 1})
	}
	s.orc.asked(rec)
	p := &persist{rec: rec, aside: s.r.IntN(4) == 0}
	epoch := inc.epoch
	p.next, p.stop = iter.Pull(func(yield func(struct{}) bool) {
		p.yield = yield
		p.err = epoch.Commit(rec)
	})
	inc.persist = p
	return moved
}

// positions counts all elements that were read, and the splits that are done.
func positions(splits []commit.Split) (n int) {
	for _, s := range splits {
		n += decodePos(s.Pos) * 2
		if s.Done {
			n++
		}
	}
	return n
}

// resume lets Commit go on to its next call of the file system. The cycle hears of
// its end if tell.
func (inc *incarnation) resume(tell bool) {
	s, p := inc.s, inc.persist
	if inc.advance(); !p.over {
		return
	}
	inc.persist, inc.epoch = nil, nil
	if p.err != nil {
		s.event(evRefused, inc.epochN, 0)
		if !s.ioFailed {
			s.orc.wrong("epoch %d is refused on a disk without fault: %w", inc.epochN, p.err)
		}
		s.count.Refused++
		s.orc.refused()
		s.failing = true
		// A driver may open lanes again, for the store is as it was; but a store may have
		// given up, so not twice.
		s.refused++
		s.exiting = s.exiting || s.refused > 1 || s.r.IntN(2) == 0
		return
	}
	s.event(evDurable, inc.epochN, 0)
	s.count.Epochs++
	s.orc.granted(p.rec, s.disk.sizes())
	s.judgeDisk()
	inc.owed = true
	if tell {
		inc.do(inc.cycle.Persisted())
	}
}
