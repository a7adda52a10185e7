package sim

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/commit/plant"
	"github.com/millrace/millrace/internal/keygroup"
)

// lane is the model of a lane: it reads splits, sends their elements to the lanes
// that own the keys, folds what comes in, and writes to its sink.
type lane struct {
	s   *sim
	inc *incarnation
	id  int

	state     laneState
	cut       int  // the newest that this lane knows of
	barriered bool // has sent its barriers of that cut; reads nothing
	barriers  int  // that have come in
	reported  int  // the newest cut that was reported
	ends      int
	sentEnd   bool
	told      told

	in    [][]item // by sender
	ctl   []commit.Decision
	open  []reader
	keys  []keyState
	seen  int64 // greatest value that came in: a row that all lanes read
	dirty bool  // seen has changed
	// folded counts the elements that came in, on this lane and on those whose rows it has.
	folded int64
	w      *writer
}

type laneState uint8

const (
	laneRuns  laneState = iota
	laneWaits           // has cut, and waits to be released
	laneGone
)

// told is how much of its end a lane has told.
type told uint8

const (
	toldNothing told = iota
	toldCore
	toldFinished
)

// reader is an open split. cut is what it was at in the newest report.
type reader struct{ split, pos, cut int }

// item is what queues between lanes hold. A barrier has the number of its cut in e.n.
type item struct {
	kind itemKind
	e    element
}

type itemKind uint8

const (
	itemElement itemKind = iota
	itemBarrier
	itemEnd
)

// keyState is the state of one key, and what of it has changed since the last cut.
type keyState struct {
	have    bool
	sum     int64
	list    []byte
	changed bool
	lists   []listChange
}

// listChange is a change of a list's row, in the order in which they were made.
type listChange struct {
	kind listKind
	data []byte
}

type listKind uint8

const (
	listAppend listKind = iota
	listPut
	listDelete
)

// step does one thing, if there is one to do.
func (l *lane) step() bool {
	if l.state == laneGone {
		return false
	}
	first := l.s.r.IntN(3)
	for i := range 3 {
		switch (first + i) % 3 {
		case 0:
			if len(l.ctl) > 0 {
				d := l.ctl[0]
				l.ctl = l.ctl[1:]
				l.obey(d)
				return true
			}
		case 1:
			if l.state == laneRuns && l.drain() {
				return true
			}
		case 2:
			if l.state == laneRuns && l.read() {
				return true
			}
		}
	}
	return false
}

// drain takes some items of one sender.
func (l *lane) drain() bool {
	first := l.s.r.IntN(len(l.in))
	for i := range l.in {
		from := (first + i) % len(l.in)
		if len(l.in[from]) == 0 {
			continue
		}
		for range 1 + l.s.r.IntN(4) {
			if len(l.in[from]) == 0 || l.state != laneRuns {
				break
			}
			x := l.in[from][0]
			l.in[from] = l.in[from][1:]
			l.take(from, x)
		}
		return true
	}
	return false
}

func (l *lane) take(from int, x item) {
	switch x.kind {
	case itemElement:
		l.fold(x.e)
	case itemBarrier:
		l.s.event(evBarrier, uint64(l.id), uint64(from))
		need := len(l.in)
		if plant.Is(plant.OneBarrierTooFew) {
			if x.e.n <= l.reported {
				return
			}
			if l.barriered && need > 1 {
				need--
			}
		}
		if l.barriers++; l.barriers == need {
			l.report()
		}
	case itemEnd:
		if l.ends++; l.ends == len(l.in) {
			l.tell(message{kind: saysCore})
			l.told = toldCore
			l.tellFinished()
		}
	}
}

func (l *lane) tellFinished() {
	if l.told == toldCore && l.inc.lettersEnd {
		l.told = toldFinished
		l.tell(message{kind: saysFinished})
	}
}

