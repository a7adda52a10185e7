package client

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/millrace/millrace/io/kafka/internal/batch"
)

// InitProducer gets a producer id. With a transactional id it is the id's own, of a
// new epoch: producers before it are fenced, and a transaction that they left open
// is aborted before InitProducer returns. timeout is how long a transaction may be
// open. Without one (txnID is empty) the id is only for sequence numbers.
func (c *Client) InitProducer(ctx context.Context, txnID string, timeout time.Duration) (batch.Producer, error) {
	var p batch.Producer
	ask := func(ctx context.Context, b *broker) error {
		return simple(ctx, b, apiInitProducer, func(w *writer, v int16) {
			w.nullable(txnID)
			w.int32(int32(timeout.Milliseconds()))
			if v >= 3 {
				w.int64(-1)
				w.int16(-1)
			}
			w.tags()
		}, func(r *reader) (ms int32, err error) {
			p, ms, err = parseProducer(r)
			return ms, err
		})
	}
	if txnID != "" {
		return p, c.coordinate(ctx, ofTxn(txnID), ask)
	}
	err := c.retry(ctx, func(ctx context.Context) error { return c.anywhere(ctx, apiInitProducer, ask) })
	return p, err
}

func parseProducer(r *reader) (batch.Producer, int32, error) {
	ms, code := r.int32(), r.int16()
	p := batch.Producer{ID: r.int64(), Epoch: r.int16()}
	r.tags()
	return p, ms, refused(apiInitProducer, code, "", -1)
}

func writeProducer(w *writer, txnID string, p batch.Producer) {
	w.string(txnID)
	w.int64(p.ID)
	w.int16(p.Epoch)
}

// AddPartitions adds partitions to p's transaction, which begins with the first of
// them. It comes before the first batch for each. Adding twice is allowed.
func (c *Client) AddPartitions(ctx context.Context, txnID string, p batch.Producer, parts []TopicPartition) error {
	if len(parts) == 0 {
		return nil
	}
	parts = slices.Clone(parts)
	slices.SortFunc(parts, TopicPartition.compare)
	parts = slices.Compact(parts)
	return c.coordinate(ctx, ofTxn(txnID), func(ctx context.Context, b *broker) error {
		err := simple(ctx, b, apiAddPartitions, func(w *writer, _ int16) {
			writeProducer(w, txnID, p)
			byTopic(w, parts, func(tp TopicPartition) { w.int32(tp.Partition) })
			w.tags()
		}, parseCodes(apiAddPartitions, parts))
		return c.awaitTopic(err)
	})
}

// awaitTopic makes an error that passes of a broker's word that it does not know a
// topic, if the metadata has it: a new topic takes a moment to be known everywhere.
func (c *Client) awaitTopic(err error) error {
	e, ok := errors.AsType[*Error](err)
	if ok && c.spreads(err, TopicPartition{e.Topic, e.Partition}) {
		return &Error{Code: 5, Op: e.Op, Topic: e.Topic, Partition: e.Partition, Broker: e.Broker}
	}
	return err
}

// CommitInTxn commits offsets of a group as a part of p's transaction: they count
// when it is committed. The partitions need not be ones that were read, but must
// exist.
func (c *Client) CommitInTxn(ctx context.Context, txnID string, p batch.Producer, group string, offsets map[TopicPartition]GroupOffset) error {
	if len(offsets) == 0 {
		return nil
	}
	err := c.coordinate(ctx, ofTxn(txnID), func(ctx context.Context, b *broker) error {
		return simple(ctx, b, apiAddOffsets, func(w *writer, _ int16) {
			writeProducer(w, txnID, p)
			w.string(group)
			w.tags()
		}, parseCode(apiAddOffsets))
	})
	if err != nil {
		return err
	}
	parts := sorted(offsets)
	return c.coordinate(ctx, ofGroup(group), func(ctx context.Context, b *broker) error {
		err := simple(ctx, b, apiTxnOffsetCommit, func(w *writer, _ int16) {
			w.string(txnID)
			w.string(group)
			w.int64(p.ID)
			w.int16(p.Epoch)
			w.int32(-1) // no generation,
			w.string("")
			w.nullable("") // and no member
			writeGroupOffsets(w, parts, offsets)
			w.tags()
		}, parseCodes(apiTxnOffsetCommit, parts))
		return c.awaitTopic(err)
	})
}

// EndTxn commits or aborts p's transaction. Doing it again is allowed while p is
// not fenced. After an error that is Unknown the transaction may be ended or not:
// InitProducer, and then what the transaction was to leave behind, tell which.
func (c *Client) EndTxn(ctx context.Context, txnID string, p batch.Producer, commit bool) error {
	return c.coordinate(ctx, ofTxn(txnID), func(ctx context.Context, b *broker) error {
		return simple(ctx, b, apiEndTxn, func(w *writer, _ int16) {
			writeProducer(w, txnID, p)
			w.bool(commit)
			w.tags()
		}, parseCode(apiEndTxn))
	})
}
