package natsbus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// rollSubject is where jobs are asked for. It is the one subject that jobs share.
const rollSubject = "millrace-jobs"

// Present answers those who ask which jobs there are, until stop is called. Whoever may
// connect can read the answer.
func (c *Control) Present(fn func() []byte) (stop func(), err error) {
	return listen(c.bus.control, rollSubject, "", func(m *nats.Msg) {
		if m.Respond(fn()) != nil {
			c.bus.count.lost.Add(1)
		}
	})
}

// rollPause is how long a further answer is waited for behind the last one.
const rollPause = 300 * time.Millisecond

// Roll asks which jobs there are. It returns what was answered when nothing more has come
// for a while, or ctx ends.
func (c *Control) Roll(ctx context.Context) (answers [][]byte, err error) {
	nc := c.bus.control
	sub, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		return nil, fmt.Errorf("ask for jobs: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := nc.PublishRequest(rollSubject, sub.Subject, nil); err != nil {
		return nil, fmt.Errorf("ask for jobs: %w", err)
	}
	for {
		m, err := nextOf(ctx, sub, rollPause)
		if err != nil || m.Header.Get("Status") != "" { // nobody is there
			return answers, ctx.Err()
		}
		answers = append(answers, m.Data)
	}
}

func nextOf(ctx context.Context, sub *nats.Subscription, most time.Duration) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	return sub.NextMsgWithContext(ctx)
}
