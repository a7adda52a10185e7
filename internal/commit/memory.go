package commit

import (
	"maps"
	"slices"
)

// Memory is a Store that lasts as long as the process: for restarts within a run.
type Memory struct {
	last *Record
	rows map[rowID]memoryRow
}

// rowID names a row. The rows of keys have lane -1.
type rowID struct {
	node string
	lane int
	key  string
}

type memoryRow struct {
	group int
	val   []byte
}

// NewMemory makes an empty store.
func NewMemory() *Memory { return &Memory{rows: map[rowID]memoryRow{}} }

func (m *Memory) Last() *Record    { return m.last }
func (m *Memory) WantsWhole() bool { return false }
func (m *Memory) Close() error     { return nil }

func (m *Memory) Rows(want Want, f func(Row) error) error {
	for id, r := range m.rows {
		row := Row{id.node, id.lane, r.group, []byte(id.key), r.val}
		if !want.Wants(row.Node, row.Lane, row.Group) {
			continue
		}
		if err := f(row); err != nil {
			return err
		}
	}
	return nil
}

// Wants reports that w chooses a row.
func (w *Want) Wants(node string, lane, group int) bool {
	switch {
	case w.Node != nil && !w.Node(node):
		return false
	case group == EveryLane:
		return true
	case group == LaneBound:
		return w.Lane == nil || w.Lane(lane)
	}
	return w.Group == nil || w.Group(group)
}

func (m *Memory) Begin(lanes int) Epoch {
	return &memoryEpoch{m: m, lanes: make([]memoryLane, lanes)}
}

// Take is Begin for an epoch whose rows need not be copied: the slices that its lanes are
// given are the store's from then on.
func (m *Memory) Take(lanes int) Epoch {
	e := &memoryEpoch{m: m, lanes: make([]memoryLane, lanes)}
	for i := range e.lanes {
		e.lanes[i].takes = true
	}
	return e
}

type memoryEpoch struct {
	m       *Memory
	whole   bool
	relaned bool
	lanes   []memoryLane
}

func (e *memoryEpoch) Whole()                   { e.whole = true }
func (e *memoryEpoch) Relaned()                 { e.relaned = true }
func (e *memoryEpoch) Lane(lane int) LaneWriter { return &e.lanes[lane] }
func (e *memoryEpoch) Discard()                 {}

func (e *memoryEpoch) Commit(rec *Record) error {
	m := e.m
	rec.Epoch = 1
	if m.last != nil {
		rec.Epoch = m.last.Epoch + 1
	}
	if e.whole {
		n := 0
		for i := range e.lanes {
			n += len(e.lanes[i].list)
		}
		m.rows = make(map[rowID]memoryRow, n)
	}
	if e.relaned {
		maps.DeleteFunc(m.rows, func(id rowID, _ memoryRow) bool { return id.lane >= 0 })
	}
	for i := range e.lanes {
		for _, c := range e.lanes[i].list {
			m.apply(i, c)
		}
		e.lanes[i].list = nil
	}
	m.last = rec
	return nil
}

func (m *Memory) apply(lane int, c change) {
	id := rowID{c.node, -1, string(c.key)}
	if c.group < 0 {
		id.lane = lane
	}
	switch c.kind {
	case put:
		m.rows[id] = memoryRow{c.group, c.val}
	case appendTo:
		m.rows[id] = memoryRow{c.group, append(m.rows[id].val, c.val...)}
	case remove:
		delete(m.rows, id)
	}
}

// change is one changed row.
type change struct {
	node     string
	group    int
	kind     changeKind
	key, val []byte
}

type changeKind uint8

const (
	put changeKind = iota
	appendTo
	remove
)

// memoryLane collects the changed rows of one lane, in the order in which they were made.
type memoryLane struct {
	node  string
	list  []change
	takes bool // what it is given is not copied
}

func (l *memoryLane) Node(name string) { l.node = name }

func (l *memoryLane) add(kind changeKind, group int, key, val []byte) {
	if l.takes {
		l.list = append(l.list, change{l.node, group, kind, key, slices.Clip(val)})
		return
	}
	b := make([]byte, 0, len(key)+len(val))
	b = append(append(b, key...), val...)
	l.list = append(l.list, change{l.node, group, kind, b[:len(key):len(key)], b[len(key):]})
}

func (l *memoryLane) Put(group int, key, val []byte)    { l.add(put, group, key, val) }
func (l *memoryLane) Append(group int, key, val []byte) { l.add(appendTo, group, key, val) }
func (l *memoryLane) Delete(group int, key []byte)      { l.add(remove, group, key, nil) }
