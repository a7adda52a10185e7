package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	pauseMin = 20 * time.Millisecond
	pauseMax = time.Second
)

// pause is how long to wait before try number n (from 1): it doubles, and is drawn
// from the upper half, so that clients that failed together come back apart.
func pause(n int) time.Duration {
	d := pauseMax
	if n < 7 {
		d = min(pauseMin<<(n-1), pauseMax)
	}
	return d/2 + rand.N(d/2)
}

// retry runs f until it succeeds, fails for good, or the time of a call is over.
// What it then returns is the last failure that says why, rather than that time was over
// in the middle of a try; and the caller's ctx error if that is what ended it.
func (c *Client) retry(ctx context.Context, f func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, c.cfg.RequestTimeout)
	defer cancel()
	var why error
	for n := 1; ; n++ {
		err := f(limited)
		if why == nil || !errors.Is(err, context.DeadlineExceeded) {
			why = err
		} else if err != nil {
			err = why
		}
		if err == nil || !again(err) {
			return err
		}
		if ctx.Err() == nil && limited.Err() == nil {
			if c.sleep(limited, pause(n)) == nil {
				continue
			}
		}
		switch {
		case c.isClosed():
			return ErrClosed
		case ctx.Err() != nil && !errors.Is(err, ctx.Err()):
			return fmt.Errorf("%w (%w)", err, ctx.Err())
		case ctx.Err() != nil:
			return err
		}
		return fmt.Errorf("%w (tried %d times in %v)", err, n, c.cfg.RequestTimeout)
	}
}

// again says whether a call goes on after err.
func again(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Retriable() && !e.UnknownTopic()
}
