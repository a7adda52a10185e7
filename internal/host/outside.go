package host

import (
	"context"
	"io"
)

// Plane carries frames from slot to slot. They may be lost, doubled and reordered.
type Plane interface {
	Send(slot int, frame []byte) error
	Listen(slot int, fn func(frame []byte)) (stop func(), err error)
}

// Control carries small messages, any of which may be lost.
type Control interface {
	Tell(slot int, msg []byte) error
	TellAll(msg []byte) error
	Listen(slot int, fn func(msg []byte)) (stop func(), err error)
	ListenAll(fn func(msg []byte)) (stop func(), err error)
}

// Acceptor keeps values by key, each replaced by compare-and-set.
type Acceptor interface {
	// Read returns the newest value and its version, 0 if there is none.
	Read(ctx context.Context, key string) (val []byte, version uint64, err error)
	// CAS writes val if version is the newest, and returns the one it then has.
	CAS(ctx context.Context, key string, val []byte, version uint64) (uint64, error)
}

// Changelog keeps pieces of slots' changes, in order.
type Changelog interface {
	Append(ctx context.Context, slot int, pieces ...[]byte) (first, last uint64, err error)
	Read(ctx context.Context, slot int, from, to uint64, fn func(seq uint64, piece []byte) error) error
	// Follow is Read from number from on, also of what comes later, until ctx ends.
	Follow(ctx context.Context, slot int, from uint64, fn func(seq uint64, piece []byte) error) error
	Trim(ctx context.Context, slot int, before uint64) error
}

// Copies keeps pieces of what slots have for others, by slot and by the newest cut before it,
// in order.
type Copies interface {
	Append(ctx context.Context, slot int, cut uint64, pieces ...[]byte) (first, last uint64, err error)
	Read(ctx context.Context, slot int, cut uint64, fn func(seq uint64, piece []byte) error) error
	Trim(ctx context.Context, slot int, cut, before uint64) error
	TrimAll(ctx context.Context, slot int, before uint64) error
}

// Objects keeps larger things by name.
type Objects interface {
	Put(ctx context.Context, name string, r io.Reader) error
	Get(ctx context.Context, name string) (io.ReadCloser, error)
	// List names what begins with prefix.
	List(ctx context.Context, prefix string) ([]string, error)
	Delete(ctx context.Context, name string) error
}
