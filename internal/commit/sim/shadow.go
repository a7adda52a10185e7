package sim

import "github.com/millrace/millrace/internal/commit"

// shadow tells the oracle what a lane writes into an epoch.
type shadow struct {
	to   commit.LaneWriter
	orc  *oracle
	lane int
	node string
}

func (w *shadow) Node(name string) {
	w.node = name
	w.to.Node(name)
}

func (w *shadow) Put(group int, key, val []byte) {
	w.orc.put(id(w.node, w.lane, group, key), val)
	w.to.Put(group, key, val)
}

func (w *shadow) Append(group int, key, val []byte) {
	w.orc.add(id(w.node, w.lane, group, key), val)
	w.to.Append(group, key, val)
}

func (w *shadow) Delete(group int, key []byte) {
	w.orc.remove(id(w.node, w.lane, group, key))
	w.to.Delete(group, key)
}
