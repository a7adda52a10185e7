package socket

import (
	"context"
	"fmt"
	"sync"

	"github.com/millrace/millrace/internal/listen"
	"github.com/millrace/millrace/pipeline"
)

type source struct{ config }

func (s *source) Bounded() bool { return false }

func (s *source) Splits(context.Context, int) ([]pipeline.Split[string], error) {
	return []pipeline.Split[string]{&split{source: s}}, nil
}

// split is the connection or listener of one run, through its restarts.
type split struct {
	*source

	again listen.Again // a port that the system has chosen stays
}

func (s *split) ID() string {
	if s.listens {
		return "tcp-listen://" + s.address
	}
	return "tcp://" + s.address
}

func (s *split) Size() int64 { return 0 }

// Open begins to connect, or to listen. A position says nothing: what came before
// is gone.
func (s *split) Open(ctx context.Context, position []byte) (pipeline.Reader[string], error) {
	if len(position) > 0 {
		return nil, fmt.Errorf("%s: damaged position", s.ID())
	}
	r := &reader{split: s, lines: make(chan line, s.buffer), failed: make(chan error, 1)}
	r.ctx, r.stop = context.WithCancel(ctx)
	if !s.listens {
		r.wg.Go(r.connect)
		return r, nil
	}
	listener, err := s.again.Listen(s.address)
	if err != nil {
		r.stop()
		return nil, err
	}
	r.wg.Go(func() { r.accept(listener) })
	if s.onListen != nil {
		s.onListen(listener.Addr())
	}
	return r, nil
}

// line is a line, who sent it, and how many came before it by the same connection.
type line struct {
	text, sender string
	n            int64
}

// reader takes lines from a channel that connections fill.
type reader struct {
	*split
	ctx    context.Context
	stop   context.CancelFunc
	wg     sync.WaitGroup
	lines  chan line // cap is Buffer; when full, connections are not read
	failed chan error
	last   line
	done   int64
}

func (r *reader) Read(max int, out *pipeline.Output[string]) (pipeline.ReadState, error) {
	state := pipeline.Idle
	for ; max > 0 && !out.Stopped(); max-- {
		select {
		case r.last = <-r.lines:
			state = pipeline.More
			r.done++
			out.Emit(r.last.text)
			continue
		case err := <-r.failed:
			return state, err
		default:
		}
		break
	}
	return state, nil
}

// Position says nothing: lines are seen once.
func (r *reader) Position(b []byte) []byte { return b }

func (r *reader) Where() string {
	if r.last.sender == "" {
		return r.ID()
	}
	return fmt.Sprintf("%s:%d", r.last.sender, r.last.n)
}

// Progress is in lines.
func (r *reader) Progress() int64 { return r.done }

// Close ends all connections, and waits for their goroutines.
func (r *reader) Close() error {
	r.stop()
	r.wg.Wait()
	return nil
}
