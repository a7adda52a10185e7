package kafka

import (
	"errors"
	"fmt"

	"github.com/millrace/millrace/io/kafka/internal/plant"
)

// ErrFenced is in the error of a run whose sink was taken over by another one: a later
// process of the same job, or another job with the same prefix.
var ErrFenced = errors.New("another writer has taken over: another process of this job, or another job with the same prefix of ExactlyOnce")

// errForgotten is when it can't be known whether a transaction was committed.
var errForgotten = errors.New("the brokers have forgotten how far the sink had come")

// errForeign is when another run has written with the same ids since.
var errForeign = errors.New("another run has written with this prefix of ExactlyOnce since the checkpoint was taken")

// token tells runs apart, or writers.
type token [8]byte

// position is what the group of a lane holds, committed together with the records.
type txnPosition struct {
	number int64 // of the newest transaction that is committed
	run    token // whose number it is
	life   token // of the writer that wrote it

	before lineage
}

// fork is how far a run had come when another one began behind it.
type fork struct {
	run    token
	number int64
}

// lineage is the runs before one, the newest first. With it a state can be gone on
// with, or be known to be in the log, though other runs have begun since: earlier
// processes of the job that were slow to open, or later ones that started afresh.
type lineage [8]fork

// behind is the lineage of a run that begins, or goes on, behind p.
func (p txnPosition) behind(run token) lineage {
	var l lineage
	n := 0
	for _, f := range append([]fork{{p.run, p.number}}, p.before[:]...) {
		if f.run != (token{}) && f.run != run && n < len(l) {
			l[n] = f
			n++
		}
	}
	return l
}

// last is the newest number of a run that is committed.
func (p txnPosition) last(run token) (number int64, known bool) {
	if run == p.run {
		return p.number, true
	}
	for _, f := range p.before {
		if f.run == run {
			return f.number, true
		}
	}
	return 0, false
}

// goal is what a lane's writer wants of its transactions.
type goal uint8

const (
	toOpen    goal = iota // what the state holds is in the log, and the position says that this writer is the one
	toWrite               // batches are sent as they come
	toPrepare             // all batches are acknowledged, and the position is in the transaction
	toCommit              // the transaction is committed
)

// step is what has to be done next.
type step uint8

const (
	stepNone  step = iota // the goal is reached
	stepFence             // get a new epoch for the transactional id: no writer before can go on, and what was open is aborted
	stepLook              // read the position
	stepSend              // send the batches of the transaction at hand that are not acknowledged
	stepMark              // add the position to the transaction
	stepEnd               // commit the transaction
)

func (s step) String() string {
	return [...]string{"none", "fence", "look", "send", "mark", "end"}[s]
}

// txnCore is a lane's transactions, without the lane: it says what to do, and is told
// what came of it. It is pure, and knows of batches only whether there are any.
//
// Transactions of a run have numbers, and each commits its own as an offset of a group:
// so that who is in doubt whether a transaction was committed fences, looks, and knows.
// Nobody ever commits another's transaction: one that is missing is written again.
//
// Who opens writes the position again, with a life of its own, in a transaction: a
// writer that was fenced can tell by it whether another one has come (and gives up), or
// the broker has aborted a transaction that took too long (and writes it again).
//
// Invariant: a batch is sent only between a look and the next trouble, so that it is
// known not to be committed yet.
type txnCore struct {
	run, life token
	fresh     token  // the run, if that of the state can't be gone on with
	from      *saved // what the writer was opened with; nil: a new run

	number int64 // of the newest transaction that is committed
	before lineage
	goal   goal
	full   bool // the transaction at hand has batches
	fenced bool
	looked bool
	marked bool
}

// saved is a state without its batches.
type saved struct {
	run    token
	number int64 // of its transaction; of the newest one if it has no batches
	full   bool  // there are batches
}

func newTxnCore(from *saved, fresh, life token) *txnCore {
	c := &txnCore{run: fresh, fresh: fresh, life: life, from: from}
	if from != nil {
		c.full = from.full && !plant.Is(plant.StateDropped)
	}
	return c
}

