package flow

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
)

// Writer is a sink's part on one lane: functions rather than an interface,
// because the interface is public and lives in package pipeline.
type Writer[T any] struct {
	Write   func(T) error
	WriteAt func(v T, ts int64) error // instead of Write, if it is not nil
	Prepare func() (state []byte, err error)
	Commit  func() error
	Finish  func() error
	Abort   func(final bool)
	Crowded func() bool // nil: never
}

// SinkOpener opens the parts of a sink.
type SinkOpener[T any] struct {
	// Single says that the sink has one part, on lane 0.
	Single bool
	// Prompt says that what is written may be seen at once, and perhaps twice.
	Prompt bool
	// Open opens the part of one lane of so many, with the state that its last Prepare
	// gave, or nil.
	Open func(c *graph.Ctx, lane, lanes int, state []byte) (*Writer[T], error)
	// Succeed, if not nil, makes the state with which lanes begin from those of a run
	// with another number of lanes.
	Succeed func(states [][]byte) ([]byte, error)
}

// Sink writes a collection.
func Sink[T any](open SinkOpener[T], cod coder.Coder[T]) graph.Op {
	return op(func(c *graph.Ctx, _ []any) ([]any, any) {
		s := &sink[T]{open: open, node: c.Node()}
		if c.Run.Careful {
			g := &guard[T]{node: c.Node(), cod: cod}
			return one(Recv[T](func(c *graph.Ctx, v T) { g.try(c, v, func() error { return s.write(c, v) }, nil) })), s
		}
		id := c.Op
		return one(Recv[T](func(c *graph.Ctx, v T) {
			c.Op = id
			if err := s.write(c, v); err != nil {
				c.Fail(err)
			}
		})), s
	})
}

// lanePart is the last state of one lane's writer.
type lanePart struct {
	lane, lanes int
	state       []byte
}

// sink is a sink on one lane.
//
//	key: | "writer" | lane uvarint | lanes uvarint |
//	row: | the writer's state |
//
// It is a row of EveryLane: when the number of lanes has changed, each lane sees the
// states of all lanes before, finishes those that are its to finish, so that each
// part is shown, and begins a part of its own behind them.
type sink[T any] struct {
	open        SinkOpener[T]
	node        *graph.Node
	w           *Writer[T] // nil where the sink has no part
	lane, lanes int        // of w
	state       []byte     // of the last Prepare
	was         []lanePart // what was loaded
}

func (s *sink[T]) write(c *graph.Ctx, v T) error {
	if s.w.WriteAt != nil {
		return s.w.WriteAt(v, c.TS)
	}
	return s.w.Write(v)
}

// Start opens the writer, after Load.
func (s *sink[T]) Start(c *graph.Ctx) error {
	return protect(c, s.node, func() error { return s.start(c) })
}

func (s *sink[T]) start(c *graph.Ctx) (err error) {
	s.lane, s.lanes = c.Lane, c.Lanes
	if s.open.Single {
		s.lanes = 1
	}
	var before [][]byte
	slices.SortFunc(s.was, func(a, b lanePart) int { return cmp.Compare(a.lane, b.lane) })
	for _, p := range s.was {
		if p.lanes == s.lanes {
			if p.lane == c.Lane {
				s.state = p.state
			}
			continue
		}
		before = append(before, p.state)
		if p.lane%s.lanes != c.Lane {
			continue
		}
		if err := s.finish(c, p); err != nil {
			return fmt.Errorf("finish what lane %d of %d wrote before: %w", p.lane, p.lanes, err)
		}
	}
	s.was = nil
	if c.Lane >= s.lanes {
		return nil
	}
	if before != nil && s.state == nil && s.open.Succeed != nil {
		if s.state, err = s.open.Succeed(before); err != nil {
			return err
		}
	}
	s.w, err = s.open.Open(c, s.lane, s.lanes, s.state)
	return err
}

// finish shows the part of a lane that is not there any more.
func (s *sink[T]) finish(c *graph.Ctx, p lanePart) error {
	w, err := s.open.Open(c, p.lane, p.lanes, p.state)
	if err != nil {
		return err
	}
	if err := w.Commit(); err != nil {
		w.Abort(false)
		return err
	}
	if err := w.Finish(); err != nil {
		w.Abort(false)
		return err
	}
	return nil
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

// Prompt implements graph.Prompter.
func (s *sink[T]) Prompt() bool { return s.open.Prompt }

// Crowded implements graph.Crowder.
func (s *sink[T]) Crowded() bool { return s.w != nil && s.w.Crowded != nil && s.w.Crowded() }

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

// Delta implements graph.Keeper. What was loaded stays until the sink is started.
func (s *sink[T]) Delta(w graph.DeltaWriter) {
	for _, p := range s.was {
		p.put(w)
	}
	if s.state != nil {
		lanePart{s.lane, s.lanes, s.state}.put(w)
	}
}

func (p lanePart) put(w graph.DeltaWriter) {
	key := binary.AppendUvarint([]byte(writerKey), uint64(p.lane))
	key = binary.AppendUvarint(key, uint64(p.lanes))
	if l, ok := w.(graph.Lender); ok {
		l.Lend(graph.EveryLane, key, p.state)
		return
	}
	w.Put(graph.EveryLane, key, p.state)
}

const writerKey = "writer"

func (s *sink[T]) Load(key, val []byte) error {
	of, ok := bytes.CutPrefix(key, []byte(writerKey))
	lane, n := binary.Uvarint(of)
	lanes, m := binary.Uvarint(of[max(n, 0):])
	if !ok || n <= 0 || m <= 0 || n+m < len(of) || lane >= lanes || lanes > math.MaxUint16 {
		return errors.New("the state of a sink is damaged")
	}
	s.was = append(s.was, lanePart{int(lane), int(lanes), append([]byte{}, val...)})
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
