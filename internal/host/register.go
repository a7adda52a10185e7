package host

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/held"
)

// register is the owner's view of one register over all acceptors. It is for one
// goroutine at a time.
type register struct {
	ctx       context.Context // of all calls
	key       string
	acceptors []Acceptor
	stale     error         // what a refused CAS is
	most      time.Duration // for a put that only a takeover settles
	core      *held.Register
	answers   chan held.Answer
}

var errFenced = errors.New("somebody else has taken over")

// errStuck is what a put fails with that is not settled for long: one acceptor may be
// promised to who died over its takeover, and another be down. A takeover settles it.
var errStuck = errors.New("an acceptor has promised itself to somebody else, and the others don't suffice")

const (
	callMost   = time.Second // for an answer
	callAgain  = 20 * time.Millisecond
	putMost    = 3 * time.Second      // for a put that only a takeover settles, by default
	rivalPause = 5 * time.Millisecond // at least, before a takeover that a rival has spoilt is tried again
)

func newRegister(ctx context.Context, key string, acceptors []Acceptor, stale error, most time.Duration) *register {
	return &register{ctx: ctx, key: key, acceptors: acceptors, stale: stale, most: most, core: held.NewRegister(len(acceptors)), answers: make(chan held.Answer, 16)}
}

// takeOver makes this the owner. value is what was there, nil if there was nothing; it
// has to be put again before anything else.
func (r *register) takeOver() (value []byte, err error) {
	for {
		r.core.TakeOver(rand.Uint32())
		phase, err := r.until(nil, held.Taken, held.NotTaken)
		switch {
		case err != nil:
			return nil, fmt.Errorf("take over register %s: %w", r.key, err)
		case phase == held.Taken:
			return r.core.Value(), nil
		}
		select {
		case <-time.After(rivalPause + rand.N(4*rivalPause)):
		case <-r.ctx.Done():
			return nil, context.Cause(r.ctx)
		}
	}
}

// put replaces the value, and waits until acceptors that are away are back; errFenced when
// there is a newer owner, errStuck when that is not known: then it may have been put.
func (r *register) put(value []byte) error {
	r.core.Put(value)
	late := time.NewTimer(r.most)
	defer late.Stop()
	phase, err := r.until(late.C, held.Put, held.Fenced)
	if err == nil && phase == held.Fenced {
		err = errFenced
	}
	if err != nil {
		return fmt.Errorf("write register %s: %w", r.key, err)
	}
	return nil
}

// replaced makes a fence of who asked the reason for which it ends.
func replaced(err error) error {
	if errors.Is(err, errFenced) {
		return ErrReplaced
	}
	return err
}

// until asks the acceptors what the core wants to know, until it is at one of phases, or is
// stuck when it is late.
func (r *register) until(late <-chan time.Time, phases ...held.Phase) (held.Phase, error) {
	again := time.NewTicker(callAgain)
	defer again.Stop()
	isLate := false
	for {
		for _, c := range r.core.Calls() {
			go func() {
				select {
				case r.answers <- r.call(c):
				case <-r.ctx.Done():
				}
			}()
		}
		switch p := r.core.Phase(); {
		case slices.Contains(phases, p):
			return p, nil
		case isLate && r.core.Stuck():
			return 0, errStuck
		}
		select {
		case a := <-r.answers:
			r.core.Answer(a)
		case <-again.C:
			r.core.Tick()
		case <-late:
			isLate = true
		case <-r.ctx.Done():
			return 0, context.Cause(r.ctx)
		}
	}
}

func (r *register) call(c held.Call) held.Answer {
	ctx, cancel := context.WithTimeout(r.ctx, callMost)
	defer cancel()
	a := held.Answer{Server: c.Server, Number: c.Number}
	if c.CAS {
		version, err := r.acceptors[c.Server].CAS(ctx, r.key, held.Append(nil, &c.Cell), c.Expect)
		switch {
		case err == nil:
			a.Version = version
		case errors.Is(err, r.stale):
			a.Result = held.Stale
		default:
			a.Result = held.Unknown
		}
		return a
	}
	var err error
	if a.Cell, a.Version, err = readCell(ctx, r.acceptors[c.Server], r.key); err != nil {
		a.Result = held.Unknown
	}
	return a
}

func readCell(ctx context.Context, from Acceptor, key string) (c held.Cell, version uint64, err error) {
	b, version, err := from.Read(ctx, key)
	if err == nil && version > 0 {
		err = held.Decode(b, &c)
	}
	return c, version, err
}

// confirmed reads a register that belongs to somebody else: what a quorum holds, nil if
// there is nothing, or not the same one everywhere.
func confirmed(ctx context.Context, acceptors []Acceptor, key string) []byte {
	ctx, cancel := context.WithTimeout(ctx, callMost)
	defer cancel()
	found := make(chan *held.Cell, len(acceptors))
	for _, a := range acceptors {
		go func() {
			if c, _, err := readCell(ctx, a, key); err == nil {
				found <- &c
				return
			}
			found <- nil
		}()
	}
	var cells []held.Cell
	for range acceptors {
		if c := <-found; c != nil {
			cells = append(cells, *c)
		}
		if c, ok := held.Confirmed(cells, len(acceptors)); ok && c.Version > 0 {
			return c.Value
		}
	}
	return nil
}