// read reads some elements of a split, or takes notice of a cut, or of the end.
func (l *lane) read() bool {
	l.tellFinished()
	if l.inc.asked > l.cut && !l.barriered && (len(l.open) == 0 || l.s.r.IntN(2) == 0) {
		l.cut, l.barriered = l.inc.asked, true
		l.send(item{kind: itemBarrier, e: element{n: l.cut}})
		l.s.event(evNotice, uint64(l.id), uint64(l.cut))
		return true
	}
	if l.barriered {
		return false
	}
	if len(l.open) < 2 {
		if split, pos := l.inc.pool.take(l.id); split >= 0 {
			l.openSplit(split, pos)
			return true
		}
	}
	if len(l.open) == 0 {
		if l.sentEnd {
			return false
		}
		l.sentEnd = true
		l.send(item{kind: itemEnd})
		return true
	}
	at := l.s.r.IntN(len(l.open))
	r := &l.open[at]
	for range 1 + l.s.r.IntN(4) {
		if r.pos == l.s.plan.Splits[r.split] {
			l.inc.pool.finish(r.split, r.pos)
			l.open = append(l.open[:at], l.open[at+1:]...)
			break
		}
		e := elementAt(l.s.plan.Seed, r.split, r.pos, l.s.plan.Keys)
		r.pos++
		to := l.inc.owner(groupOf(e.key))
		l.inc.lanes[to].in[l.id] = append(l.inc.lanes[to].in[l.id], item{e: e})
		l.s.event(evRead, uint64(e.split), uint64(e.n))
	}
	return true
}

func (l *lane) openSplit(split, pos int) {
	l.s.orc.asksFor(split, pos)
	l.open = append(l.open, reader{split, pos, pos})
}

func (l *lane) send(x item) {
	for _, to := range l.inc.lanes {
		to.in[l.id] = append(to.in[l.id], x)
	}
}

func (l *lane) tell(m message) {
	m.lane = l.id
	l.inc.up[l.id] = append(l.inc.up[l.id], m)
}

// fold is the keyed operator, and what follows it.
func (l *lane) fold(e element) {
	k := &l.keys[e.key]
	k.have, k.changed = true, true
	switch e.op {
	case opAdd:
		k.sum += e.val
	case opPush:
		k.sum += e.val
		item := []byte{byte(e.val), byte(e.n), byte(e.split)}
		k.list = append(k.list, item...)
		k.lists = append(k.lists, listChange{listAppend, item})
	case opTrim:
		k.list = append([]byte(nil), k.list[len(k.list)/2:]...)
		k.lists = append(k.lists[:0], listChange{listPut, k.list})
	case opClear:
		k.have, k.sum, k.list = false, 0, nil
		k.lists = append(k.lists[:0], listChange{listDelete, nil})
	}
	l.folded++
	if e.val > l.seen {
		l.seen, l.dirty = e.val, true
	}
	l.w.write(output{e.split, e.n, e.key, k.sum, hashList(k.list)})
	l.s.event(evFold, uint64(e.key), uint64(k.sum))
}

// report cuts: the sink is prepared, what has changed is written, and the driver told.
func (l *lane) report() {
	early := l.w.state()
	l.w.prepare(l.inc.epochN)
	state := l.w.state()
	if plant.Is(plant.PreparedNotInState) {
		state = early
	}
	w := l.inc.lane(l.id)
	for _, node := range nodes {
		w.Node(node)
		switch node {
		case "sum":
			l.writeSums(w)
		case "list":
			l.writeLists(w)
		case "clock":
			if l.dirty || (l.inc.whole || l.inc.relaned) && l.seen > 0 {
				w.Put(commit.EveryLane, []byte("seen"), num(l.seen))
			}
			l.dirty = false
		case "sink":
			w.Put(commit.LaneBound, []byte("writer"), state)
		case "count":
			w.Put(commit.LaneBound, []byte("n"), num(l.folded))
		}
	}
	for i := range l.keys {
		k := &l.keys[i]
		k.changed, k.lists = false, nil
	}
	m := message{kind: saysReported, pos: make([]reader, len(l.open))}
	for i := range l.open {
		l.open[i].cut = l.open[i].pos
	}
	copy(m.pos, l.open)
	l.barriers, l.barriered, l.state, l.reported = 0, false, laneWaits, l.cut
	if plant.Is(plant.AckBeforeDurable) {
		l.acknowledge()
	}
	l.s.event(evReport, uint64(l.id), uint64(l.cut))
	l.tell(m)
}

