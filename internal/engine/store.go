package engine

import "github.com/millrace/millrace/internal/graph"

// change is one changed row, on its way from a lane into the store.
type change struct {
	node  string
	lane  int
	group int
	kind  changeKind
	key   []byte
	val   []byte
}

type changeKind uint8

const (
	put changeKind = iota
	appendTo
	remove
)

// changes collects the changed rows of one lane.
type changes struct {
	lane int
	node string
	list []change
	size int
}

func (c *changes) add(kind changeKind, group int, key, val []byte) {
	b := make([]byte, 0, len(key)+len(val))
	b = append(append(b, key...), val...)
	c.list = append(c.list, change{c.node, c.lane, group, kind, b[:len(key):len(key)], b[len(key):]})
	c.size += len(b)
}

func (c *changes) Put(group int, key, val []byte)    { c.add(put, group, key, val) }
func (c *changes) Append(group int, key, val []byte) { c.add(appendTo, group, key, val) }
func (c *changes) Delete(group int, key []byte)      { c.add(remove, group, key, nil) }

// snapshot is the state of the last cut, in memory: what a restart loads.
type snapshot struct {
	rows   map[rowID]row
	splits map[string]map[string]savedSplit // by root

	watermarks map[int][][]int64 // by lane and stage: the stage's own, then its operators' outputs'
}

// rowID names a row. Rows that belong to a lane keep its number; the rows of keys
// have lane -1.
type rowID struct {
	node string
	lane int
	key  string
}

type row struct {
	group int
	val   []byte
}

func newSnapshot() *snapshot {
	return &snapshot{rows: map[rowID]row{}, splits: map[string]map[string]savedSplit{}, watermarks: map[int][][]int64{}}
}

// apply takes in one lane's changes, in the order in which they were made.
func (s *snapshot) apply(list []change) {
	for _, c := range list {
		id := rowID{c.node, -1, string(c.key)}
		if c.group == graph.LaneBound {
			id.lane = c.lane
		}
		switch c.kind {
		case put:
			s.rows[id] = row{c.group, c.val}
		case appendTo:
			s.rows[id] = row{c.group, append(s.rows[id].val, c.val...)}
		case remove:
			delete(s.rows, id)
		}
	}
}

// each hands every row that belongs to lane to f.
func (s *snapshot) each(lane int, owner []uint16, f func(node string, key, val []byte) error) error {
	for id, r := range s.rows {
		if id.lane >= 0 && id.lane != lane || id.lane < 0 && int(owner[r.group]) != lane {
			continue
		}
		if err := f(id.node, []byte(id.key), r.val); err != nil {
			return err
		}
	}
	return nil
}
