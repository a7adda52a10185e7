package kafka

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/io/kafka/internal/batch"
	"github.com/millrace/millrace/io/kafka/internal/client"
)

// laneTxn is a lane's transactions: what the core decides is done here. All of it is
// guarded by the sender's mutex, but what never changes.
//
// Batches belong to the transaction of their number. Those of the one that is sent are
// kept until it is committed; those of the next one, written behind Prepare, are held
// back meanwhile.
//
// Invariant: filling is sending, or, from Prepare to Commit, sending + 1.
type laneTxn struct {
	id   string                // of the transactions, and of the group that has the position
	home client.TopicPartition // whose offset the position is
	all  *atomic.Int64         // bytes that all lanes keep
	most int64                 // of them

	core             *txnCore
	producer         batch.Producer
	filling, sending int64
	kept             int    // bytes, of this lane
	told             int    // of these, how many are part of all
	fresh            int    // of them, written since the last Prepare, before compression
	encoded          []byte // memory of the last state
	begun            bool   // there may be a transaction open at the brokers
	adrift           bool   // requests that got no answer may still arrive there
	lost             error  // the transaction is no more, and requests may still be on their way
	troubles         int
	since            time.Time // of the first of these troubles
	retryAt          time.Time
}

const (
	// lastTimeout is how long a commit may take when the run is over. What is not
	// committed then is so by the next run.
	lastTimeout = 10 * time.Second
	// abortTimeout is how long closing a lane may wait until its transaction is aborted:
	// if it is not, readers wait until its time is over, or the lane is opened again.
	abortTimeout = 2 * time.Second
)

func (t *laneTxn) name() string {
	if t == nil {
		return ""
	}
	return t.id
}

// holds says that what is written now waits for the next transaction.
func (t *laneTxn) holds() bool { return t != nil && t.filling > t.sending }

// holdsBack says that st has nothing for the transaction that is sent.
func (t *laneTxn) holdsBack(st *stream) bool {
	if t == nil {
		return false
	}
	if len(st.queue) > 0 {
		return st.queue[0].txn > t.sending
	}
	return t.holds()
}

// keeps counts bytes that are kept until a commit: few at a time of this lane alone, as one
// number for all lanes costs as much as the rest of a record.
func (t *laneTxn) keeps(n int) error {
	t.kept += n
	if n > 0 && t.kept-t.told < int(t.most/256) {
		return nil
	}
	more := t.kept - t.told
	t.told = t.kept
	if all := t.all.Add(int64(more)); all > t.most && n > 0 {
		return fmt.Errorf("the records since the last checkpoint take more than %d bytes, compressed, and are kept in memory: take checkpoints more often, or raise kafka.TransactionBytes", t.most)
	}
	return nil
}

// note notes that the transaction is no more.
func (t *laneTxn) note(err error) {
	if t.lost == nil {
		t.lost = err
	}
}

// pauses says that nothing may be sent now, and shortens wait to when it may.
func (t *laneTxn) pauses(now time.Time, wait *time.Duration) bool {
	if t == nil {
		return false
	}
	if now.Before(t.retryAt) {
		*wait = min(*wait, t.retryAt.Sub(now))
		return true
	}
	return t.lost != nil || !t.core.fenced || !t.core.looked
}

// openTxn makes s write in transactions, and goes on from state, if it is not nil.
func (s *sender) openTxn(lane, lanes int, state []byte) error {
	var from *txnState
	if state != nil {
		var err error
		if from, err = decodeTxnState(bytes.Clone(state)); err != nil { // batches are stamped where they lie
			return err
		}
		if from.prefix != s.cfg.prefix {
			return fmt.Errorf("the checkpoint's state is that of a sink with ExactlyOnce(%q), and this one has %q: keep the prefix while a job lives, and where it has several sinks, give them names (kafka.Named), so that each gets its own state", from.prefix, s.cfg.prefix)
		}
	}
	t := &laneTxn{
		id:   txnID(s.cfg.prefix, lane, lanes),
		home: client.TopicPartition{Topic: s.cfg.to.Topic},
		all:  &s.sink.kept, most: int64(s.cfg.txnBytes),
	}
	var fresh, life token
	rand.Read(fresh[:])
	rand.Read(life[:])
	s.txn = t
	if from == nil {
		t.core = newTxnCore(nil, fresh, life)
		return nil
	}
	t.core = newTxnCore(from.saved(), fresh, life)
	for _, part := range from.parts {
		st := s.stream(part.topic, part.partition)
		for _, raw := range part.batches {
			p := &parcel{batch: raw, records: batch.Count(raw), bytes: len(raw)}
			st.queue = append(st.queue, p)
			s.count(p.bytes)
		}
	}
	return nil
}

// opened waits until what the state holds is in the log.
func (s *sender) opened() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && s.txn.core.goal == toOpen {
		s.changed.Wait()
	}
	return s.err
}