func (l *lane) writeSums(w commit.LaneWriter) {
	for i := range l.keys {
		k := &l.keys[i]
		switch {
		case k.have && (k.changed || l.inc.whole):
			w.Put(groupOf(i), keyBytes(i), num(k.sum))
		case k.changed && !l.inc.whole && !plant.Is(plant.ClearNotWritten):
			w.Delete(groupOf(i), keyBytes(i))
		}
	}
}

func (l *lane) writeLists(w commit.LaneWriter) {
	for i := range l.keys {
		k := &l.keys[i]
		if l.inc.whole {
			if len(k.list) > 0 {
				w.Append(groupOf(i), keyBytes(i), k.list)
			}
			continue
		}
		for _, c := range k.lists {
			switch c.kind {
			case listAppend:
				w.Append(groupOf(i), keyBytes(i), c.data)
			case listPut:
				w.Put(groupOf(i), keyBytes(i), c.data)
			case listDelete:
				w.Delete(groupOf(i), keyBytes(i))
			}
		}
	}
}

// load puts a row back.
func (l *lane) load(r commit.Row, states *[][]byte) error {
	switch r.Node {
	case "sum", "list":
		i, err := strconv.Atoi(string(r.Key))
		if err != nil || i >= len(l.keys) || groupOf(i) != r.Group || l.inc.owner(r.Group) != l.id {
			return fmt.Errorf("a row of key %q, group %d, on lane %d", r.Key, r.Group, l.id)
		}
		if r.Node == "sum" {
			l.keys[i].have, l.keys[i].sum = true, int64(binary.BigEndian.Uint64(r.Val))
		} else {
			l.keys[i].list = append([]byte(nil), r.Val...)
		}
	case "clock":
		l.seen = max(l.seen, int64(binary.BigEndian.Uint64(r.Val)))
	case "sink":
		*states = append(*states, append([]byte(nil), r.Val...))
	case "count":
		l.folded += int64(binary.BigEndian.Uint64(r.Val))
	}
	return nil
}

// obey does what the driver orders.
func (l *lane) obey(d commit.Decision) {
	l.s.event(evObey, uint64(l.id), uint64(d))
	switch d {
	case commit.Commit:
		if l.inc.showed == 0 {
			l.s.at(BeforeShow)
		} else {
			l.s.at(Showing)
		}
		l.inc.showed++
		for _, t := range l.w.commit() {
			l.s.orc.shows(t)
		}
		l.acknowledge()
		l.tell(message{kind: saysCommitted})
	case commit.Release:
		l.state = laneRuns
	case commit.Restart:
		l.state = laneGone
	case commit.Finish:
		l.s.at(Finishing)
		l.w.commit()
		l.state = laneGone
		l.tell(message{kind: saysEnded})
	}
}

// acknowledge tells the sources how much is durable.
func (l *lane) acknowledge() {
	for _, r := range l.open {
		if plant.Is(plant.AckNewest) {
			r.cut = r.pos
		}
		l.s.orc.acknowledged(r.split, r.cut)
	}
}

// nodes are the operators that have rows, in the order in which lanes write them.
var nodes = []string{"sum", "list", "clock", "sink", "count"}

func keyBytes(key int) []byte      { return strconv.AppendInt(nil, int64(key), 10) }
func num(v int64) []byte           { return binary.BigEndian.AppendUint64(nil, uint64(v)) }
func splitID(split int) string     { return "split-" + strconv.Itoa(split) }
func encodePos(pos int) []byte     { return binary.AppendUvarint([]byte{}, uint64(pos)) }
func ownerOf(group, lanes int) int { return group * lanes / keygroup.N }

func decodePos(b []byte) int {
	v, _ := binary.Uvarint(b)
	return int(v)
}
