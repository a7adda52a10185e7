package flow

import (
	"bytes"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
)

// Shared is state that each lane of a stateful operator has a copy of, changed by
// a collection that all lanes see in the same order, and by nothing else.
type Shared[R any] struct {
	Value R

	name  []byte
	cod   coder.Coder[R]
	dirty bool
}

// shared is a Shared of whatever type.
type shared interface {
	delta(w graph.DeltaWriter)
	load(key, val []byte) (mine bool, err error)
	rewrite()
}

// sharedRow begins the names of shared rows in the store. No window's bytes do:
// its end would be before its start.
var sharedRow = []byte("shared/")

// AddShared declares shared state: update changes it for each element of the
// operator's next input. On an unbound lane it only declares.
func AddShared[R, B any, K comparable](l *Lane[K], name string, cod coder.Coder[R], in coder.Coder[B], update func(*R, B)) *Shared[R] {
	s := &Shared[R]{name: append(bytes.Clone(sharedRow), name...), cod: cod}
	l.Decl = append(l.Decl, graph.Part{Kind: graph.PartBroadcast, Name: name, Coder: cod.ID}.String())
	if !l.Bound {
		return s
	}
	c := l.K.Ctx
	node := c.Node()
	recv := func(c *graph.Ctx, b B) {
		c.Op, s.dirty = node.ID, true
		update(&s.Value, b)
	}
	if c.Run.Careful {
		g := &guard[B]{node: node, cod: in}
		recv = func(c *graph.Ctx, b B) {
			was := s.cod.Append(nil, s.Value)
			g.try(c, b, func() error { update(&s.Value, b); return nil }, func() { s.Value = decoded(s.cod, was) })
			s.dirty = true
		}
	}
	l.inputs = append(l.inputs, Recv[B](recv))
	l.shared = append(l.shared, s)
	return s
}

func (s *Shared[R]) delta(w graph.DeltaWriter) {
	if s.dirty {
		w.Put(graph.EveryLane, s.name, s.cod.Append(nil, s.Value))
		s.dirty = false
	}
}

func (s *Shared[R]) load(key, val []byte) (mine bool, err error) {
	if !bytes.Equal(key, s.name) {
		return false, nil
	}
	s.Value, _, err = s.cod.Decode(val)
	return true, err
}
