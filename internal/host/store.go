package host

import (
	"fmt"
	"sync"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/held"
)

// store is the [commit.Store] of a [Host]: an epoch is committed when its changes are in
// the changelog, receivers hold its frames, and its record is in the slot's register.
type store struct {
	chain
	h     *Host
	rows  *rows // what the incarnation began with; let go with the first epoch
	last  *commit.Record
	joint bool      // last is of a savepoint
	spare sync.Pool // of *[]byte: memory of lanes that were committed
}

// laneMost is the most memory of a lane that is kept for the next epochs, until it is collected.
const laneMost = 16 << 20

// restoreStore is the store behind rec, of which m is the image. nil is the start of the
// job, and m what that begins with.
func restoreStore(h *Host, rec *held.Record, m *image) *store {
	s := &store{h: h, chain: m.chain, rows: m.rows, joint: rec == nil}
	if last := m.rows.last; last != nil {
		s.last = new(*last)
		s.last.Epoch = 0
	}
	if s.last != nil && rec != nil {
		s.last.Epoch = uint64(rec.Epoch)
	}
	return s
}

// Joint implements [commit.Joint].
func (s *store) Joint() bool { return s.joint }

func (s *store) Last() *commit.Record { return s.last }
func (s *store) Close() error         { return nil }

func (s *store) WantsWhole() bool       { return s.wanted() == allParts }
func (s *store) WantsPart() commit.Part { return s.wanted().wants() }
func (s *store) wanted() part           { return s.next(s.h.cfg.chunksMost) }

func (s *store) Rows(want commit.Want, f func(commit.Row) error) error {
	if s.rows == nil {
		panic("BUG: host: rows are wanted behind the first epoch of an incarnation")
	}
	return s.rows.each(want, f)
}

func (s *store) Begin(lanes int) commit.Epoch {
	e := &epoch{s: s, of: s.wanted()}
	for range lanes {
		var b []byte
		if spare, ok := s.spare.Get().(*[]byte); ok {
			b = *spare
		}
		e.lanes = append(e.lanes, commit.NewRowLog(b))
	}
	return e
}

type epoch struct {
	s     *store
	of    part // what it holds all rows of
	lanes []*commit.RowLog
}

func (e *epoch) Whole()                          { e.of = allParts }
func (e *epoch) Relaned()                        { panic("BUG: host: the number of lanes has changed") }
func (e *epoch) Lane(lane int) commit.LaneWriter { return e.lanes[lane] }
func (e *epoch) Discard()                        {}

// Commit waits until the epoch is committed, or never will be.
func (e *epoch) Commit(rec *commit.Record) error {
	s, h := e.s, e.s.h
	id := h.cutting()
	rec.Epoch = uint64(id.Epoch)
	chunk := makeChunk(e.of, e.lanes, rec)
	s.grow(id, e.of, chunk...)
	pieces := split(nil, chunkOf(id), chunk...)
	for _, l := range e.lanes {
		if b := l.Bytes()[:0]; 0 < cap(b) && cap(b) <= laneMost {
			s.spare.Put(&b)
		}
	}
	e.lanes, chunk = nil, nil // there may be much of it
	if err := h.keepGiven(); err != nil {
		return err
	}
	err := h.append(&h.log, []thing{chunkOf(id)}, pieces, func() (_, last uint64, err error) {
		return h.cfg.Changes.Append(h.ctx, h.cfg.Slot, pieces...)
	})
	if err != nil {
		return fmt.Errorf("slot %d: %w", h.cfg.Slot, err)
	}
	s.rows, s.last, s.joint = nil, rec, false
	return h.commitChunks(id.Epoch, s.named)
}
