package client

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Leader returns who leads a partition and since which epoch, as it is known or,
// if that is stale or old, asked for. A partition without a leader is an *Error
// that is Retriable.
func (c *Client) Leader(ctx context.Context, topic string, partition int32) (broker, epoch int32, err error) {
	tp := TopicPartition{topic, partition}
	if err := c.freshen(ctx, []TopicPartition{tp}); err != nil {
		return -1, -1, err
	}
	p, err := c.leader(tp)
	return p.Leader, p.Epoch, err
}

// leader looks up who leads a partition.
func (c *Client) leader(tp TopicPartition) (Partition, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.topics[tp.Topic]
	if k == nil {
		return Partition{Leader: -1, Epoch: -1}, refused(apiMetadata, 3, tp.Topic, tp.Partition)
	}
	p := find(k.Partitions, tp.Partition)
	if p == nil {
		return Partition{Leader: -1, Epoch: -1}, refused(apiMetadata, 3, tp.Topic, tp.Partition)
	}
	if p.Err != nil {
		k.stale = true
	}
	return *p, p.Err
}

// epoch is the leader epoch that is known of a partition, -1 if none is.
func (c *Client) epoch(tp TopicPartition) int32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.topics[tp.Topic]; k != nil {
		if p := find(k.Partitions, tp.Partition); p != nil {
			return p.Epoch
		}
	}
	return -1
}

// freshen asks for those topics of parts that are not known, stale or old.
func (c *Client) freshen(ctx context.Context, parts []TopicPartition) error {
	var names []string
	c.mu.Lock()
	old := time.Now().Add(-c.cfg.MetadataEvery)
	for i, tp := range parts {
		if i > 0 && parts[i-1].Topic == tp.Topic {
			if k := c.topics[tp.Topic]; k == nil || find(k.Partitions, tp.Partition) != nil {
				continue
			}
		}
		k := c.topics[tp.Topic]
		fresh := k != nil && !k.stale && !k.at.Before(old) && find(k.Partitions, tp.Partition) != nil
		if !fresh && !slices.Contains(names, tp.Topic) {
			names = append(names, tp.Topic)
		}
	}
	c.mu.Unlock()
	if len(names) == 0 {
		return nil
	}
	return c.renew(ctx, names)
}

// A share is the partitions of a request that one broker leads.
type share struct {
	leader int32
	parts  []TopicPartition
}

// shares divides parts by leader. Those that have none are in the map.
func (c *Client) shares(parts []TopicPartition) ([]share, map[TopicPartition]error) {
	var shares []share
	errs := map[TopicPartition]error{}
	at := map[int32]int{}
	for _, tp := range parts {
		p, err := c.leader(tp)
		if err != nil {
			errs[tp] = err
			continue
		}
		i, ok := at[p.Leader]
		if !ok {
			i = len(shares)
			at[p.Leader] = i
			shares = append(shares, share{leader: p.Leader})
		}
		shares[i].parts = append(shares[i].parts, tp)
	}
	return shares, errs
}

// byLeader sends requests for parts to their leaders, all at once, until each was
// answered: f asks b for parts and gives what was refused. Leaders that moved are
// looked up and asked again.
func (c *Client) byLeader(ctx context.Context, a api, parts []TopicPartition, f func(ctx context.Context, b *broker, parts []TopicPartition) (map[TopicPartition]error, error)) error {
	left := slices.Clone(parts)
	slices.SortFunc(left, TopicPartition.compare)
	left = slices.Compact(left)
	return c.retry(ctx, func(ctx context.Context) error {
		if err := c.freshen(ctx, left); err != nil {
			return err
		}
		shares, refusals := c.shares(left)
		var mu sync.Mutex
		var wg sync.WaitGroup
		for _, s := range shares {
			wg.Go(func() {
				errs, err := c.askLeader(ctx, a, s, f)
				mu.Lock()
				defer mu.Unlock()
				for _, tp := range s.parts {
					if e := cmp.Or(err, errs[tp]); e != nil {
						refusals[tp] = e
					}
				}
			})
		}
		wg.Wait()
		return c.unanswered(&left, refusals)
	})
}

func (c *Client) askLeader(ctx context.Context, a api, s share, f func(context.Context, *broker, []TopicPartition) (map[TopicPartition]error, error)) (errs map[TopicPartition]error, err error) {
	b, err := c.broker(ctx, a, s.leader)
	if err != nil {
		return nil, err
	}
	err = c.attempt(ctx, func(ctx context.Context) (err error) {
		errs, err = f(ctx, b, s.parts)
		return err
	})
	return errs, err
}

// unanswered keeps in left what was refused, and returns the refusal that weighs
// most: one that ends the call, if there is one.
func (c *Client) unanswered(left *[]TopicPartition, refusals map[TopicPartition]error) error {
	var next []TopicPartition
	var first, final error
	for _, tp := range *left {
		err := refusals[tp]
		if err == nil {
			continue
		}
		next = append(next, tp)
		c.contradict(tp.Topic)
		if first == nil {
			first = err
		}
		if final == nil && !again(err) && !c.spreads(err, tp) {
			final = err
		}
	}
	*left = next
	if final != nil {
		return final
	}
	if e, ok := errors.AsType[*Error](first); ok && e.UnknownTopic() {
		// It is in the metadata: the leader does not know of it yet.
		return refused(apiMetadata, 5, e.Topic, e.Partition)
	}
	return first
}

// spreads says whether err is a leader's that was not told yet of a partition that
// the metadata has.
func (c *Client) spreads(err error, tp TopicPartition) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok || !e.UnknownTopic() {
		return false
	}
	_, err = c.leader(tp)
	return err == nil
}