// prepare waits until all that was written is acknowledged, and the position is in the
// transaction; it returns the state that goes on from here.
func (s *sender) prepare() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.txn
	for _, st := range s.streams {
		if st.open != nil {
			s.seal(st)
		}
	}
	t.filling++
	t.fresh = 0
	t.core.want(toPrepare)
	s.rouse()
	for s.err == nil && (t.lost != nil || t.core.next(s.sent()) != stepNone) {
		s.changed.Wait()
	}
	if s.err != nil {
		return nil, s.err
	}
	state := &txnState{run: t.core.run, number: t.core.target().number, prefix: s.cfg.prefix}
	for _, st := range s.streams {
		if len(st.kept) == 0 {
			continue
		}
		part := txnPart{topic: st.topic, partition: st.partition}
		for _, p := range st.kept {
			part.batches = append(part.batches, p.batch)
		}
		state.parts = append(state.parts, part)
	}
	if size := t.kept + 1024; cap(t.encoded) < size {
		t.encoded = make([]byte, 0, size+size/4) // the next one may be a little larger
	}
	t.encoded = state.encode(t.encoded[:0])
	return t.encoded, nil
}

// crowded says that a checkpoint should be taken, rather than more be written.
func (s *sender) crowded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.txn.fresh > s.budget/2 // the other half is on its way, or waits for its commit
}

// commit commits what was prepared; if that was done already, it does nothing.
func (s *sender) commit() error {
	if done, err := s.commitTxn(); !done || err != nil {
		return err
	}
	if s.ctx.Err() == nil {
		s.abortOthers()
	}
	return nil
}

// commitTxn reports whether there was anything to do.
func (s *sender) commitTxn() (done bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.txn
	if !t.holds() {
		return false, nil
	}
	if s.ctx.Err() != nil {
		end, err := s.revive()
		if err != nil {
			return false, err
		}
		defer end()
	}
	t.core.want(toCommit)
	s.rouse()
	for s.err == nil && t.core.goal != toWrite {
		s.changed.Wait()
	}
	if s.err != nil {
		return false, s.err
	}
	t.sending = t.filling
	for _, st := range s.streams {
		if len(st.queue) > 0 {
			t.core.wrote()
		}
	}
	s.rouse()
	return true, nil
}

// revive lets the sender go on behind the end of its run, to commit what is in a
// checkpoint, until end is called. mu is held, and nothing is to be sent that is not in
// the checkpoint.
func (s *sender) revive() (end func(), err error) {
	s.mu.Unlock()
	defer s.mu.Lock()
	s.end()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), lastTimeout)
	if err := s.connect(ctx); err != nil {
		cancel()
		return nil, err
	}
	s.err = nil
	s.start()
	return func() {
		s.mu.Unlock()
		defer s.mu.Lock()
		s.end()
		cancel()
	}, nil
}

// sent says whether all of the transaction at hand is acknowledged. mu is held.
func (s *sender) sent() bool {
	for _, st := range s.streams {
		if len(st.queue) > 0 && st.queue[0].txn <= s.txn.sending {
			return false
		}
	}
	return true
}

// advance does the core's next step, if that is not to send batches, and reports
// whether it did something.
func (s *sender) advance() bool {
	s.mu.Lock()
	t := s.txn
	if s.err != nil || time.Now().Before(t.retryAt) || t.lost != nil && s.flying > 0 {
		s.mu.Unlock()
		return false
	}
	if err := t.lost; err != nil {
		t.lost = nil
		s.troubled(stepSend, err)
		s.mu.Unlock()
		return true
	}
	next := t.core.next(s.sent())
	target := t.core.target()
	t.begun = t.begun || next == stepMark
	s.mu.Unlock()
	if next == stepNone || next == stepSend {
		return false
	}
	p, found, err := s.do(next, target)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		t.adrift = true
		s.troubled(next, err)
	case next == stepLook:
		s.found(p, found)
	default:
		s.stepped(next)
	}
	s.changed.Broadcast()
	return true
}

// do asks the brokers for a step.
func (s *sender) do(next step, target txnPosition) (p txnPosition, found bool, err error) {
	t := s.txn
	switch next {
	case stepFence:
		t.producer, err = s.client.InitProducer(s.ctx, t.id, s.cfg.txnTimeout)
	case stepLook:
		var all map[client.TopicPartition]client.GroupOffset
		if all, err = s.client.GroupOffsets(s.ctx, t.id, []client.TopicPartition{t.home}); err != nil {
			return p, false, err
		}
		var at client.GroupOffset
		if at, found = all[t.home]; found {
			if p, err = parseTxnPosition(at.Offset, at.Metadata); err != nil {
				err = fmt.Errorf("group %s: %w", t.id, err)
			}
		}
	case stepMark:
		err = s.client.CommitInTxn(s.ctx, t.id, t.producer, t.id, map[client.TopicPartition]client.GroupOffset{
			t.home: {Offset: target.number, Epoch: -1, Metadata: target.metadata()},
		})
	case stepEnd:
		err = s.client.EndTxn(s.ctx, t.id, t.producer, true)
	}
	return p, found, err
}

