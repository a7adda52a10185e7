package connector

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/millrace/millrace/internal/flow"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/window"
)

// writer is a sink on one lane, as an engine has it.
type writer[T any] struct {
	graph.Committer
	c      *graph.Ctx
	live   any
	push   flow.Recv[T]
	single bool // a sink of one lane: the others have nothing to do
}

// open begins one lane's part of a sink. state is what state gave, or nil.
func open[T any](ctx context.Context, at Target[T], lane, lanes int, state *row) (*writer[T], error) {
	var rows []*row
	if state != nil {
		rows = []*row{state}
	}
	return openRows(ctx, at, lane, lanes, rows)
}

// openBehind begins a lane behind a run of len(states) lanes: with the state of its
// own, or where there were others, with all.
func openBehind[T any](ctx context.Context, at Target[T], lane, lanes int, states []*row) (*writer[T], error) {
	if len(states) == lanes {
		return open(ctx, at, lane, lanes, states[lane])
	}
	return openRows(ctx, at, lane, lanes, states)
}

func openRows[T any](ctx context.Context, at Target[T], lane, lanes int, rows []*row) (*writer[T], error) {
	p := pipeline.New()
	at.Write(pipeline.Create[T](p))
	if err := p.Err(); err != nil {
		return nil, err
	}
	nodes := p.Graph().Nodes
	if len(nodes) != 2 || nodes[1].Op == nil {
		return nil, errors.New("Write has to add just the sink: what pipeline.Write adds, with nothing before it")
	}
	run := &graph.Run{Context: ctx, Nodes: nodes, Epochs: true, Metrics: &graph.Metrics{}, Letters: &graph.Letters{}}
	c := &graph.Ctx{TS: window.MinTime, WM: window.MinTime, Win: window.Global, Op: nodes[1].ID, Lane: lane, Lanes: lanes, Run: run}
	in, live := nodes[1].Op.Open(c, nil)
	w := &writer[T]{c: c, live: live, push: flow.RecvOf[T](in[0]), single: nodes[1].In[0].Kind == graph.Gather}
	var ok bool
	if w.Committer, ok = live.(graph.Committer); !ok {
		return nil, errors.New("Write has to add a sink: what pipeline.Write adds")
	}
	for _, r := range rows {
		if r == nil {
			continue
		}
		if err := live.(graph.Keeper).Load(bytes.Clone(r.key), bytes.Clone(r.val)); err != nil {
			return nil, err
		}
	}
	if err := live.(graph.Starter).Start(c); err != nil {
		return nil, fmt.Errorf("open the sink: %w", err)
	}
	return w, nil
}

func (w *writer[T]) write(vs []T) error {
	for _, v := range vs {
		w.push(w.c, v)
	}
	if err := w.c.Err(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// epoch writes vs and commits it.
func (w *writer[T]) epoch(vs []T) error {
	if err := w.write(vs); err != nil {
		return err
	}
	if err := w.Prepare(w.c); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	if err := w.Commit(w.c); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

func (w *writer[T]) finish() error {
	if err := w.Finish(w.c); err != nil {
		return fmt.Errorf("finish: %w", err)
	}
	return w.close()
}

func (w *writer[T]) close() error {
	if c, ok := w.live.(graph.Closer); ok {
		return c.Close(w.c)
	}
	return nil
}

// state is what a snapshot would hold, nil if nothing.
func (w *writer[T]) state() *row {
	var s stateOf
	w.live.(graph.Keeper).Delta(&s)
	return s.row
}

// row is one of a snapshot.
type row struct{ key, val []byte }

// stateOf takes a sink's one row.
type stateOf struct{ row *row }

func (s *stateOf) Put(_ int, key, val []byte) { s.row = &row{bytes.Clone(key), bytes.Clone(val)} }
func (s *stateOf) Append(int, []byte, []byte) { panic("BUG: connector: a sink appends to its row") }
func (s *stateOf) Delete(int, []byte)         { s.row = nil }
