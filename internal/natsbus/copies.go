package natsbus

import (
	"context"
	"fmt"
	"math"
	"strconv"
)

// Copies keeps chunks of what slots have for others, by slot and by a number that rises, in
// the order in which they were appended. They are not in the changelog, as they come and go
// sooner than what lies there.
type Copies struct {
	store *Store
	name  string
}

// Copies returns the server's copies for the job. They have to be created once.
func (s *Store) Copies() *Copies { return &Copies{s, s.name("copies")} }

// Create is [Changelog.Create].
func (c *Copies) Create(ctx context.Context, max int64) error {
	return createLog(ctx, c.store, c.name, c.store.subject("copies", "*", "*"), max)
}

// Append is [Changelog.Append], for number n.
func (c *Copies) Append(ctx context.Context, slot int, n uint64, chunks ...[]byte) (first, last uint64, err error) {
	return c.of(slot, strconv.FormatUint(n, 10)).append(ctx, chunks)
}

// Read calls fn with each chunk of slot for number n, in order. fn owns the chunk; its error
// ends Read.
func (c *Copies) Read(ctx context.Context, slot int, n uint64, fn func(seq uint64, chunk []byte) error) error {
	return c.of(slot, strconv.FormatUint(n, 10)).read(ctx, 0, math.MaxUint64, fn)
}

// Trim drops the chunks of slot for number n that come before the one which Append has given
// number before.
func (c *Copies) Trim(ctx context.Context, slot int, n, before uint64) error {
	return c.of(slot, strconv.FormatUint(n, 10)).trim(ctx, before)
}

// TrimAll is Trim for all numbers.
func (c *Copies) TrimAll(ctx context.Context, slot int, before uint64) error {
	return c.of(slot, "*").trim(ctx, before)
}

func (c *Copies) of(slot int, n string) *sublog {
	return &sublog{c.store, c.name, c.store.subject("copies", strconv.Itoa(slot), n), fmt.Sprintf("the copies of slot %d", slot)}
}