// next says what to do; sent is whether all batches of the transaction at hand are
// acknowledged.
func (c *txnCore) next(sent bool) step {
	switch {
	case plant.Is(plant.LookBeforeFence) && !c.looked:
		return stepLook
	case !c.fenced:
		return stepFence
	case !c.looked:
		return stepLook
	case c.full && !sent:
		return stepSend
	case c.goal == toWrite, !c.full && c.goal != toOpen:
		return stepNone
	case c.goal == toOpen && !c.full && plant.Is(plant.NoMark):
		return stepEnd
	case !c.marked:
		return stepMark
	case c.goal == toPrepare:
		return stepNone
	}
	return stepEnd
}

// wrote says that there is a batch for the transaction at hand.
func (c *txnCore) wrote() { c.full = true }

// want sets the goal. There may be a commit of nothing.
func (c *txnCore) want(g goal) {
	c.goal = g
	if g == toCommit && !c.full {
		c.goal = toWrite
	}
}

// target is the position that the transaction at hand commits.
func (c *txnCore) target() txnPosition {
	p := txnPosition{c.number, c.run, c.life, c.before}
	if c.full {
		p.number++
	}
	return p
}

// done says that a step went well; look has its own.
func (c *txnCore) done(s step) {
	switch s {
	case stepFence:
		c.fenced = true
	case stepMark:
		c.marked = true
	case stepEnd:
		c.ended()
	}
}

func (c *txnCore) ended() {
	c.number = c.target().number
	c.goal, c.full, c.marked = toWrite, false, false
}

// lost says that a step may have been done or not, or that the transaction is no more.
// Then all batches of the transaction at hand count as not acknowledged.
func (c *txnCore) lost(s step) {
	if s == stepEnd && plant.Is(plant.EndBelieved) {
		c.ended()
		return
	}
	c.fenced, c.marked = false, false
	c.looked = plant.Is(plant.NoLook) && c.goal != toOpen
}

// look says what was found behind the fence. in says that the batches of the
// transaction at hand are in the log, and must not be sent again.
func (c *txnCore) look(p txnPosition, found bool) (in bool, err error) {
	c.looked = true
	switch {
	case found && p.life == c.life: // the newest is our own
		if c.goal == toOpen || p.number == c.number+1 && c.goal == toCommit {
			c.number, c.run, c.before = p.number, p.run, p.before
			c.goal, c.full = toWrite, false
			return true, nil
		}
		if p.number != c.number {
			return false, fmt.Errorf("the position is %d, and transaction %d was never ended", p.number, c.number+1)
		}
		return false, nil
	case c.goal == toOpen:
		return c.resume(p, found)
	case found && !plant.Is(plant.OtherIgnored):
		return false, ErrFenced
	}
	return false, nil // forgotten while the writer lives: it has committed nothing for so long
}

// resume finds out what became of the transaction that the state holds.
func (c *txnCore) resume(p txnPosition, found bool) (in bool, err error) {
	from := c.from
	if from == nil {
		c.begin(p)
		return false, nil
	}
	last, known := p.last(from.run)
	switch {
	case !found && from.full, known && last < from.number-1:
		return false, errForgotten
	case !found, p.run == from.run && last == from.number && !plant.Is(plant.OffByOne): // all is there, and nothing behind it
		in, c.full = from.full, false
		c.run, c.number, c.before = from.run, from.number, p.before
		return in, nil
	case !from.full:
		c.begin(p)
		return false, nil
	case !known:
		return false, errForeign
	case last >= from.number && !plant.Is(plant.OffByOne): // an old checkpoint: what came behind it stays
		c.full = false
		c.begin(p)
		return true, nil
	}
	c.run, c.number, c.before = from.run, from.number-1, p.before
	if p.run != from.run {
		c.before = p.behind(from.run)
	}
	return false, nil
}

// begin begins a run behind the one that p is of.
func (c *txnCore) begin(p txnPosition) {
	c.run, c.number, c.before = c.fresh, p.number, p.behind(c.fresh)
}

// assume goes on behind p where look did not know: the transaction of the state is
// there, or not.
func (c *txnCore) assume(p txnPosition, in bool) {
	c.full = c.full && !in
	c.begin(p)
}
