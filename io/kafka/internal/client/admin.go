package client

import (
	"context"
	"errors"
	"slices"
)

// CreateTopic makes a topic and waits until its partitions have leaders
// that know of it.
// partitions or replicas of -1 are the broker's default; config is the topic's
// settings. A topic that is there already is an *Error with Exists.
func (c *Client) CreateTopic(ctx context.Context, name string, partitions, replicas int, config map[string]string) error {
	keys := make([]string, 0, len(config))
	for k := range config {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	unknown := false
	err := c.administer(ctx, apiCreateTopics, func(ctx context.Context, b *broker) error {
		err := simple(ctx, b, apiCreateTopics, func(w *writer, _ int16) {
			w.array(1)
			w.string(name)
			w.int32(int32(partitions))
			w.int16(int16(replicas))
			w.array(0) // the broker lays the replicas out
			w.array(len(keys))
			for _, k := range keys {
				w.string(k)
				w.string(config[k])
				w.tags()
			}
			w.tags()
			c.writeAdmin(w)
		}, func(r *reader) (int32, error) { return parseCreated(r, name) })
		e, ok := errors.AsType[*Error](err)
		if ok && e.Exists() && unknown {
			return nil // it was an attempt of ours whose answer was lost
		}
		unknown = unknown || ok && e.Unknown()
		return err
	})
	if err != nil {
		return err
	}
	return c.led(ctx, apiCreateTopics, name, max(partitions, 1))
}

// CreatePartitions grows a topic to total partitions and waits until they have
// leaders.
func (c *Client) CreatePartitions(ctx context.Context, name string, total int) error {
	unknown := false
	err := c.administer(ctx, apiCreatePartitions, func(ctx context.Context, b *broker) error {
		err := simple(ctx, b, apiCreatePartitions, func(w *writer, _ int16) {
			w.array(1)
			w.string(name)
			w.int32(int32(total))
			w.array(-1)
			w.tags()
			c.writeAdmin(w)
		}, func(r *reader) (int32, error) { return parsePartitioned(r, name) })
		e, ok := errors.AsType[*Error](err)
		if ok && e.Code == 37 && unknown {
			return nil // there are so many already: an attempt of ours whose answer was lost. led looks
		}
		unknown = unknown || ok && e.Unknown()
		return err
	})
	if err != nil {
		return err
	}
	return c.led(ctx, apiCreatePartitions, name, total)
}

// writeAdmin ends a request to the controller: how long it may take, and that it is
// meant.
func (c *Client) writeAdmin(w *writer) {
	w.int32(int32((c.cfg.RequestTimeout / 4).Milliseconds()))
	w.bool(false)
	w.tags()
}

// administer sends to the controller as the metadata names it; where brokers pass
// such requests on, any does.
func (c *Client) administer(ctx context.Context, a api, f func(context.Context, *broker) error) error {
	return c.retry(ctx, func(ctx context.Context) error {
		if err := c.Refresh(ctx); err != nil {
			return err
		}
		c.mu.Lock()
		address, ok := c.addrs[c.controller]
		c.mu.Unlock()
		if !ok {
			return c.anywhere(ctx, a, f)
		}
		b, err := c.at(address)
		if err != nil {
			return err
		}
		return c.attempt(ctx, func(ctx context.Context) error { return f(ctx, b) })
	})
}

// led waits until a topic has at least n partitions, and all have leaders that know
// of them: the metadata of one broker may be ahead of the others.
func (c *Client) led(ctx context.Context, a api, name string, n int) error {
	var parts []TopicPartition
	err := c.retry(ctx, func(ctx context.Context) error {
		t, err := c.Topic(ctx, name)
		if e, ok := errors.AsType[*Error](err); ok && e.UnknownTopic() || err == nil && len(t.Partitions) < n {
			return refused(a, 5, name, -1)
		}
		if err != nil {
			return err
		}
		parts = parts[:0]
		for _, p := range t.Partitions {
			if p.Err != nil {
				return p.Err
			}
			parts = append(parts, TopicPartition{name, p.ID})
		}
		return nil
	})
	if err == nil {
		_, err = c.Offsets(ctx, parts, Earliest())
	}
	return err
}

func parseCreated(r *reader, name string) (throttleMs int32, err error) {
	throttleMs = r.int32()
	err = &Error{Code: CodeNetwork, Op: apiCreateTopics.name, Topic: name, Partition: -1, Err: errMissing, unknown: true}
	for n := r.array(4); n > 0 && r.err == nil; n-- {
		got, code, detail := r.string(), r.int16(), r.string()
		if r.flex {
			r.int32()
			r.int16()
			for n := r.array(4); n > 0 && r.err == nil; n-- {
				r.raw()
				r.raw()
				r.bool()
				r.int8()
				r.bool()
				r.tags()
			}
		}
		r.tags()
		if got == name {
			err = named(apiCreateTopics, code, name, detail)
		}
	}
	r.tags()
	return throttleMs, err
}

func parsePartitioned(r *reader, name string) (throttleMs int32, err error) {
	throttleMs = r.int32()
	err = &Error{Code: CodeNetwork, Op: apiCreatePartitions.name, Topic: name, Partition: -1, Err: errMissing, unknown: true}
	for n := r.array(4); n > 0 && r.err == nil; n-- {
		got, code, detail := r.string(), r.int16(), r.string()
		r.tags()
		if got == name {
			err = named(apiCreatePartitions, code, name, detail)
		}
	}
	r.tags()
	return throttleMs, err
}

func named(a api, code int16, topic, detail string) error {
	if code == 0 {
		return nil
	}
	return &Error{Code: code, Op: a.name, Topic: topic, Partition: -1, Detail: detail}
}
