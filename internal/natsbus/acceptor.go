package natsbus

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// Acceptor keeps values by key, each replaced by compare-and-set, on one server or on a
// cluster of them: one of the acceptors of a register. A key is words of letters, digits and - with slashes
// between them.
//
// The values are the newest messages of a stream, the versions its sequence numbers. A server
// that has lost the end of its stream, the only one or more than half of a cluster, has lost
// versions, and nothing here notices: see docs/design/distributed.md. What is read from a
// cluster may be old for as long as one of its servers does not know yet that another one
// leads; what is written is compared with the newest.
type Acceptor struct {
	store *Store
	name  string
}

// ErrStale is what [Acceptor.CAS] fails with when the version isn't the newest. Nothing
// was written; read before trying again.
var ErrStale = errors.New("another version has been written")

// ErrUnknown is what [Acceptor.CAS] fails with when it isn't known whether the value was
// written, or may still be: read, and compare, before anything else.
var ErrUnknown = errors.New("not known whether it was written")

// Acceptor returns the server's acceptor for the job. It has to be created once.
func (s *Store) Acceptor() *Acceptor { return &Acceptor{s, s.name("registers")} }

// Create makes room for values, if there is none yet. Only who knows that the server
// never had any may call it: an acceptor that has lost its values must not vote.
func (a *Acceptor) Create(ctx context.Context) error {
	return a.store.create(ctx, jetstream.StreamConfig{
		Name: a.name, Subjects: []string{a.store.subject("register", ">")},
		MaxMsgsPerSubject: 1, DenyDelete: true, DenyPurge: true,
	})
}

// Read returns the newest value of key and its version, which is 0 if there is none.
func (a *Acceptor) Read(ctx context.Context, key string) (val []byte, version uint64, err error) {
	subject, err := a.subject(key)
	if err != nil {
		return nil, 0, err
	}
	ctx, cancel := a.store.bound(ctx)
	defer cancel()
	stream, err := a.store.stream(ctx, a.name)
	if err != nil {
		return nil, 0, err
	}
	m, err := stream.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, a.store.explain(ctx, "read "+key, err)
	}
	return m.Data, m.Sequence, nil
}

// CAS writes val if version is the newest of key, 0 if there is to be none, and returns
// its version. [ErrStale], [ErrFull], [ErrTooLong], [ErrNoStore] and [ErrUnready] say
// that nothing was written. After any other error that is not known, and it is an [ErrUnknown].
func (a *Acceptor) CAS(ctx context.Context, key string, val []byte, version uint64) (uint64, error) {
	subject, err := a.subject(key)
	if err != nil {
		return 0, err
	}
	if most := a.store.nc.MaxPayload(); int64(len(val))+headerMax > most && a.store.nc.IsConnected() {
		return 0, fmt.Errorf("write %s: %w: %d bytes, and the NATS server takes at most %d with headers (max_payload)", key, ErrTooLong, len(val), most)
	}
	ctx, cancel := a.store.bound(ctx)
	defer cancel()
	// Not tried again by the client: it would not know of its own first attempt.
	ack, err := a.store.js.Publish(ctx, subject, val, jetstream.WithExpectLastSequencePerSubject(version),
		jetstream.WithExpectStream(a.name), jetstream.WithRetryAttempts(0))
	if err == nil {
		return ack.Sequence, nil
	}
	api, _ := errors.AsType[*jetstream.APIError](err)
	err = a.store.explain(ctx, "write "+key, err)
	switch {
	case api != nil && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant):
		return 0, fmt.Errorf("%w: %w", ErrStale, err)
	case errors.Is(err, ErrNoStore), errors.Is(err, ErrFull), errors.Is(err, ErrUnready):
		return 0, err
	}
	return 0, fmt.Errorf("%w: %w", ErrUnknown, err)
}

// headerMax is more than the headers of a compare-and-set take.
const headerMax = 512

// subject is where the values of key go. Each word is one token, so that no key can be
// part of another.
func (a *Acceptor) subject(key string) (string, error) {
	for word := range strings.SplitSeq(key, "/") {
		if word == "" || token(word) != word {
			return "", fmt.Errorf("%q is no key of a register", key)
		}
	}
	return a.store.subject("register", strings.ReplaceAll(key, "/", ".")), nil
}
