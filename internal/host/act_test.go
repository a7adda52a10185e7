package host

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/held"
)

// ears is a control connection whose messages are acknowledgements, by epoch.
type ears struct {
	Control
	heard func(held.Epoch)
}

func (e ears) Tell(_ int, b []byte) error {
	m, err := held.DecodeMessage(b)
	if err == nil {
		e.heard(m.(*held.Ack).Epoch)
	}
	return err
}

// Goal: what the core decides is done in order: what is quick at once, by who has told it
// something, what comes meanwhile as well; the rest by the goroutine for that.
func TestDo_performsInOrder(t *testing.T) {
	h := sending()
	h.ctx, h.cancel = context.WithCancelCause(t.Context())
	ack := func(e held.Epoch) held.Act { return held.SendAck{Ack: held.Ack{Src: 1, Epoch: e}} }
	var acks []held.Epoch
	all := make(chan struct{})
	h.cfg.Control = ears{heard: func(e held.Epoch) {
		if acks = append(acks, e); e == 1 {
			h.do(func() { h.acts = append(h.acts, ack(3)) })
			require.Equal(t, []held.Epoch{1}, acks, "it waits for its turn")
		}
		if len(acks) == 4 {
			close(all)
		}
	}}
	h.do(func() { h.acts = append(h.acts, ack(1), ack(2)) })
	require.Equal(t, []held.Epoch{1, 2, 3}, acks)
	require.Empty(t, h.rouse)

	h.do(func() { h.acts = append(h.acts, held.Resend{}, ack(4)) })
	require.Len(t, acks, 3, "it is behind what takes time")
	h.work.Go(h.performing)
	<-all
	h.cancel(nil)
	h.work.Wait()
	require.Equal(t, []held.Epoch{1, 2, 3, 4}, acks)
	require.Empty(t, h.acts)
}
