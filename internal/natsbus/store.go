package natsbus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Store is a connection to one server with JetStream, or to a cluster of them. Its methods, and those of what it
// hands out, may be called by several goroutines. Who waits for an answer waits for ten
// seconds at most, whatever time the context has, and all fail at once when the connection is
// lost: their answers would never come.
type Store struct {
	job    string
	at     string // where the server is, for errors
	nc     *nats.Conn
	js     jetstream.JetStream
	count  counters
	kept   int           // replicas of what is created
	answer time.Duration // most that is waited for one

	mu      sync.Mutex // guards what follows
	live    context.Context
	lose    context.CancelCauseFunc
	streams map[string]jetstream.Stream // that are known to exist
	cluster bool                        // they have several replicas
}

// ErrNoStore is what calls fail with when the server has no JetStream, or when what is
// asked for was never created there: the server may be about to stop, or be another one
// than before, or its folder is lost. Nothing was written.
var ErrNoStore = errors.New("nothing is kept there")

// ErrFull is what is refused for lack of room. Nothing was written.
var ErrFull = errors.New("no room left in JetStream")

// ErrLost is what calls fail with when the connection is lost, or no answer comes for 10 s:
// what was asked for may have been done, or may still be. The connection comes back by
// itself, with the server.
var ErrLost = errors.New("the connection is lost")

// ErrUnready is what calls fail with when the servers of a cluster are about to agree upon who
// leads what is asked for, which takes some seconds when one of them is gone. Nothing was
// written.
var ErrUnready = errors.New("the servers have not agreed yet upon who leads")

// ErrNoCluster is what is refused when several replicas are wanted of a server that is alone.
var ErrNoCluster = errors.New("one server that is in no cluster can't keep several replicas")

// ErrNoPeers is what is refused when more replicas are wanted than there are servers of the
// cluster now.
var ErrNoPeers = errors.New("not enough servers for so many replicas")

// StoreError is how a call of a [Store], or of what it hands out, has failed.
type StoreError struct {
	Doing string
	At    string // where the server is
	Err   error
}

func (e *StoreError) Error() string {
	return fmt.Sprintf("%s, NATS server at %s: %v", e.Doing, e.At, e.Err)
}

func (e *StoreError) Unwrap() error { return e.Err }

// Passing reports that the call may go well later: the server was not reached, did not
// answer, or has only just begun.
func (e *StoreError) Passing() bool {
	for _, err := range []error{ErrLost, ErrNoStore, ErrUnready, context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders} {
		if errors.Is(e.Err, err) {
			return true
		}
	}
	return false
}

const answerMax = 10 * time.Second

// OpenStore connects to a server with JetStream. Several URLs must be of servers that
// keep the same streams.
func OpenStore(cfg Config) (*Store, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Store{job: cfg.Job, at: cfg.where(), kept: max(1, cfg.Replicas), answer: answerMax, streams: map[string]jetstream.Stream{}}
	s.live, s.lose = context.WithCancelCause(context.Background())
	s.count.cut = s.lost
	var in nats.InProcessConnProvider
	if cfg.Server != nil {
		if !cfg.Server.of.JetStreamEnabled() {
			return nil, fmt.Errorf("the NATS server in this process has no folder: %w", ErrNoStore)
		}
		in = inProcess{cfg.Server.of}
	}
	var err error
	if s.nc, err = cfg.dial("store", in, &s.count, nats.IgnoreDiscoveredServers()); err != nil {
		return nil, err
	}
	if s.js, err = jetstream.New(s.nc, jetstream.WithDefaultTimeout(answerMax), jetstream.WithPublishAsyncTimeout(2*answerMax)); err != nil {
		s.nc.Close()
		return nil, err
	}
	return s, nil
}

// Close ends the connection.
func (s *Store) Close() { s.nc.Close() }

// Stats counts what went wrong on the connection.
func (s *Store) Stats() Stats { return s.count.stats() }

// lost ends all calls that wait for an answer.
func (s *Store) lost() {
	s.mu.Lock()
	lose := s.lose
	s.live, s.lose = context.WithCancelCause(context.Background())
	s.mu.Unlock()
	lose(ErrLost)
}

// bound is ctx for one call, whose answer may be lost: it ends with the connection, and after
// s.answer, also where the caller has more time. Who asks again finds another server.
func (s *Store) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, end := s.tied(ctx)
	ctx, cancel := context.WithTimeoutCause(ctx, s.answer, fmt.Errorf("%w: no answer has come for %v", ErrLost, s.answer))
	return ctx, func() { cancel(); end() }
}

