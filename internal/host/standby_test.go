package host

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/held"
	"github.com/millrace/millrace/internal/natsbus"
)

// Goal: who stands by a slot that writes nothing more becomes warm: it looks at the record
// without being told of anything.
func TestStandby_ofWhoIsSilent(t *testing.T) {
	build, _ := numbered(1, 1, &ledger{})
	j := newJob(t, 2, 1, build)
	l := changes(rand.New(rand.NewPCG(1, 3)), 20, 100)
	_, _, err := j.store.Changelog().Append(t.Context(), 0, l.pieces...)
	require.NoError(t, err)
	read, warm := make(chan struct{}), make(chan struct{}, 1)
	cfg := j.config(0, 1)
	cfg.Changes = followed{cfg.Changes, len(l.pieces), read}
	s := NewStandby(cfg, func() { warm <- struct{}{} })
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run(ctx)
	}()
	<-read
	require.False(t, s.Warm())
	reg := newRegister(t.Context(), slotKey(0), j.acceptors(), natsbus.ErrStale, putMost)
	_, err = reg.takeOver()
	require.NoError(t, err)
	require.NoError(t, reg.put(held.Append(nil, l.recs[19])))
	<-warm
	require.True(t, s.Warm())
	stop()
	<-ended
	require.Equal(t, l.recs[19].Chunks, s.image.named)
}

// followed tells when so many pieces of a changelog were followed.
type followed struct {
	Changelog
	n    int
	done chan struct{}
}

func (f followed) Follow(ctx context.Context, slot int, from uint64, fn func(seq uint64, piece []byte) error) error {
	left := f.n
	return f.Changelog.Follow(ctx, slot, from, func(seq uint64, piece []byte) error {
		err := fn(seq, piece)
		if left--; left == 0 {
			close(f.done)
		}
		return err
	})
}
