package statepebble

import "fmt"

// laneWriter gathers the rows of one lane.
type laneWriter struct {
	e    *epoch
	lane int
	rows *rows
	node number
	of   *counts // node's; nil before one is named
	err  error   // the first
}

func (w *laneWriter) Node(name string) {
	n, err := w.e.number(name)
	if err != nil {
		w.fail(err)
		return
	}
	w.node, w.of = n, w.rows.of(n)
}

func (w *laneWriter) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *laneWriter) Put(group int, key, val []byte)    { w.add(put, group, key, val) }
func (w *laneWriter) Append(group int, key, val []byte) { w.add(appendTo, group, key, val) }
func (w *laneWriter) Delete(group int, key []byte)      { w.add(remove, group, key, nil) }

func (w *laneWriter) add(k kind, group int, key, val []byte) {
	switch {
	case w.err != nil:
		return
	case w.of == nil:
		w.fail(fmt.Errorf("BUG: statepebble: lane %d writes before it names a node", w.lane))
		return
	case w.rows.size+len(key)+len(val) > maxEpoch:
		w.fail(fmt.Errorf("lane %d has changed more than an epoch can hold (%d bytes): cut epochs more often", w.lane, maxEpoch))
		return
	}
	if err := checkPlace(group, w.lane); err != nil {
		w.fail(err)
		return
	}
	w.rows.add(w.node, w.of, k, group, w.lane, key, val)
	if w.e.whole && w.rows.size >= w.e.s.largeBytes {
		w.spill()
	}
}

// spill writes what has gathered ahead of the commit.
func (w *laneWriter) spill() {
	s := w.e.s
	s.write.Lock()
	defer s.write.Unlock()
	w.fail(s.writeAll([]*rows{w.rows}, nil, false))
	w.rows.reset()
	w.of = w.rows.of(w.node)
	w.e.mu.Lock()
	w.e.spilled = true
	w.e.mu.Unlock()
}