// tied is ctx until the connection is lost.
func (s *Store) tied(ctx context.Context) (context.Context, context.CancelFunc) {
	s.mu.Lock()
	live := s.live
	s.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(live, func() { cancel(context.Cause(live)) })
	return ctx, func() { stop(); cancel(nil) }
}

// stream is one of the job's streams, which has to exist.
func (s *Store) stream(ctx context.Context, name string) (jetstream.Stream, error) {
	s.mu.Lock()
	known, ok := s.streams[name]
	s.mu.Unlock()
	if ok {
		return known, nil
	}
	found, err := s.js.Stream(ctx, name)
	if err != nil {
		return nil, s.explain(ctx, "look for "+name, err)
	}
	s.mu.Lock()
	s.streams[name] = found
	s.cluster = found.CachedInfo().Config.Replicas > 1 // as all of them
	s.mu.Unlock()
	return found, nil
}

// isCluster reports that what is kept has several replicas, as far as that is known: nobody
// waits for an answer about it while others wait for a commit.
func (s *Store) isCluster() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cluster
}

// create makes a stream as it has to be, if it isn't there yet. One that is there stays.
func (s *Store) create(ctx context.Context, cfg jetstream.StreamConfig) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	// Of several replicas only the one that leads is asked, as others may be late.
	cfg.Storage, cfg.Replicas, cfg.AllowDirect = jetstream.FileStorage, s.kept, s.kept == 1
	found, err := s.js.CreateStream(ctx, cfg)
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		found, err = s.js.Stream(ctx, cfg.Name)
	}
	if err != nil {
		return s.explain(ctx, "create "+cfg.Name, err)
	}
	got := found.CachedInfo().Config
	if got.Replicas != cfg.Replicas {
		return s.otherReplicas(got)
	}
	if got.Storage != cfg.Storage || got.MaxMsgsPerSubject != cfg.MaxMsgsPerSubject || got.AllowDirect != cfg.AllowDirect {
		return fmt.Errorf("the stream %s of the NATS server at %s is not as it has to be: %v, %d messages per subject, direct reads %v, and not %v, %d, %v",
			cfg.Name, s.at, got.Storage, got.MaxMsgsPerSubject, got.AllowDirect, cfg.Storage, cfg.MaxMsgsPerSubject, cfg.AllowDirect)
	}
	return nil
}

// otherReplicas says that what is kept already has another number of replicas than is wanted.
func (s *Store) otherReplicas(got jetstream.StreamConfig) error {
	return &ReplicasError{s.at, got.Name, got.Replicas, s.kept}
}

// ReplicasError is how creating something fails that is there with another number of replicas.
type ReplicasError struct {
	At, Stream string
	Has, Want  int
}

func (e *ReplicasError) Error() string {
	return fmt.Sprintf("the stream %s of the NATS server at %s has %d replicas, and not %d", e.Stream, e.At, e.Has, e.Want)
}

// Forget deletes all that the server keeps for the job: registers, changelog and objects.
// That none of it is there is no error.
func (s *Store) Forget(ctx context.Context) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	for _, name := range s.names() {
		s.mu.Lock()
		delete(s.streams, name)
		s.mu.Unlock()
		if err := s.js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return s.explain(ctx, "delete "+name, err)
		}
	}
	return nil
}

// pulse is how often a server says, when there is nothing else to say, that it still reads for us.
const pulse = time.Second

// Whole tells how many replicas there are of what the servers keep for the job, and whether each
// of them has all of it: then one more server may be lost. It costs a small write to each stream
// of several replicas.
//
// What who leads a stream knows of a replica is how far that had come when it last took
// something: one that has lost its disk since, or comes back without it, is as far as ever to
// it. So there is something to take first, which nobody takes who has not all before it.
func (s *Store) Whole(ctx context.Context) (replicas int, whole bool, err error) {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	for _, name := range s.names() {
		stream, err := s.js.Stream(ctx, name)
		if err != nil {
			return 0, false, s.explain(ctx, "look for "+name, err)
		}
		if replicas = stream.CachedInfo().Config.Replicas; replicas == 1 {
			continue
		}
		if err := s.touch(ctx, stream); err != nil {
			return 0, false, s.explain(ctx, "write to "+name, err)
		}
		info, err := stream.Info(ctx)
		if err != nil {
			return 0, false, s.explain(ctx, "look for "+name, err)
		}
		if c := info.Cluster; c == nil || c.Leader == "" || len(c.Replicas) != replicas-1 {
			return replicas, false, nil
		}
		for _, r := range info.Cluster.Replicas {
			if r.Offline || !r.Current || r.Lag > 0 {
				return replicas, false, nil
			}
		}
	}
	return replicas, true, nil
}

