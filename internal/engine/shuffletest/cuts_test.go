package shuffletest

import (
	"context"
	"maps"
	"math/rand/v2"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/engine"
)

// cuts are consistent cuts of a job, and its ways back to the last complete one. What
// happens goes by chance, whenever an epoch is committed. The job's lock guards all.
type cuts struct {
	rnd       *rand.Rand
	rollbacks int // that are left

	gen      int      // rises with each rollback
	asked    bool     // slots are to be part of a cut
	next     snapshot // all are, and it is not complete yet; nil: there is none
	wait     int      // epochs until it is
	last     snapshot // that is complete; nil: the start of the job
	complete int
	givenUp  int
	back     int // rollbacks so far
}

// snapshot is a cut: by slot.
type snapshot []saved

type saved struct {
	store *commit.Memory
	told  map[int]engine.Mark
	sent  map[class]int // to this slot
	epoch uint64
	gen   int
}

// part is a slot's part in the cuts of its job.
type part struct {
	runGen int // of the run
	cuts   *engine.Cuts
	tagged bool // the epoch that ends next is too late for the cut that is asked for
	joined bool // an epoch that is part of it is committed
	deaf   bool // it has not heard of the last complete cut
	named  map[int]uint64
}

// begin begins a run of the slot, from the last cut if the job has gone back to it.
func (m *member) begin() *engine.Cuts {
	c := m.job.cuts
	if c == nil {
		return nil
	}
	if m.runGen < c.gen {
		m.runGen, m.ended, m.dirty = c.gen, false, true
		m.Memory, m.told = commit.NewMemory(), map[int]engine.Mark{}
		if c.last != nil {
			m.Memory, m.told = copied(c.last[m.slot].store), maps.Clone(c.last[m.slot].told)
		}
	}
	m.cuts = engine.NewCuts(func() bool {
		m.job.mu.Lock()
		defer m.job.mu.Unlock()
		return c.asked && !m.tagged
	})
	m.deaf = true
	return m.cuts
}

// abandoned reports that the job has gone back since the run began.
func (m *member) abandoned() bool { return m.job.cuts != nil && m.runGen < m.job.cuts.gen }

// runsAgain waits, when a slot has come to its end, until all have: false; or the job
// goes back: true.
func (m *member) runsAgain(ctx context.Context) (again bool) {
	j := m.job
	if j.cuts == nil {
		return false
	}
	j.mu.Lock()
	m.ended, m.joined = true, true
	j.tell()
	j.mu.Unlock()
	j.await(ctx, func() bool {
		again = m.abandoned()
		for _, o := range j.slots {
			if !o.ended || o.abandoned() {
				return again
			}
		}
		return true
	})
	return again
}

// tag is what a slot does when it cuts.
func (m *member) tag() {
	if c := m.job.cuts; c != nil && c.asked {
		m.tagged = true
	}
}

// committed lets chance decide what becomes of the job's cuts.
func (m *member) committed() {
	c, j := m.job.cuts, m.job
	if c == nil {
		return
	}
	m.joined = m.joined || m.tagged
	if m.deaf && c.rnd.IntN(3) == 0 {
		m.hear()
	}
	switch {
	case c.rollbacks > 0 && c.rnd.IntN(60) == 0:
		j.goBack()
	case c.next != nil && c.wait > 0:
		c.wait--
	case c.next != nil && c.rnd.IntN(4) == 0:
		c.next = nil
		c.givenUp++
	case c.next != nil:
		j.finish()
	case c.asked:
		for _, o := range j.slots {
			if !o.joined {
				return
			}
		}
		c.next, c.wait, c.asked = j.snap(), c.rnd.IntN(6), false
	case c.rnd.IntN(3) == 0:
		c.asked = true
		for _, o := range j.slots {
			o.tagged, o.joined = false, o.ended
		}
	}
}

// finish completes the cut.
func (j *job) finish() {
	c := j.cuts
	c.last, c.next = c.next, nil
	c.complete++
	for _, m := range j.slots {
		s := c.last[m.slot]
		if m.named == nil {
			m.named = map[int]uint64{}
		}
		m.named[s.gen] = max(m.named[s.gen], s.epoch)
		if m.deaf = c.rnd.IntN(2) == 0; !m.deaf {
			m.hear()
		}
	}
}

// hear tells a slot how far the last complete cut is.
func (m *member) hear() {
	if m.deaf = false; m.job.cuts.last != nil {
		m.cuts.Finalise(m.job.cuts.last[m.slot].epoch)
	}
}

// goBack sends all slots back to the last complete cut.
func (j *job) goBack() {
	c := j.cuts
	c.gen++
	c.back++
	c.rollbacks--
	c.asked, c.next = false, nil
	for _, m := range j.slots {
		for cl, b := range m.in {
			n := 0
			if c.last != nil {
				n = c.last[m.slot].sent[cl]
			}
			b.list = b.list[:n:n]
			b.next, b.cut, b.durable = min(b.next, n), min(b.cut, n), min(b.durable, n)
		}
		if m.kill != nil {
			m.kill(errKilled)
		}
	}
}

// snap is the job as it is committed now.
func (j *job) snap() (all snapshot) {
	for _, m := range j.slots {
		s := saved{store: copied(m.Memory), told: maps.Clone(m.told), sent: map[class]int{}, gen: m.runGen}
		if rec := m.Last(); rec != nil {
			s.epoch = rec.Epoch
		}
		for cl, b := range m.in {
			s.sent[cl] = len(b.list)
		}
		all = append(all, s)
	}
	return all
}

// copied is a store with the newest epoch of another.
func copied(of *commit.Memory) *commit.Memory {
	to := commit.NewMemory()
	last := of.Last()
	if last == nil {
		return to
	}
	e := to.Begin(last.Lanes)
	_ = of.Rows(commit.Want{}, func(r commit.Row) error {
		w := e.Lane(max(r.Lane, 0))
		w.Node(r.Node)
		w.Put(r.Group, r.Key, r.Val)
		return nil
	})
	rec := *last
	_ = e.Commit(&rec)
	rec.Epoch = last.Epoch
	return to
}
