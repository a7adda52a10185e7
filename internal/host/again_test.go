package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

var errAway = errors.New("away")

// shaky fails every few calls, some of them after it has done what it was asked for.
type shaky struct {
	mu     sync.Mutex // guards what follows
	r      *rand.Rand
	failed int
}

func (s *shaky) do(f func() error) error {
	s.mu.Lock()
	fails := s.r.IntN(4) == 0
	done := s.r.IntN(2) == 0
	if fails {
		s.failed++
	}
	s.mu.Unlock()
	if fails && !done {
		return errAway
	}
	if err := f(); err != nil {
		return err
	}
	if fails {
		return fmt.Errorf("nobody knows: %w", errAway)
	}
	return nil
}

type shakyLog struct {
	Changelog
	*shaky
}

func (l shakyLog) Append(ctx context.Context, slot int, pieces ...[]byte) (first, last uint64, err error) {
	err = l.do(func() (err error) {
		first, last, err = l.Changelog.Append(ctx, slot, pieces...)
		return err
	})
	return first, last, err
}

func (l shakyLog) Read(ctx context.Context, slot int, from, to uint64, fn func(seq uint64, piece []byte) error) error {
	return l.do(func() error { return l.Changelog.Read(ctx, slot, from, to, fn) })
}

type shakyCopies struct {
	Copies
	*shaky
}

func (c shakyCopies) Append(ctx context.Context, slot int, cut uint64, pieces ...[]byte) (first, last uint64, err error) {
	err = c.do(func() (err error) {
		first, last, err = c.Copies.Append(ctx, slot, cut, pieces...)
		return err
	})
	return first, last, err
}

func (c shakyCopies) Read(ctx context.Context, slot int, cut uint64, fn func(seq uint64, piece []byte) error) error {
	return c.do(func() error { return c.Copies.Read(ctx, slot, cut, fn) })
}

type shakyObjects struct {
	Objects
	*shaky
}

func (o shakyObjects) Put(ctx context.Context, name string, r io.Reader) error {
	return o.do(func() error { return o.Objects.Put(ctx, name, r) })
}

func (o shakyObjects) Get(ctx context.Context, name string) (r io.ReadCloser, err error) {
	err = o.do(func() (err error) {
		r, err = o.Objects.Get(ctx, name)
		return err
	})
	return r, err
}

// Goal: where what keeps things is away for a moment, slots wait for it, and what was
// done though nobody knew does no harm when it is done again.
func TestRun_storeAway(t *testing.T) {
	out := &ledger{shown: map[uint64][]string{}}
	build, want := numbered(10_000, 50, out)
	j := newJob(t, 3, 2, build).small()
	j.shaky = &shaky{r: rand.New(rand.NewPCG(1, 8))}
	r := rand.New(rand.NewPCG(1, 7))
	j.killing(4, func(int) { j.killOne(r.IntN(j.slots)) })
	j.run()
	require.Greater(t, j.shaky.failed, 20)
	slices.Sort(want)
	require.Equal(t, want, out.lines())
}
