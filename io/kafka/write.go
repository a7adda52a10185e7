package kafka

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/io/kafka/internal/client"
	"github.com/millrace/millrace/pipeline"
)

// Write writes each element as a record of a topic.
//
//	kafka.Write(totals, "kafka://localhost:9092/totals?compression=zstd", kafka.JSON[Total]())
//
// The format may give a record a topic of its own; then the URL needs none.
//
// Each record is written at least once: a run that goes back to an earlier checkpoint
// writes what came behind it again. Within a run no record is lost, none is written
// twice by a retry, and those of a lane that go to one partition keep their order,
// whatever becomes of brokers (but see [Acks]). With [ExactlyOnce] nothing is written
// twice at all.
//
// Parameters of the URL, beside those of the connection: compression, batch, linger,
// buffer, delivery, acks, exactly-once, transaction-timeout and transaction-bytes; see
// the options of the same names.
func Write[T any](c pipeline.PCollection[T], url string, f Format[T], opts ...WriteOption) {
	write(c, "kafka.Write", url, f, opts)
}

func write[T any](c pipeline.PCollection[T], kind, url string, f Format[T], opts []WriteOption) {
	cfg, err := newWriteConfig(url, opts)
	if err == nil {
		err = f.Err
	}
	if err == nil && f.Encode == nil {
		err = fmt.Errorf("the format %q can't write", f.Name)
	}
	if err != nil {
		pipeline.FailAt(c, "%s: %w", kind, err)
		return
	}
	pipeline.Write[T](c, kind, &typedSink[T]{writeSink: writeSink{cfg: cfg}, format: f}, pipeline.Named(cfg.name))
}

// writeSink is where to write, whatever it is made of.
type writeSink struct {
	cfg *writeConfig

	mu     sync.Mutex     // guards what follows
	client *client.Client // of all lanes that are open
	users  int

	kept atomic.Int64 // bytes that all lanes keep for transactions
}

// share returns the client of all lanes. Each call wants one of release.
func (s *writeSink) share() (*client.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users == 0 {
		cfg, err := s.cfg.to.clientConfig(s.cfg.connection)
		if err != nil {
			return nil, err
		}
		if s.client, err = client.New(cfg); err != nil {
			return nil, err
		}
	}
	s.users++
	return s.client, nil
}

func (s *writeSink) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users--; s.users == 0 {
		s.client.Close()
		s.client = nil
	}
}

type typedSink[T any] struct {
	writeSink
	format Format[T]
}

// Prompt implements [pipeline.PromptSink].
func (s *typedSink[T]) Prompt() bool { return s.cfg.prefix == "" }

// Open implements [pipeline.Sink].
func (s *typedSink[T]) Open(ctx context.Context, lane, lanes int, state []byte) (pipeline.Writer[T], error) {
	w := &lineWriter[T]{format: s.format}
	if err := w.open(ctx, &s.writeSink, lane, lanes, state); err != nil {
		return nil, fmt.Errorf("write to %v: %w", s.cfg.to, err)
	}
	return w, nil
}