// stepped takes in that a step went well. mu is held.
func (s *sender) stepped(done step) {
	t := s.txn
	t.core.done(done)
	switch done {
	case stepFence:
		t.begun, t.adrift = false, false
		for _, st := range s.streams {
			st.renew(t.producer)
			st.in = false
		}
		s.producer = t.producer
	case stepEnd:
		t.troubles, t.begun = 0, false
		s.drop()
	}
}

// found takes in the position. mu is held.
func (s *sender) found(p txnPosition, found bool) {
	c := s.txn.core
	in, err := c.look(p, found)
	if a := s.cfg.assume; a != nil && (errors.Is(err, errForgotten) || errors.Is(err, errForeign)) {
		in, err = *a, nil
		c.assume(p, in)
	}
	switch {
	case err != nil && s.err == nil:
		s.err = s.lookError(err)
	case in:
		s.drop()
	}
}

// lookError says what to do.
func (s *sender) lookError(err error) error {
	t := s.txn
	switch {
	case errors.Is(err, errForgotten):
		return fmt.Errorf("%w: the checkpoint holds records of which nobody knows whether they are in the log, for group %s has no offset of topic %s any more (offsets.retention.minutes, a week by default), or one that was set back: look into the topic; then start with kafka.AssumeWritten for once", err, t.id, t.home.Topic)
	case errors.Is(err, errForeign):
		return fmt.Errorf("%w: the checkpoint holds records of which nobody knows whether they are in the log (see group %s): give each job a prefix of its own, look into the topic, and start with kafka.AssumeWritten for once", err, t.id)
	case errors.Is(err, ErrFenced):
		return fmt.Errorf("transactional id %s: %w", t.id, err)
	}
	return fmt.Errorf("group %s: %w", t.id, err)
}

// drop forgets the batches of the transaction at hand, which are in the log. mu is held.
func (s *sender) drop() {
	t := s.txn
	s.memory.most = max(s.budget, t.kept) // the next one is likely to be as large
	for _, st := range s.streams {
		for _, p := range st.kept {
			t.keeps(-p.bytes)
			s.recycle(p)
		}
		st.kept, st.in = nil, false
		n := 0
		for n < len(st.queue) && st.queue[n].txn <= t.sending {
			s.count(-st.queue[n].bytes)
			n++
		}
		st.queue = st.queue[n:]
	}
}

// troubled takes in that a step did not go well, or that the transaction is no more:
// all batches of it have to be sent again. mu is held, and nothing is on its way.
func (s *sender) troubled(at step, err error) {
	t := s.txn
	now := time.Now()
	if t.troubles++; t.troubles == 1 {
		t.since = now
	}
	e, ok := errors.AsType[*client.Error](err)
	switch {
	case s.err != nil:
	case !ok, judge(e) == refused:
		s.err = s.explain(fmt.Errorf("transactional id %s: %w", t.id, err))
	case now.Sub(t.since) >= s.cfg.delivery:
		s.err = s.explain(fmt.Errorf("transactional id %s: tried %d times in %v: %w", t.id, t.troubles, now.Sub(t.since).Round(time.Second), err))
	}
	t.retryAt = now.Add(backoff(t.troubles))
	t.core.lost(at)
	for _, st := range s.streams {
		for _, p := range st.kept {
			s.buffered += p.bytes
		}
		st.queue = append(st.kept, st.queue...)
		st.kept, st.tries, st.retryAt = nil, 0, time.Time{}
	}
	s.changed.Broadcast()
}

// join adds the partitions of heads to the transaction, as far as they are not in it.
func (s *sender) join(heads []sending) error {
	if s.txn == nil {
		return nil
	}
	var parts []client.TopicPartition
	for _, h := range heads {
		if !h.in {
			parts = append(parts, client.TopicPartition{Topic: h.topic, Partition: h.partition})
		}
	}
	if len(parts) == 0 {
		return nil
	}
	s.mu.Lock()
	s.txn.begun = true
	s.mu.Unlock()
	if err := s.client.AddPartitions(s.ctx, s.txn.id, s.txn.producer, parts); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range heads {
		h.in = true
	}
	return nil
}

// abort aborts the transaction that is open, if there is one. The sender has ended.
func (s *sender) abort(c *client.Client) {
	t := s.txn
	t.all.Add(-int64(t.told))
	if !t.begun {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), abortTimeout)
	defer cancel()
	// If neither can be done, time or the next one who opens does it.
	if t.adrift { // behind a fence nothing that arrives late begins another one
		_, _ = c.InitProducer(ctx, t.id, s.cfg.txnTimeout)
		return
	}
	_ = c.EndTxn(ctx, t.id, t.producer, false)
}
