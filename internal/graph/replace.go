package graph

// Elements is what a source or a sink knows of the type of its elements. By it one can
// stand in for it that has never heard of the type: one that reads or writes JSON, say.
type Elements interface {
	// Box takes the values of a source; out is what [Split].Open is given.
	Box(out any) Box
	// Lines is a sink that makes a line of each element. format is given a pointer to
	// it and its event time, lines is a sink of strings.
	Lines(lines Op, format func(v any, ts int64) (string, error)) Op
}

// Box holds one element after the other, on their way out of a source.
type Box interface {
	// New makes the box hold a zero value, and is a pointer to it.
	New() any
	// Emit passes the value on.
	Emit(c *Ctx)
}

// ReplaceSource makes the node a root that reads src, an operation of this kind; by is
// what was asked for, for people.
func (n *Node) ReplaceSource(src Source, kind, by string) {
	n.Src, n.Kind, n.Replaced = src, kind, by
}

// ReplaceSink makes the node write lines to what sink is, in a graph of its own.
func (n *Node) ReplaceSink(sink *Node, format func(v any, ts int64) (string, error), kind, by string) {
	n.Op, n.Kind, n.Replaced = n.Elements.Lines(sink.Op, format), kind, by
	n.In[0].Kind, n.Stateful, n.State = sink.In[0].Kind, sink.Stateful, sink.State
}
