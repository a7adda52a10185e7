package kafka

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/io/kafka/internal/batch"
	"github.com/millrace/millrace/io/kafka/internal/client"
)

// A feed is a partition as one reader reads it. The hub guards it.
//
// Invariant: at most one chunk waits, and at most one fetch names the feed, never both.
type feed struct {
	tp   client.TopicPartition
	next int64 // the offset to fetch next
	end  int64 // nothing is fetched from here on; -1: no end
	// epoch is the leader epoch of the batch before next; -1 if it is not known.
	epoch int32

	leader int32 // -1: to be looked up
	spare  int32 // the replica to fetch from instead of the leader; -1: none
	asked  *job  // that names it now; nil: none
	queue  *chunk
	high   int64  // where the partition ends for this reader; -1 if it is not known
	open   bool   // there are records of open transactions at high
	need   int    // bytes of the next batch, if a fetch was too small for it
	served uint64 // the turn in which something came

	since time.Time // when it began to fail; zero if it does not
	fails int       // in a row
	after time.Time // do nothing before
	lost  bool      // the partition doesn't have next: ask what it has
	stale bool      // what the client knows of its leader may be wrong
	err   error     // for good
	wake  func()    // the reader
	twin  bool      // others read the same partition

	// Where the group assigns partitions:
	grant   atomic.Pointer[grant] // the right to read it; nil: none. Readers look by themselves
	begun   *grant                // by which its reader began last
	running bool                  // it has begun, and has not stopped
	paused  bool                  // nothing is to be fetched
	fresh   bool                  // the partition was found while the run went on
}

func newFeed(tp client.TopicPartition, at spot) *feed {
	return &feed{tp: tp, next: at.next, end: at.end, epoch: at.epoch, leader: -1, spare: -1, high: -1}
}

func (f *feed) String() string { return partitionName(f.tp) }

func partitionName(tp client.TopicPartition) string {
	return fmt.Sprintf("%s/%d", tp.Topic, tp.Partition)
}

// broker is whom to ask.
func (f *feed) broker() int32 {
	if f.spare >= 0 {
		return f.spare
	}
	return f.leader
}

// idle reports that nothing has to be done for f at now, whoever leads it.
func (f *feed) idle(now time.Time) bool {
	return f.paused || f.asked != nil || f.queue != nil || f.err != nil || f.ended() || now.Before(f.after)
}

func (f *feed) ended() bool { return f.end >= 0 && f.next >= f.end }

// caughtUp reports that nothing more was written.
func (f *feed) caughtUp() bool {
	return f.queue == nil && f.high >= 0 && f.next >= f.high && !f.open
}

// chunk is batches that were fetched.
type chunk struct {
	raw     []byte
	from    int64 // records before it are not wanted
	aborted []batch.Aborted
	mem     *memory
}

// memory is what chunks lie in.
type memory struct {
	buf  []byte // to be used again; nil: not
	refs int
	size int
}

const (
	backoffLeast = 20 * time.Millisecond
	backoffMost  = time.Second
	unknownMost  = 15 * time.Second // that a topic may be missing for, as new ones are at first
)

// failed notes that a try did not succeed: another one comes later, or f has failed
// for good.
func (f *feed) failed(err error, now time.Time, patience time.Duration) {
	e, ok := errors.AsType[*client.Error](err)
	if !ok || !e.Retriable() {
		f.err = fmt.Errorf("read %s: %w", f, err)
		return
	}
	unknown := e.UnknownTopic()
	if unknown {
		patience = min(patience, unknownMost)
	}
	if f.since.IsZero() {
		f.since, f.fails = now, 0
	}
	switch {
	case now.Sub(f.since) < patience:
	case unknown:
		f.err = fmt.Errorf("read %s: the topic was deleted, or this user may not see it any more: %w", f, err)
	default:
		f.err = fmt.Errorf("read %s: it can't be reached, for %v now (kafka.Patience): %w", f, now.Sub(f.since).Round(time.Millisecond), err)
	}
	f.leader, f.spare, f.stale = -1, -1, !e.NotLeader() // which the client has seen
	f.after = now.Add(min(backoffLeast<<min(f.fails, 10), backoffMost))
	if f.fails == 0 && e.NotLeader() {
		f.after = now // the answer says who leads, or the metadata know it already
	}
	f.fails++
}

// diverged is the error of a log that was cut behind what was read of it.
func (f *feed) diverged(d client.EpochEnd) error {
	return fmt.Errorf("read %s: records that were read are gone: it was read up to offset %d, of leader epoch %d, but what the brokers have of epoch %d ends at offset %d. They chose a leader that did not have all (unclean leader election), or the topic was made anew. %s",
		f, f.next, f.epoch, d.Epoch, d.Offset, resetHint)
}

const resetHint = "Start anew without the snapshot, or say where to go on (kafka.Reset)"

// outOfRange is the error of a partition that doesn't have the next offset.
func (f *feed) outOfRange(first, last int64) error {
	why := "the records were deleted, by retention for one, before they were read"
	if f.next > last {
		why = "the topic was made anew, or brokers lost its end"
	}
	return fmt.Errorf("read %s: offset %d is to be read next, and the partition has offsets from %d to %d: %s. %s", f, f.next, first, last, why, resetHint)
}

// seek goes to another place.
func (f *feed) seek(next int64) {
	f.next, f.epoch, f.need, f.lost = next, -1, 0, false
	f.asked, f.queue = nil, nil // an answer that is on its way is dropped
}
