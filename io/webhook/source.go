package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/listen"
	"github.com/millrace/millrace/pipeline"
)

type source[T any] struct {
	config
	parse func(*http.Request, []byte) ([]T, error)
}

func (s *source[T]) Bounded() bool { return false }

func (s *source[T]) Splits(context.Context, int) ([]pipeline.Split[T], error) {
	return []pipeline.Split[T]{&split[T]{source: s, queue: queue[T]{max: s.buffer}}}, nil
}

// split is the server of one run, through its restarts.
type split[T any] struct {
	*source[T]
	queue queue[T]

	again listen.Again // a port that the system has chosen stays
}

func (s *split[T]) ID() string  { return "http://" + s.address }
func (s *split[T]) Size() int64 { return 0 }

// Open begins to listen. A position says nothing: what came before is gone.
func (s *split[T]) Open(_ context.Context, position []byte) (pipeline.Reader[T], error) {
	if len(position) > 0 {
		return nil, fmt.Errorf("%s: damaged position", s.ID())
	}
	listener, err := s.again.Listen(s.address)
	if err != nil {
		return nil, err
	}
	r := &reader[T]{split: s, name: "http://" + listener.Addr().String(), closing: make(chan struct{}), served: make(chan error, 1)}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute}
	go func() { r.served <- r.server.Serve(listener) }()
	if s.onListen != nil {
		s.onListen(listener.Addr())
	}
	return r, nil
}

// reader is the server between two restarts.
type reader[T any] struct {
	*split[T]
	name    string
	server  *http.Server
	closing chan struct{}
	served  chan error // the end of the server, unless it was closed
	where   string
	done    int64

	emitted []*batch[T] // that wait for a snapshot
	asked   int         // how many of them were there when Position was asked for
}

func (r *reader[T]) Read(max int, out *pipeline.Output[T]) (pipeline.ReadState, error) {
	state := pipeline.Idle
	for ; max > 0 && !out.Stopped(); max-- {
		v, from, whole := r.queue.take(r.after)
		if from == nil {
			break
		}
		state = pipeline.More
		r.where = fmt.Sprintf("%s from %s", r.name, from.sender)
		r.done++
		if whole && r.after {
			r.emitted = append(r.emitted, from)
		}
		out.Emit(v)
	}
	select {
	case err := <-r.served:
		return state, fmt.Errorf("serve %s: %w", r.name, err)
	default:
		return state, nil
	}
}

// Position says nothing: elements are emitted once.
func (r *reader[T]) Position(b []byte) []byte {
	r.asked = len(r.emitted)
	return b
}

// Acknowledge answers the requests whose elements are all in the snapshot.
func (r *reader[T]) Acknowledge() {
	for _, b := range r.emitted[:r.asked] {
		close(b.safe)
		r.queue.free(len(b.elements))
	}
	r.emitted = append([]*batch[T](nil), r.emitted[r.asked:]...)
	r.asked = 0
}

func (r *reader[T]) Where() string {
	if r.where == "" {
		return r.name
	}
	return r.where
}

// Progress is in elements.
func (r *reader[T]) Progress() int64 { return r.done }

// closeMost is how long requests that are under way may take when the run ends.
const closeMost = 2 * time.Second

// Close lets requests that are under way end. Those that wait for a snapshot are told
// to come again, and what they brought is dropped.
func (r *reader[T]) Close() error {
	close(r.closing)
	if r.after {
		r.queue.clear()
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeMost)
	defer cancel()
	err := r.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = r.server.Close()
	}
	if e := <-r.served; !errors.Is(e, http.ErrServerClosed) && err == nil {
		err = e
	}
	if r.after {
		r.queue.clear() // what came meanwhile
	}
	return err
}
