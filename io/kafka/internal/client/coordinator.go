package client

import (
	"context"
	"errors"
)

// coordinated is what has a coordinator: a group or a transactional id.
type coordinated struct {
	kind int8
	name string
}

func ofGroup(name string) coordinated { return coordinated{0, name} }
func ofTxn(id string) coordinated     { return coordinated{1, id} }

// coordinator returns the broker that is k's, looked up if it is not known.
func (c *Client) coordinator(ctx context.Context, k coordinated) (*broker, error) {
	c.mu.Lock()
	id, ok := c.coordinators[k]
	c.mu.Unlock()
	if !ok {
		var err error
		if id, err = c.findCoordinator(ctx, k); err != nil {
			return nil, err
		}
		c.mu.Lock()
		c.coordinators[k] = id
		c.mu.Unlock()
	}
	return c.broker(ctx, apiFindCoordinator, id)
}

func (c *Client) findCoordinator(ctx context.Context, k coordinated) (id int32, err error) {
	err = c.anywhere(ctx, apiFindCoordinator, func(ctx context.Context, b *broker) error {
		r, _, err := b.call(ctx, apiFindCoordinator, func(w *writer, _ int16) {
			w.string(k.name)
			w.int8(k.kind)
			w.tags()
		})
		if err != nil {
			return err
		}
		var ms int32
		id, ms, err = parseCoordinator(&r)
		if r.err != nil {
			return b.lost(apiFindCoordinator, r.err, false)
		}
		b.throttle(apiFindCoordinator, ms)
		return err
	})
	return id, err
}

func parseCoordinator(r *reader) (id, throttleMs int32, err error) {
	throttleMs = r.int32()
	code, detail := r.int16(), r.string()
	id = r.int32()
	r.raw() // host: the metadata has it
	r.int32()
	r.tags()
	if code != 0 {
		return -1, throttleMs, &Error{Code: code, Op: apiFindCoordinator.name, Partition: -1, Detail: detail}
	}
	return id, throttleMs, nil
}

// coordinate runs f with k's coordinator until it succeeds or fails for good; one
// that it is no more is looked up again.
func (c *Client) coordinate(ctx context.Context, k coordinated, f func(context.Context, *broker) error) error {
	unknown := false
	err := c.retry(ctx, func(ctx context.Context) error {
		return c.attempt(ctx, func(ctx context.Context) error {
			b, err := c.coordinator(ctx, k)
			if err != nil {
				c.forgetCoordinator(k, err)
				return err
			}
			err = f(ctx, b)
			c.forgetCoordinator(k, err)
			if e, ok := errors.AsType[*Error](err); ok {
				unknown = unknown || e.Unknown()
			}
			return err
		})
	})
	if e, ok := errors.AsType[*Error](err); ok && unknown {
		e.unknown = true // an attempt before the last one may have done it
	}
	return err
}

func (c *Client) forgetCoordinator(k coordinated, err error) {
	e, ok := errors.AsType[*Error](err)
	if !ok || !e.noCoordinator() && e.Code != 8 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.coordinators, k)
}

// simple sends a request to b and reads the answer with parse, which returns what
// the broker throttles and refuses.
func simple(ctx context.Context, b *broker, a api, write func(w *writer, v int16), parse func(r *reader) (throttleMs int32, err error)) error {
	r, _, err := b.call(ctx, a, write)
	if err != nil {
		return err
	}
	ms, err := parse(&r)
	if r.err != nil {
		return b.lost(a, r.err, true)
	}
	b.throttle(a, ms)
	if e, ok := errors.AsType[*Error](err); ok {
		e.Broker = b.addr
	}
	return err
}

// parseCode parses an answer that is a code only.
func parseCode(a api) func(r *reader) (int32, error) {
	return func(r *reader) (int32, error) {
		ms, code := r.int32(), r.int16()
		r.tags()
		return ms, refused(a, code, "", -1)
	}
}

// parseCodes parses an answer that is a code for each partition, and returns the
// first that refuses; one that only passes gives way to one that does not.
func parseCodes(a api, parts []TopicPartition) func(r *reader) (int32, error) {
	return func(r *reader) (int32, error) {
		ms := r.int32()
		errs := unheard(a, parts)
		for n := r.array(6); n > 0 && r.err == nil; n-- {
			topic := r.string()
			for n := r.array(6); n > 0 && r.err == nil; n-- {
				tp := TopicPartition{topic, r.int32()}
				errs[tp] = refused(a, r.int16(), topic, tp.Partition)
				r.tags()
			}
			r.tags()
		}
		r.tags()
		return ms, worst(parts, errs)
	}
}

// worst is the first refusal, or the first that does not pass by itself.
func worst(parts []TopicPartition, errs map[TopicPartition]error) error {
	var first error
	for _, tp := range parts {
		err := errs[tp]
		if err != nil && !again(err) {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}
