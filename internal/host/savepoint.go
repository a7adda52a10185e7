package host

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/internal/held"
)

// Rests is where a leader is asked to bring its job to a cut in which nothing is under way,
// for a savepoint, or to stop there. The zero value wishes for none.
type Rests struct {
	mu    sync.Mutex // guards what follows
	until time.Time
	ended bool          // the leader is to be told that the last wish has ended
	at    []held.Ident  // nil: it is not at rest
	drain bool          // the job is to come to its last cut
	last  held.Cut      // that it has come to; 0: it has not
	found chan struct{} // closed when there is something new; nil: nobody waits
}

// Wish wishes for such a cut, which is then kept, for d from now on. It is to be repeated
// as long as the savepoint is being read.
func (r *Rests) Wish(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.until = time.Now().Add(d)
}

// End ends the wish.
func (r *Rests) End() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.until, r.at, r.ended = time.Time{}, nil, true
}

// At waits until the job is at rest, and gives the records of its slots.
func (r *Rests) At(ctx context.Context) ([]held.Ident, error) {
	var at []held.Ident
	err := r.await(ctx, func() bool { at = r.at; return at != nil })
	return at, err
}

// Drain wishes that the job comes to a cut behind which nothing is read and nothing is left to
// be shown, and stays there; or that it does not.
func (r *Rests) Drain(yes bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.drain = yes; !yes {
		r.last = 0
	}
}

// Drained waits until the job has come to its last cut.
func (r *Rests) Drained(ctx context.Context) (last held.Cut, err error) {
	err = r.await(ctx, func() bool { last = r.last; return last > 0 })
	return last, err
}

// Stands says that the job has come to its last cut.
func (r *Rests) Stands(at held.Cut) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = at
	r.tell()
}

// await waits until ok, which is asked with mu held.
func (r *Rests) await(ctx context.Context, ok func() bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !ok() {
		if r.found == nil {
			r.found = make(chan struct{})
		}
		found := r.found
		r.mu.Unlock()
		select {
		case <-found:
		case <-ctx.Done():
		}
		r.mu.Lock()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// tell tells those who wait that there is something new. mu is held.
func (r *Rests) tell() {
	if r.found != nil {
		close(r.found)
		r.found = nil
	}
}

// drive tells a leader what is wished for, and who waits what it has come to.
func (r *Rests) drive(l *held.Leader) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		l.Rest(false)
		r.ended = false
	}
	wished := time.Now().Before(r.until)
	l.Rest(wished)
	_, at, yes := l.Rested()
	if r.at = nil; wished && yes {
		r.at = at
		r.tell()
	}
	l.Drain(r.drain)
	r.last = 0
	if cut, _, yes := l.Drained(); r.drain && yes {
		r.last = cut
		r.tell()
	}
}

// look reads the records of a cut, for the core to see what is under way in it. What can't
// be read is looked for in the next cut.
func (l *leader) look(a held.Look) {
	records, read := make([]*held.Record, len(a.At)), true
	for slot, at := range a.At {
		if at == (held.Ident{}) {
			continue
		}
		r, err := l.record(slot, at)
		if read = err == nil; !read {
			l.cfg.Log.Warn("the record of a slot was not read to see whether the job is at rest; it will be tried with the next cut", "slot", slot, "error", err)
			break
		}
		records[slot] = r
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.core.Looked(a.Cut, read && held.Quiet(records), held.Shown(a.Cut, a.Since, records))
}

// Savepoint is a job at rest.
type Savepoint struct {
	engine.Joiner
	At      []held.Ident // of [Rests.At]
	Changes Changelog
	Objects Objects
}

// Read calls put with each row of the job, and gives its record. It holds the rows of one
// slot in memory at a time. The error is [engine.ErrNotFinal] where outputs wait for a
// later cut.
func (s *Savepoint) Read(ctx context.Context, put func(commit.Row) error) (*commit.Record, error) {
	var recs []*commit.Record
	views := map[string]bool{} // rows of views that were put
	for slot, at := range s.At {
		rows, err := s.slot(ctx, slot, at)
		if err != nil {
			return nil, err
		}
		err = rows.each(commit.Want{}, func(r commit.Row) error {
			r, view, err := s.Row(slot, r)
			if name := r.Node + "\x00" + string(r.Key); view && err == nil {
				if views[name] {
					return nil
				}
				views[name] = true
			}
			if err != nil {
				return err
			}
			return put(r)
		})
		if err != nil {
			return nil, err
		}
		recs = append(recs, rows.last)
	}
	return engine.JoinRecords(recs, s.Lanes)
}

// slot is what a slot's record stands for.
func (s *Savepoint) slot(ctx context.Context, slot int, at held.Ident) (*rows, error) {
	if at == (held.Ident{}) {
		return &rows{}, nil
	}
	rec, err := readRecord(ctx, s.Objects, slot, at)
	if err != nil {
		return nil, err
	}
	m, err := imageOf(ctx, s.Changes, rec, nil)
	if err != nil {
		return nil, err
	}
	return m.rows, nil
}

// NoBeginning deletes what a job was to begin with that has not begun.
func NoBeginning(ctx context.Context, at Objects) error {
	names, err := at.List(ctx, beginPrefix)
	for _, name := range names {
		if err == nil {
			err = at.Delete(ctx, name)
		}
	}
	return err
}

// beginPrefix begins the names of what slots begin with.
const beginPrefix = "begin/"

func beginName(slot int) string { return fmt.Sprint(beginPrefix, slot) }

// Begin has a job of so many slots begin with a savepoint: what rows hands to its argument,
// each time that it is called, and rec. It is called before a slot runs, calls rows for each
// slot, and holds the rows of one in memory at a time.
func Begin(ctx context.Context, to Objects, join engine.Joiner, slots int, rec *commit.Record, rows func(put func(commit.Row) error) error) error {
	for slot := range slots {
		var logs []*commit.RowLog
		err := rows(func(r commit.Row) error {
			if !join.Has(slot, slots, r) {
				return nil
			}
			lane := max(r.Lane, 0) // that of a key counts for nothing
			for len(logs) <= lane {
				logs = append(logs, commit.NewRowLog(nil))
			}
			logs[lane].Node(r.Node)
			logs[lane].Put(r.Group, r.Key, r.Val)
			return nil
		})
		if err != nil {
			return err
		}
		b := bytes.Join(makeChunk(allParts, logs, rec), nil)
		if err := to.Put(ctx, beginName(slot), bytes.NewReader(b)); err != nil {
			return err
		}
	}
	return nil
}

// begin is what the slot begins with; nothing, where the job does not begin with a
// savepoint.
func (h *Host) begin() (*image, error) {
	ctx, cancel := context.WithTimeout(h.ctx, beginMost)
	defer cancel()
	m := newImage()
	names, err := h.cfg.Objects.List(ctx, beginPrefix)
	if err != nil || len(names) == 0 {
		return m, err
	}
	b, err := readObject(ctx, h.cfg.Objects, beginName(h.cfg.Slot))
	if err != nil {
		return nil, err
	}
	if err := m.rows.replay([][]byte{b}); err != nil {
		return nil, fmt.Errorf("what slot %d begins with: %w", h.cfg.Slot, err)
	}
	return m, nil
}

// beginMost is how long reading what a slot begins with may take.
const beginMost = 5 * time.Minute