// touch writes to a stream of several replicas what nobody reads. Most of them are purged of
// what they don't have, which is written to all replicas, too; registers, which can't be, get a
// message beside them.
func (s *Store) touch(ctx context.Context, stream jetstream.Stream) error {
	name := stream.CachedInfo().Config.Name
	if name != s.Acceptor().name {
		return stream.Purge(ctx, jetstream.WithPurgeSubject(s.subject("nothing")))
	}
	_, err := s.js.Publish(ctx, s.subject("register", "_touched"), nil)
	return err
}

// names are those of the job's streams.
func (s *Store) names() []string {
	return []string{s.Changelog().name, s.Copies().name, "OBJ_" + s.Objects().name, s.Acceptor().name}
}

// follow reads what a stream has of a subject, from a number on. The caller has to stop it.
func follow(ctx context.Context, stream jetstream.Stream, subject string, from uint64) (jetstream.MessagesContext, error) {
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{subject},
		DeliverPolicy:  jetstream.DeliverByStartSequencePolicy, OptStartSeq: from,
	})
	if err != nil {
		return nil, err
	}
	// Of a cluster the server dies that has the consumer, and the connection may be to another one.
	return consumer.Messages(jetstream.PullMaxMessages(aheadMost), jetstream.PullHeartbeat(pulse))
}

// goneAfter is for how long nothing has come when it is asked whether anything is left.
const goneAfter = 200 * time.Millisecond

// until is ctx until what is read is gone, which is asked while count, of what has come, does
// not rise: JetStream says nothing to who waits for messages that are deleted meanwhile. why is
// the cause then.
func until(ctx context.Context, count *atomic.Uint64, why error, gone func(context.Context) bool) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		again := time.NewTicker(goneAfter)
		defer again.Stop()
		for seen := count.Load(); ; {
			select {
			case <-again.C:
			case <-ctx.Done():
				return
			}
			if n := count.Load(); n != seen {
				seen = n
			} else if gone(ctx) {
				cancel(why)
				return
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

// aheadMost is how many chunks are on their way to who reads a log. A limit of bytes would
// make the client allocate room for a million of them.
const aheadMost = 8 << 20 / ChunkMax

// name is that of one of the job's streams.
func (s *Store) name(of string) string { return "MR-" + token(s.job) + "-" + of }

// subject is the name of what parts lead to, in this job.
func (s *Store) subject(of string, parts ...string) string {
	name := "millrace." + token(s.job) + "." + of
	for _, p := range parts {
		name += "." + p
	}
	return name
}

// explain says what was done where, and why it failed.
func (s *Store) explain(ctx context.Context, doing string, err error) error {
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		err = fmt.Errorf("%w: the server has no JetStream (nats-server needs -js)", ErrNoStore)
	case errors.Is(err, nats.ErrNoResponders):
		err = fmt.Errorf("%w: the server has no JetStream (nats-server needs -js), or not this stream any more", ErrNoStore)
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, jetstream.ErrBucketNotFound):
		err = fmt.Errorf("%w: %w", ErrNoStore, err)
	case isFull(err):
		err = fmt.Errorf("%w: %w", ErrFull, err)
	case hasCode(err, 10074):
		err = fmt.Errorf("%w: %w", ErrNoCluster, err)
	case hasCode(err, 10005):
		err = fmt.Errorf("%w: %w", ErrNoPeers, err)
	case hasCode(err, 10004, 10007, 10008, 10009, 10118, 10119, 10163): // answers that a cluster gives while it has no leader
		err = fmt.Errorf("%w: %w", ErrUnready, err)
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrDisconnected), errors.Is(err, nats.ErrHeadersNotSupported):
		err = ErrLost // of a server that it has never met the client thinks that it knows no headers
	case ctx.Err() != nil && context.Cause(ctx) != ctx.Err():
		err = context.Cause(ctx)
	}
	return &StoreError{doing, s.at, err}
}

// isFull says that the server has refused a message for lack of room: by codes for which
// the client has no names, and for a stream's own limit by its words.
func isFull(err error) bool {
	if hasCode(err, 10023, 10028, 10047) { // insufficient resources, memory, storage
		return true
	}
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && api.ErrorCode == 10077 && strings.Contains(api.Description, "maximum bytes exceeded") // the store failed
}

// hasCode says that the server has answered with one of these codes.
func hasCode(err error, codes ...jetstream.ErrorCode) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && slices.Contains(codes, api.ErrorCode)
}
