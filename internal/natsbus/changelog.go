package natsbus

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ChunkMax is the most bytes of a chunk of the changelog.
const ChunkMax = 256 << 10

// Changelog keeps chunks of changes by slot, in the order in which they were appended.
// What a chunk is about it has to say itself: those of an incarnation that is dead by
// now, and repeated ones, lie between the others.
type Changelog struct {
	store *Store
	name  string
}

// Changelog returns the server's changelog for the job. It has to be created once.
func (s *Store) Changelog() *Changelog { return &Changelog{s, s.name("changes")} }

// Create makes room for chunks, at most max bytes (0: as many as JetStream may keep), if
// there is none yet. What is full takes nothing more; nothing is dropped for it.
func (l *Changelog) Create(ctx context.Context, max int64) error {
	if max == 0 {
		max = -1
	}
	return createLog(ctx, l.store, l.name, l.store.subject("changes", "*"), max)
}

func createLog(ctx context.Context, s *Store, name, subjects string, max int64) error {
	return s.create(ctx, jetstream.StreamConfig{
		Name: name, Subjects: []string{subjects},
		MaxMsgsPerSubject: -1, MaxBytes: max, Discard: jetstream.DiscardNew,
	})
}

// Append keeps chunks, which are the caller's again when it returns, and returns the
// numbers of the first and the last one. After an error some of them may be kept, or may
// still be; it does no harm to append them again.
//
// However many there are, not more than 16 MiB of them are under way at once, and each such
// part has the time of a call.
func (l *Changelog) Append(ctx context.Context, slot int, chunks ...[]byte) (first, last uint64, err error) {
	return l.of(slot).append(ctx, chunks)
}

// sublog is what a stream has of one subject.
type sublog struct {
	store           *Store
	stream, subject string
	what            string // in words
}

func (l *Changelog) of(slot int) *sublog {
	return &sublog{l.store, l.name, l.store.subject("changes", strconv.Itoa(slot)), fmt.Sprintf("the changelog of slot %d", slot)}
}

func (l *sublog) append(ctx context.Context, chunks [][]byte) (first, last uint64, err error) {
	silent := time.Duration(math.MaxInt64)
	if l.store.isCluster() {
		silent = leaderMost
	}
	for part := range slices.Chunk(chunks, appendMost) {
		at, upTo, err := l.appendSoon(ctx, part, silent)
		if err != nil {
			return 0, 0, err
		}
		if first == 0 {
			first = at
		}
		last = upTo
	}
	return first, last, nil
}

// appendMost is how many chunks are under way at once.
const appendMost = 64

// leaderMost is how long a cluster says nothing to what it gets before that is sent again: the
// server may be gone to which it went.
const leaderMost = time.Second

// errSilent is what a part fails with of which nothing was heard for so long.
var errSilent = errors.New("no answer")

// appendSoon is appendPart, again while nothing is heard.
func (l *sublog) appendSoon(ctx context.Context, chunks [][]byte, silent time.Duration) (first, last uint64, err error) {
	ctx, cancel := l.store.bound(ctx)
	defer cancel()
	for {
		if first, last, err = l.appendPart(ctx, chunks, silent); !errors.Is(err, errSilent) {
			return first, last, err
		}
	}
}

func (l *sublog) appendPart(ctx context.Context, chunks [][]byte, silent time.Duration) (first, last uint64, err error) {
	doing := "append to " + l.what
	acks := make([]jetstream.PubAckFuture, 0, len(chunks))
	for _, chunk := range chunks {
		if len(chunk) > ChunkMax {
			return 0, 0, fmt.Errorf("%s: %w: a chunk of %d bytes, and at most %d are one", doing, ErrTooLong, len(chunk), ChunkMax)
		}
		ack, err := l.store.js.PublishAsync(l.subject, chunk, jetstream.WithExpectStream(l.stream), jetstream.WithRetryAttempts(0))
		if err != nil {
			return 0, 0, l.store.explain(ctx, doing, err)
		}
		acks = append(acks, ack)
	}
	late := time.NewTimer(silent)
	defer late.Stop()
	for i, each := range acks {
		select {
		case ack := <-each.Ok():
			late.Reset(silent)
			if i == 0 {
				first = ack.Sequence
			}
			last = ack.Sequence
		case err := <-each.Err():
			return 0, 0, l.store.explain(ctx, doing, err)
		case <-late.C:
			return 0, 0, errSilent
		case <-ctx.Done():
			return 0, 0, l.store.explain(ctx, doing, context.Cause(ctx))
		}
	}
	return first, last, nil
}

