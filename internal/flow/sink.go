package flow

import (
	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
)

// Writer is a sink's part on one lane: functions rather than an interface,
// because the interface is public and lives in package pipeline.
type Writer[T any] struct {
	Write   func(T) error
	Prepare func() (state []byte, err error)
	Commit  func() error
	Finish  func() error
	Abort   func(final bool)
}

// Sink writes a collection. open is called once a lane, with the state of the
// last commit or nil.
func Sink[T any](open func(c *graph.Ctx, state []byte) (*Writer[T], error), cod coder.Coder[T]) graph.Op {
	return op(func(c *graph.Ctx, _ []any) ([]any, any) {
		s := &sink[T]{open: open, node: c.Node()}
		if c.Run.Careful {
			g := &guard[T]{node: c.Node(), cod: cod}
			return one(Recv[T](func(c *graph.Ctx, v T) { g.try(c, v, func() error { return s.w.Write(v) }, nil) })), s
		}
		id := c.Op
		return one(Recv[T](func(c *graph.Ctx, v T) {
			c.Op = id
			if err := s.w.Write(v); err != nil {
				c.Fail(err)
			}
		})), s
	})
}

type sink[T any] struct {
	open  func(c *graph.Ctx, state []byte) (*Writer[T], error)
	node  *graph.Node
	w     *Writer[T]
	state []byte // of the last commit, then of the last Prepare
}

// Start opens the writer, after Load.
func (s *sink[T]) Start(c *graph.Ctx) error {
	return protect(c, s.node, func() (err error) {
		s.w, err = s.open(c, s.state)
		return err
	})
}

func (s *sink[T]) Prepare(c *graph.Ctx) error {
	if s.w == nil {
		return nil
	}
	return protect(c, s.node, func() (err error) {
		s.state, err = s.w.Prepare()
		return err
	})
}

func (s *sink[T]) Commit(c *graph.Ctx) error {
	if s.w == nil {
		return nil
	}
	return protect(c, s.node, s.w.Commit)
}

func (s *sink[T]) Finish(c *graph.Ctx) error {
	if s.w == nil {
		return nil
	}
	return protect(c, s.node, s.w.Finish)
}

func (s *sink[T]) Abort(final bool) {
	if s.w != nil {
		s.w.Abort(final)
	}
}

func (s *sink[T]) Delta(w graph.DeltaWriter) {
	if s.state != nil {
		w.Put(graph.LaneBound, []byte("writer"), s.state)
	}
}

func (s *sink[T]) Load(_, val []byte) error {
	s.state = append([]byte{}, val...)
	return nil
}

// ForLane hands each element to a function that can't fail, made once a lane.
func ForLane[T any](make func(c *graph.Ctx) func(T), cod coder.Coder[T]) graph.Op {
	return op(func(c *graph.Ctx, out []any) ([]any, any) {
		f := make(c)
		id := c.Op
		if c.Run.Careful {
			return ForEach(func(*graph.Ctx) func(T) error { return func(v T) error { f(v); return nil } }, cod).Open(c, out)
		}
		return one(Recv[T](func(c *graph.Ctx, v T) {
			c.Op = id
			f(v)
		})), nil
	})
}

// ForEach hands each element to a function made once a lane.
func ForEach[T any](make func(c *graph.Ctx) func(T) error, cod coder.Coder[T]) graph.Op {
	return op(func(c *graph.Ctx, _ []any) ([]any, any) {
		f := make(c)
		id := c.Op
		if c.Run.Careful {
			g := &guard[T]{node: c.Node(), cod: cod}
			return one(Recv[T](func(c *graph.Ctx, v T) { g.try(c, v, func() error { return f(v) }, nil) })), nil
		}
		return one(Recv[T](func(c *graph.Ctx, v T) {
			c.Op = id
			if err := f(v); err != nil {
				c.Fail(err)
			}
		})), nil
	})
}
