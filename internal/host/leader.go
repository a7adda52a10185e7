package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/held"
)

// LeaderConfig of a leader. Timing fields that are 0 mean the default.
type LeaderConfig struct {
	Slots     int
	Control   Control
	Acceptors []Acceptor
	Stale     error
	Objects   Objects

	// Began is called when this one leads, with a number that is higher than those of all that
	// have led before, and whether there were any; may be nil.
	Began func(term uint64, goesOn bool)

	// Note takes what people are to know, one sentence at a time; may be nil.
	Note func(text string)

	Rests *Rests // may be nil: neither savepoints are wished for, nor that the job stops

	Groups *Groups // may be nil: key groups stay where they are

	CutEvery time.Duration // default 1 s
	GiveUp   time.Duration // before a cut that is not complete is given up; default 1 s
	Tell     time.Duration // default 50 ms
	Silent   time.Duration // before a silent slot is represented in a cut by its last record; default 300 ms

	Log   *slog.Logger // default: nothing is logged
	Meter *LeaderMeter // default: nothing is counted
}

// Lead leads the job until ctx ends, or until another one leads: then the error is
// [ErrReplaced].
func Lead(parent context.Context, cfg LeaderConfig) error {
	for _, x := range []struct {
		d   *time.Duration
		std time.Duration
	}{{&cfg.CutEvery, time.Second}, {&cfg.GiveUp, time.Second}, {&cfg.Tell, 50 * time.Millisecond}, {&cfg.Silent, 300 * time.Millisecond}} {
		if *x.d == 0 {
			*x.d = x.std
		}
	}
	if cfg.Meter == nil {
		cfg.Meter = &LeaderMeter{}
	}
	if cfg.Note == nil {
		cfg.Note = func(string) {}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	for {
		err := lead(parent, cfg)
		if !errors.Is(err, errStuck) {
			return err
		}
		cfg.Began = nil
		cfg.Log.Info("the job is taken over again", "error", err)
	}
}

// lead takes the job over and leads it.
func lead(parent context.Context, cfg LeaderConfig) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	start := time.Now()
	now := func() time.Duration { return time.Since(start) }
	reg := newRegister(ctx, jobKey, cfg.Acceptors, cfg.Stale, putMost)
	b, err := reg.takeOver()
	if err != nil {
		return err
	}
	var job *held.Job
	if b != nil {
		job = &held.Job{}
		if err := held.Decode(b, job); err != nil {
			return fmt.Errorf("the record of the job: %w", err)
		}
	}
	l := &leader{cfg: cfg, reg: reg, now: now, core: held.NewLeader(cfg.core(), job, now())}
	if job != nil {
		l.gen = job.Gen
	}
	stop, err := cfg.Control.ListenAll(func(b []byte) {
		if m, err := held.DecodeMessage(b); err == nil {
			if m, ok := m.(*held.State); ok {
				l.mu.Lock()
				defer l.mu.Unlock()
				l.core.State(m, now())
			}
		}
	})
	if err != nil {
		return err
	}
	defer stop()
	if cfg.Began != nil {
		cfg.Began(uint64(reg.core.Ballot()), job != nil)
	}
	l.ctx = ctx
	defer l.work.Wait()
	defer cancel(nil) // first: what is under way ends
	return l.run()
}

func (c *LeaderConfig) core() held.LeaderConfig {
	return held.LeaderConfig{Slots: c.Slots, Owner: firstOwner(c.Slots), CutEvery: c.CutEvery, GiveUp: c.GiveUp, Tell: c.Tell, Silent: c.Silent}
}

type leader struct {
	cfg  LeaderConfig
	ctx  context.Context
	reg  *register
	now  func() time.Duration
	work sync.WaitGroup

	mu       sync.Mutex // guards what follows
	core     *held.Leader
	gen      held.Gen     // of the newest record; 0: there is none yet
	cut      held.Cut     // the last complete one
	clearing bool         // records of older ones are being deleted
	cleared  held.Version // of which no slot needs what was taken out for it

	levelling // of who runs
}

// run does what the core decides.
func (l *leader) run() error {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		l.level()
		l.mu.Lock()
		l.cfg.Rests.drive(l.core)
		l.core.Tick(l.now())
		acts := l.core.Acts()
		l.mu.Unlock()
		for _, a := range acts {
			switch a := a.(type) {
			case held.SendNews:
				l.cfg.Meter.asks(a.News.Asked)
				if err := l.cfg.Control.TellAll(held.Append(nil, &a.News)); err != nil {
					return err
				}
			case held.PutJob:
				if err := l.put(a.Job); err != nil {
					return err
				}
			case held.Fetch:
				l.fetch(a)
			case held.Look:
				l.look(a)
			case held.Stop:
				return ErrReplaced
			}
		}
		select {
		case <-tick.C:
		case <-l.ctx.Done():
			return context.Cause(l.ctx)
		}
	}
}

