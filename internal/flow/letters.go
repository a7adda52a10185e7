package flow

import (
	"encoding/json"
	"fmt"

	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// Letter is a failed element as it is kept until the dead-letter collection has
// brought it back into the graph.
type Letter struct {
	Transform, Position, Where string
	Input                      []byte
	Text, Error, Stack         string
}

// NewLetter makes a letter of a failure.
func NewLetter(f *graph.Failure) Letter {
	return Letter{f.Node.Name, f.Node.Pos, f.Where, f.Input, f.Text, f.Err.Error(), f.Stack}
}

// DeadLetters is the source of the dead-letter collection: each lane's reader
// takes the failures of its own lane from Run, and ends when the engine says so.
func DeadLetters[T any](make func(*Letter) T) graph.Source { return letters[T]{make} }

type letters[T any] struct{ make func(*Letter) T }

func (letters[T]) Bounded() bool { return true }

func (s letters[T]) Splits(_ *graph.Run, n int) (out []graph.Split, _ error) {
	for i := range n {
		out = append(out, letterSplit[T]{s, i})
	}
	return out, nil
}

type letterSplit[T any] struct {
	letters[T]
	lane int
}

func (s letterSplit[T]) ID() string { return fmt.Sprint("lane ", s.lane) }

func (s letterSplit[T]) Size() int64 { return 0 }

func (s letterSplit[T]) Open(c *graph.Ctx, out any, pos []byte) (graph.Reader, error) {
	r := &letterReader[T]{make: s.make, next: recvOf[T](out), box: c.Run.Letters}
	if len(pos) > 0 {
		if err := json.Unmarshal(pos, &r.mine); err != nil {
			return nil, fmt.Errorf("restore dead letters: %w", err)
		}
	}
	return r, nil
}

type letterReader[T any] struct {
	make  func(*Letter) T
	next  Recv[T]
	box   *graph.Letters
	mine  []Letter // taken from the box, not passed on yet
	ended bool
}

func (r *letterReader[T]) take() {
	for _, f := range r.box.Take() {
		r.mine = append(r.mine, NewLetter(f))
	}
}

func (r *letterReader[T]) Poll(c *graph.Ctx, max int) (graph.ReadState, error) {
	ended := r.ended
	r.take()
	for ; max > 0 && len(r.mine) > 0 && c.Err() == nil; max-- {
		l := r.mine[0]
		r.mine = r.mine[1:]
		r.next(c, r.make(&l))
	}
	switch {
	case len(r.mine) > 0:
		return graph.More, nil
	case ended:
		return graph.Done, nil
	}
	return graph.Idle, nil
}

// End says that nothing can fail any more.
func (r *letterReader[T]) End() { r.ended = true }

func (r *letterReader[T]) Watermark() int64 { return window.MinTime }

func (r *letterReader[T]) Position(b []byte) []byte {
	r.take()
	pos, err := json.Marshal(r.mine)
	if err != nil {
		panic("BUG: flow: a dead letter does not marshal: " + err.Error())
	}
	return append(b, pos...)
}

func (r *letterReader[T]) Where() string   { return "" }
func (r *letterReader[T]) Progress() int64 { return 0 }
func (r *letterReader[T]) Close() error    { return nil }
