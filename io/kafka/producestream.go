package kafka

import (
	"errors"
	"time"

	"github.com/millrace/millrace/io/kafka/internal/batch"
	"github.com/millrace/millrace/io/kafka/internal/client"
)

// noProducer is that of batches without sequence numbers.
var noProducer = batch.Producer{ID: -1, Epoch: -1}

// parcel is one batch of a stream.
type parcel struct {
	builder *batch.Builder // until it is finished
	batch   []byte         // from then on
	own     bool           // its memory is nobody else's
	records int
	bytes   int   // that count against the buffer
	txn     int64 // number of the transaction that it belongs to; 0 without
}

// verdict is what becomes of a parcel that was sent.
type verdict uint8

const (
	acked   verdict = iota + 1 // it is in the log: the next one may go
	again                      // it goes once more, with the same sequence
	renewed                    // the sequence is broken: it goes once more, when there is another producer
	refused                    // it never can be written
)

// stream is the batches that go to one partition, in order. It is pure: the sender
// sends the heads of queues and tells what was answered.
//
// At most one batch is on its way at a time, so that the broker's sequence can only
// be that of the last one acknowledged, or of the one on its way if an answer got
// lost. A batch goes with its number until it is acknowledged: the broker then knows
// one that it has. If the broker's number is another one, it has forgotten the
// producer or lost acknowledged batches: the partition alone goes on with a new
// producer, at number 0.
//
// Invariant: what is acknowledged left the queue, in the order of the queue.
type stream struct {
	topic     string
	partition int32

	producer batch.Producer
	sequence int32 // of the queue's head
	queue    []*parcel
	sent     bool // the head is on its way

	open    *batch.Builder // what is being filled, nil if nothing is
	since   time.Time      // its first record's writing
	tries   int            // of the head, in vain
	first   time.Time      // of these tries
	retryAt time.Time
	wants   bool // another producer

	kept []*parcel // acknowledged in the transaction at hand
	in   bool      // the partition is in the transaction
}

// stamp puts the number on p's batch, the queue's head, which is to be sent now.
func (s *stream) stamp(p *parcel, txn bool) {
	sequence := s.sequence
	if s.producer == noProducer {
		sequence = -1
	}
	batch.Stamp(p.batch, s.producer, sequence, txn)
}

// renew goes on with another producer, from number 0.
func (s *stream) renew(p batch.Producer) {
	s.producer, s.sequence, s.wants = p, 0, false
}

// answer takes in what became of the head; err is Produced.Err.
func (s *stream) answer(err error) verdict {
	s.sent = false
	v := judge(err)
	switch v {
	case acked:
		p := s.queue[0]
		s.queue[0] = nil
		s.queue = s.queue[1:]
		if s.producer != noProducer {
			s.sequence = batch.NextSequence(s.sequence, p.records)
		}
		s.tries = 0
	case renewed:
		s.wants = true
		s.tries++
	default:
		s.tries++
	}
	return v
}

func judge(err error) verdict {
	e, ok := errors.AsType[*client.Error](err)
	switch {
	case err == nil:
		return acked
	case !ok:
		return refused
	case e.OutOfSequence(), e.Fenced(), lostTxn(e):
		return renewed
	case e.Retriable(), e.Unknown():
		return again
	}
	return refused
}

// lostTxn says that the broker has no such transaction open any more, or wants it to
// be begun again.
func lostTxn(e *client.Error) bool {
	switch e.Code {
	case 48, 49, 120: // INVALID_TXN_STATE, INVALID_PRODUCER_ID_MAPPING, TRANSACTION_ABORTABLE
		return true
	}
	return false
}

// backoff is how long to wait before try n of a batch, from 1.
func backoff(n int) time.Duration {
	return min(10*time.Millisecond<<min(n-1, 10), time.Second)
}