func (l *leader) put(job *held.Job) error {
	if err := l.reg.put(held.Append(nil, job)); err != nil {
		return replaced(err)
	}
	was := l.groups()
	if was.Owner != nil && job.Groups.Version > was.Version {
		l.cfg.Note(fmt.Sprintf("%d of %d key groups move to other slots", moved(was.Owner, job.Groups.Owner), len(job.Groups.Owner)))
	}
	if l.durable(job) {
		l.cfg.Note(fmt.Sprintf("the job goes back to cut %d, as those are gone who had what has happened since", job.Cut))
	}
	return nil
}

// groups is the newest assignment that is durable.
func (l *leader) groups() held.Assignment {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.core.Job().Groups
}

// durable says that the job's record is; back is that with it the job goes back to its cut.
func (l *leader) durable(job *held.Job) (back bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.core.Durable(l.now())
	back = l.gen > 0 && job.Gen > l.gen
	l.cfg.Meter.durable(back, job.Cut)
	l.gen = job.Gen
	if job.Cut > l.cut && !l.clearing {
		l.cut, l.clearing = job.Cut, true
		l.work.Go(func() { l.clear(job) })
	}
	return back
}

// fetch reads the records that a cut could be complete with. One that can't be read is
// asked for again.
func (l *leader) fetch(f held.Fetch) {
	records := make([]*held.Record, len(f.At))
	var reads sync.WaitGroup
	for slot, at := range f.At {
		reads.Go(func() {
			r, err := l.record(slot, at)
			if err != nil && l.ctx.Err() == nil {
				l.cfg.Log.Warn("the record of a slot was not read for a cut; it will be tried again", "slot", slot, "error", err)
			}
			records[slot] = r
		})
	}
	reads.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.core.Fetched(f, records, l.now())
}

// record is the one that a slot has tagged, or if at is empty the one that is in its
// register, which is then kept by its name; nil if there is none.
func (l *leader) record(slot int, at held.Ident) (*held.Record, error) {
	ctx, cancel := context.WithTimeout(l.ctx, callMost)
	defer cancel()
	if at != (held.Ident{}) {
		return readRecord(ctx, l.cfg.Objects, slot, at)
	}
	b := confirmed(ctx, l.cfg.Acceptors, slotKey(slot))
	if b == nil {
		return nil, nil
	}
	r := &held.Record{}
	if err := held.Decode(b, r); err != nil {
		return nil, fmt.Errorf("the record of slot %d: %w", slot, err)
	}
	if _, err := readRecord(ctx, l.cfg.Objects, slot, r.Ident()); err == nil { // who reads it must not find it replaced
		return r, nil
	}
	return r, writeRecord(ctx, l.cfg.Objects, slot, r.Ident(), b)
}

// clear deletes records of slots that are older than those that the last complete cut
// names: nothing goes back to them. Slots are cleared beside each other, so that it keeps up
// with cuts.
func (l *leader) clear(job *held.Job) {
	err := l.clearGiven(job)
	names, e := l.cfg.Objects.List(l.ctx, "records/")
	err = errors.Join(err, e)
	old := make([][]string, len(job.At))
	for _, name := range names {
		if slot, at, ok := recordOf(name); ok && slot < len(job.At) && older(at, job.At[slot]) {
			old[slot] = append(old[slot], name)
		}
	}
	errs := make([]error, len(old))
	var deleting sync.WaitGroup
	for slot, names := range old {
		deleting.Go(func() {
			for _, name := range names {
				if errs[slot] = l.cfg.Objects.Delete(l.ctx, name); errs[slot] != nil {
					return
				}
			}
		})
	}
	deleting.Wait()
	if err = errors.Join(err, errors.Join(errs...)); err != nil && l.ctx.Err() == nil {
		l.cfg.Log.Warn("records of older cuts were not deleted; it will be tried again with the next cut", "error", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clearing = false
}

// clearGiven deletes what slots have taken out of their state for others: in a cut in which
// nothing is on its way, no record names it, and nothing goes back behind that cut.
func (l *leader) clearGiven(job *held.Job) error {
	if !job.Settled || job.Groups.Version <= l.cleared {
		return nil
	}
	names, err := l.cfg.Objects.List(l.ctx, "groups/")
	if err != nil {
		return err
	}
	for _, name := range names {
		if v, ok := givenOf(name); ok && v <= job.Groups.Version {
			if err := l.cfg.Objects.Delete(l.ctx, name); err != nil {
				return err
			}
		}
	}
	l.cleared = job.Groups.Version
	return nil
}

// older reports that a is a record of the same slot from before b. Incarnations rise, and
// with them generations.
func older(a, b held.Ident) bool { return a.Inc < b.Inc || a.Inc == b.Inc && a.Epoch < b.Epoch }
