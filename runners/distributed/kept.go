package distributed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	protocol "github.com/millrace/millrace/internal/host"
	"github.com/millrace/millrace/internal/natsbus"
)

// leadSlots leads the cuts of the job, and makes room for what it keeps, if it is the first
// to do so. Slots wait for that.
func leadSlots(ctx context.Context, c *config, bus *natsbus.Bus, m *protocol.LeaderMeter, rests *protocol.Rests, groups *protocol.Groups, first bool, began func(term uint64, goesOn bool), note func(text string)) error {
	store, err := natsbus.OpenStore(c.bus())
	if err != nil {
		return err
	}
	defer store.Close()
	if first {
		if err := c.makeRoomSoon(ctx, store, note); err != nil {
			return err
		}
	} else if over, _, err := store.Acceptor().Read(ctx, overKey); errors.Is(err, natsbus.ErrNoStore) || string(over) == isOver {
		return errOver
	}
	return protocol.Lead(ctx, protocol.LeaderConfig{
		Slots: c.slots, Control: bus.Control(), Acceptors: []protocol.Acceptor{store.Acceptor()}, Stale: natsbus.ErrStale,
		Objects: store.Objects(), CutEvery: c.cut, Began: began, Note: note, Meter: m, Rests: rests, Groups: groups,
	})
}

// endSlots deletes what a job has kept that is over, or if another run may go on with it, notes
// that it is over until then: who was cut off must not go on with it by itself.
func endSlots(ctx context.Context, c *config, keep bool) error {
	store, err := natsbus.OpenStore(c.bus())
	if err != nil {
		return err
	}
	defer store.Close()
	end := func(ctx context.Context) error {
		if keep {
			return noteDown(ctx, store.Acceptor(), overKey, isOver)
		}
		return store.Forget(ctx)
	}
	if c.replicas > 1 { // one of the servers may have died just now
		return agreed(ctx, func() error { return end(ctx) }, func(error) {})
	}
	ctx, cancel := context.WithTimeout(ctx, answerMost)
	defer cancel()
	return end(ctx)
}

// A cluster of servers that has just begun, or has lost one, agrees upon who leads within some
// seconds.
const (
	agreeAgain = 100 * time.Millisecond
	agreeMost  = time.Minute
)

// makeRoomSoon is makeRoom as soon as the servers have agreed upon who leads.
func (c *config) makeRoomSoon(ctx context.Context, store *natsbus.Store, note func(text string)) error {
	return agreed(ctx, func() error { return c.makeRoom(ctx, store) }, func(err error) {
		note(fmt.Sprintf("the NATS servers don't keep anything yet, and the job waits for up to %v: %v", agreeMost, err))
	})
}

// agreed calls do again as long as it fails because servers have not agreed upon who leads, or
// are not reached, for agreeMost at most. waits is told of that once.
func agreed(ctx context.Context, do func() error, waits func(err error)) error {
	for began, said := time.Now(), false; ; {
		err := do()
		begins := errors.Is(err, natsbus.ErrUnready) || errors.Is(err, natsbus.ErrNoPeers) || errors.Is(err, natsbus.ErrLost)
		if !begins || time.Since(began) > agreeMost {
			return err
		}
		if !said {
			said = true
			waits(err)
		}
		select {
		case <-time.After(agreeAgain):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// overKey is the register that has isOver when the job is over, and what it keeps is not
// deleted.
const (
	overKey = "over"
	isOver  = "yes"
	notOver = "no"
)

// noteDown puts a value into a register, whatever it has.
func noteDown(ctx context.Context, kept protocol.Acceptor, key, val string) error {
	for {
		old, version, err := kept.Read(ctx, key)
		if err != nil || string(old) == val {
			return err
		}
		if _, err = kept.CAS(ctx, key, []byte(val), version); !errors.Is(err, natsbus.ErrStale) {
			return err
		}
	}
}

// makeRoom makes room for what the job keeps. What is there already has to be of the same job.
func (c *config) makeRoom(ctx context.Context, store *natsbus.Store) error {
	err := store.Acceptor().Create(ctx)
	if err == nil {
		err = store.Changelog().Create(ctx, 0)
	}
	if err == nil {
		err = store.Copies().Create(ctx, 0)
	}
	if err == nil {
		err = store.Objects().Create(ctx, 0)
	}
	if other, ok := errors.AsType[*natsbus.ReplicasError](err); ok {
		return fmt.Errorf("make room for the job: %w: go on with -replicas=%d", err, other.Has)
	}
	if err != nil {
		return fmt.Errorf("make room for the job: %w", err)
	}
	if err := c.agree(ctx, store.Acceptor(), func() error { return c.begin(ctx, store.Objects()) }); err != nil {
		return err
	}
	return noteDown(ctx, store.Acceptor(), overKey, notOver)
}

// shape is what a job can't change while it keeps state.
type shape struct {
	Slots int           `json:"slots"`
	Lanes int           `json:"lanes"`
	Graph cluster.Graph `json:"graph"`
}

// shapeKey is the register that has the shape. It is written once.
const shapeKey = "shape"

// agree notes the shape of the job, behind what anew does, or compares it with that of what
// is kept.
func (c *config) agree(ctx context.Context, kept protocol.Acceptor, anew func() error) error {
	now := shape{c.slots, c.lanes, c.graph.Lasting()}
	b, err := json.Marshal(now)
	if err != nil {
		return fmt.Errorf("note what the job is: %w", err)
	}
	for {
		old, version, err := kept.Read(ctx, shapeKey)
		if err == nil && version == 0 {
			if err := anew(); err != nil {
				return err
			}
			_, err = kept.CAS(ctx, shapeKey, b, 0)
		}
		switch {
		case errors.Is(err, natsbus.ErrStale):
			continue // somebody else was first
		case err != nil:
			return fmt.Errorf("compare the job with what is kept: %w", err)
		case version == 0:
			return nil
		}
		var was shape
		if err := json.Unmarshal(old, &was); err != nil {
			return fmt.Errorf("compare the job with what is kept: %w", err)
		}
		return now.fits(&was)
	}
}

// fits fails if s can't go on with what was kept.
func (s *shape) fits(was *shape) error {
	const anew = "or begin anew: cancel it with the program that began it, or take another -job or -state-dir"
	switch {
	case s.Slots != was.Slots:
		return fmt.Errorf("what the job has kept is of %d slots, and this is one of %d: give -slots=%d, %s", was.Slots, s.Slots, was.Slots, anew)
	case s.Lanes != was.Lanes:
		return fmt.Errorf("what the job has kept is of %d lanes in each slot, and this is one of %d: give -parallelism=%d, %s", was.Lanes, s.Lanes, was.Lanes, anew)
	case s.Graph.Hash != was.Graph.Hash:
		return fmt.Errorf("what the job has kept is of another pipeline: go on with the program that began it, %s:\n%s", anew, cluster.Diff(was.Graph, s.Graph))
	}
	return nil
}