// Read calls fn with each chunk of slot from number from up to number to, in order. Those
// that were trimmed are left out, and so are those that the server has lost: the caller
// knows what it needs. fn owns the chunk; its error ends Read.
func (l *Changelog) Read(ctx context.Context, slot int, from, to uint64, fn func(seq uint64, chunk []byte) error) error {
	return l.of(slot).read(ctx, from, to, fn)
}

func (l *sublog) read(ctx context.Context, from, to uint64, fn func(seq uint64, chunk []byte) error) error {
	ctx, cancel := l.store.tied(ctx)
	defer cancel()
	doing := "read " + l.what
	stream, err := l.store.stream(ctx, l.stream)
	if err != nil {
		return err
	}
	newest, err := l.newest(ctx, stream)
	if err != nil {
		return l.store.explain(ctx, doing, err)
	}
	from, to = max(from, 1), min(to, newest)
	if from > to {
		return nil
	}
	var last atomic.Uint64 // number that fn was called with
	last.Store(from - 1)
	ctx, stop := l.untilTrimmed(ctx, stream, &last)
	defer stop()
	err = l.each(ctx, stream, from, doing, func(seq uint64, more bool, chunk []byte) (bool, error) {
		if seq > to {
			return false, nil
		}
		last.Store(seq)
		if err := fn(seq, chunk); err != nil || seq == to {
			return false, err
		}
		if !more { // the rest was trimmed meanwhile, or the replica that is read is late
			newest, err := l.newest(ctx, stream)
			if err != nil {
				return false, l.store.explain(ctx, doing, err)
			}
			more = newest > seq
		}
		return more, nil
	})
	if errors.Is(err, errTrimmed) {
		return nil
	}
	return err
}

// newest is the last number that the stream has of the subject, 0 of none.
func (l *sublog) newest(ctx context.Context, stream jetstream.Stream) (uint64, error) {
	m, err := stream.GetLastMsgForSubject(ctx, l.subject)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return 0, nil
	case err != nil:
		return 0, err
	}
	return m.Sequence, nil
}

// errTrimmed is why nothing comes any more.
var errTrimmed = errors.New("the rest was trimmed")

// untilTrimmed is ctx until there is nothing behind last any more: it may be trimmed between
// a question for the newest and the first chunk.
func (l *sublog) untilTrimmed(ctx context.Context, stream jetstream.Stream, last *atomic.Uint64) (context.Context, context.CancelFunc) {
	return until(ctx, last, errTrimmed, func(ctx context.Context) bool {
		at := last.Load()
		newest, err := l.newest(ctx, stream)
		return err == nil && newest <= at
	})
}

// Follow calls fn with each chunk of slot from number from on, in order, those that are
// there and those that come, until ctx ends. fn owns the chunk; its error ends Follow.
func (l *Changelog) Follow(ctx context.Context, slot int, from uint64, fn func(seq uint64, chunk []byte) error) error {
	at := l.of(slot)
	ctx, cancel := l.store.tied(ctx)
	defer cancel()
	stream, err := l.store.stream(ctx, l.name)
	if err != nil {
		return err
	}
	return at.each(ctx, stream, max(from, 1), "follow "+at.what, func(seq uint64, _ bool, chunk []byte) (bool, error) {
		return true, fn(seq, chunk)
	})
}

// each calls fn with each chunk as it comes until fn says that this was the last. more says
// that there are others behind it already.
func (l *sublog) each(ctx context.Context, stream jetstream.Stream, from uint64, doing string, fn func(seq uint64, more bool, chunk []byte) (next bool, err error)) error {
	messages, err := follow(ctx, stream, l.subject, from)
	if err != nil {
		return l.store.explain(ctx, doing, err)
	}
	defer messages.Stop()
	for next := true; next; {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return l.store.explain(ctx, doing, err)
		}
		about, err := m.Metadata()
		if err != nil {
			return l.store.explain(ctx, doing, err)
		}
		if next, err = fn(about.Sequence.Stream, about.NumPending > 0, m.Data()); err != nil {
			return err
		}
	}
	return nil
}

// Trim drops the chunks of slot before number before.
func (l *Changelog) Trim(ctx context.Context, slot int, before uint64) error {
	return l.of(slot).trim(ctx, before)
}

func (l *sublog) trim(ctx context.Context, before uint64) error {
	if before < 2 {
		return nil // to the server a purge up to 0 is one of everything
	}
	ctx, cancel := l.store.bound(ctx)
	defer cancel()
	stream, err := l.store.stream(ctx, l.stream)
	if err != nil {
		return err
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeSubject(l.subject), jetstream.WithPurgeSequence(before)); err != nil {
		return l.store.explain(ctx, "trim "+l.what, err)
	}
	return nil
}
