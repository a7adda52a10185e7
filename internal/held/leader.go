package held

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/held/plant"
)

// LeaderConfig says how a leader is to lead.
type LeaderConfig struct {
	Slots    int
	Owner    []int         // by key group: its slot as the job begins; nil: no group ever moves
	CutEvery time.Duration // from one complete cut to asking for the next
	GiveUp   time.Duration // before a cut that is not complete is given up for the next
	Tell     time.Duration // between news
	Silent   time.Duration // before a silent slot may be represented by its last record; 0: never
}

// Leader decides about cuts and rollbacks. Its ballot of the job register fences it;
// the data flow does not need it.
type Leader struct {
	cfg     LeaderConfig
	job     Job
	putting *Job // not durable yet
	stopped bool

	owner  []int  // that an assignment is wanted for; nil: none is
	save   bool   // a savepoint is wished for
	drain  bool   // that the job comes to its last cut
	first  uint64 // the version of the job record that it began with
	before Cut    // the newest when that was wished: what was tagged for it may be older than the wish
	rest   rest   // on the way to either
	shown  bool   // the cut that was looked at last is good to stop at
	told   uint64 // how often
	asked  Cut    // 0: none is
	since  time.Duration
	next   time.Duration // when to ask for a cut, if none is asked for
	wrote  time.Duration // that the record was put
	tags   []Tag         // by slot: for asked
	slots  []lastHeard   // by slot
	fetch  time.Duration // that Fetch was said
	colour Cut           // the highest seen
	toldAt time.Duration
	now    time.Duration
	acts   []Act
}

// lastHeard is when the newest incarnation of a slot was heard of.
type lastHeard struct {
	inc Inc
	at  time.Duration
}

// NewLeader begins to lead behind job, which was found in the register that was taken
// over; nil is the start of a job.
func NewLeader(cfg LeaderConfig, job *Job, now time.Duration) *Leader {
	l := &Leader{cfg: cfg, now: now, next: now + cfg.CutEvery, tags: make([]Tag, cfg.Slots), slots: make([]lastHeard, cfg.Slots)}
	if job == nil {
		job = &Job{Gen: 1, At: make([]Ident, cfg.Slots), Settled: true, Groups: Assignment{Owner: cfg.Owner}}
	}
	if job.Groups.Owner == nil && job.Groups.Version == 0 { // of a version in which no group moved
		job.Groups.Owner = cfg.Owner
	}
	l.colour = job.Cut
	for i := range l.slots {
		l.slots[i].at = now
	}
	l.put(*job)
	l.first = l.putting.Version
	return l
}

// Acts gives what is to be done since the last time, in this order.
func (l *Leader) Acts() []Act {
	acts := l.acts
	l.acts = nil
	return acts
}

func (l *Leader) put(j Job) {
	j.Version++
	l.putting = &j
	l.acts = append(l.acts, PutJob{&j})
}

// Durable says that the record of the last [PutJob] is durable.
func (l *Leader) Durable(now time.Duration) {
	if l.stopped || l.putting == nil {
		return
	}
	l.now = now
	rolled, cut := l.putting.Gen > l.job.Gen, l.putting.Cut > l.job.Cut
	l.job, l.putting = *l.putting, nil
	if l.wrote = now; rolled || cut {
		l.next = now + l.cfg.CutEvery
	}
	if l.rest == tired { // by who leads since just now, or the job has gone back
		l.next = min(l.next, now+l.cfg.Tell)
	}
	if cut {
		l.look()
	}
	if !rolled || !plant.Is(plant.TagsOfOldGeneration) {
		l.asked = 0
	}
	l.tell()
}

// State takes what a slot tells.
func (l *Leader) State(m *State, now time.Duration) {
	if l.stopped || m.Slot >= l.cfg.Slots {
		return
	}
	l.now = now
	if m.Gen > max(l.job.Gen, l.latest().Gen) { // somebody else has led a rollback
		l.stopped = true
		l.acts = append(l.acts[:0], Stop{Outdated})
		return
	}
	if h := &l.slots[m.Slot]; m.Inc >= h.inc {
		h.inc, h.at = m.Inc, now
	}
	if m.Gen == l.job.Gen {
		l.colour = max(l.colour, m.Colour)
	}
	if l.putting != nil || m.Gen != l.job.Gen {
		return
	}
	if m.Lost {
		j := l.job
		j.Gen++
		l.put(j)
		return
	}
	if m.Waits {
		l.next = min(l.next, now+l.cfg.Tell)
	}
	l.tag(m)
}

// Job is the job record that stands.
func (l *Leader) Job() Job { return l.job }

// latest is the job record that is under way, or else the one that stands.
func (l *Leader) latest() *Job {
	if l.putting != nil {
		return l.putting
	}
	return &l.job
}

// tag takes a slot's part of the cut that is asked for, and completes the cut.
func (l *Leader) tag(m *State) {
	t := m.Tag
	if l.asked == 0 || t.Cut != l.asked {
		return
	}
	if t.Void && !plant.Is(plant.VoidCompletes) {
		l.asked, l.next = 0, l.now+l.cfg.Tell
		return
	}
	l.tags[m.Slot] = t
	j := l.job
	j.Cut, j.At, j.Settled = l.asked, make([]Ident, l.cfg.Slots), true
	for i, t := range l.tags {
		if plant.Is(plant.CutWithoutOne) && t.Cut != l.asked && l.job.At[i].Epoch > 0 {
			t.At = l.job.At[i]
		} else if t.Cut != l.asked || t.At.Gen != l.job.Gen && !plant.Is(plant.TagsOfOldGeneration) {
			return
		}
		j.At[i] = t.At
		j.Settled = j.Settled && t.Version == j.Groups.Version && !t.Moving
	}
	l.put(j)
}

// Assign wishes that key groups belong to other slots: owner says which, for each group.
// It is so when the last assignment is done everywhere and a complete cut says so; the
// driver repeats it as long as [Leader.Job] shows another one, as a leader forgets it
// with its end.
func (l *Leader) Assign(owner []int) {
	if slices.Equal(owner, l.latest().Groups.Owner) {
		owner = nil
	}
	l.owner = owner
}

// assign issues the assignment that is wanted.
func (l *Leader) assign() {
	j := l.job
	j.Groups = Assignment{Version: j.Groups.Version + 1, Owner: l.owner}
	j.Settled = false
	l.owner = nil
	l.put(j)
}

// ask names the next cut.
func (l *Leader) ask() {
	l.asked = max(l.asked, l.job.Cut, l.colour) + 1
	l.since = l.now
	clear(l.tags)
	l.tell()
}

// Tick says what time it is.
func (l *Leader) Tick(now time.Duration) {
	if l.stopped || l.putting != nil {
		return
	}
	l.now = now
	switch {
	case l.owner != nil && !l.drain && (l.job.Settled || plant.Is(plant.AssignedTooSoon)):
		l.assign()
	case now-l.wrote >= l.cfg.CutEvery+l.cfg.GiveUp:
		// Is this still the leader? If so, the record is where everybody can read it again.
		l.put(l.job)
	case l.asked == 0 && now >= l.next && !l.rest.holds(), l.asked > 0 && now-l.since >= l.cfg.GiveUp:
		l.ask()
	case l.asked > 0 && l.cfg.Silent > 0 && now-l.fetch >= l.cfg.Silent && l.onlySilent():
		l.fetch = now
		f := Fetch{Cut: l.asked, At: make([]Ident, l.cfg.Slots)}
		for i, t := range l.tags {
			f.At[i] = t.At
		}
		l.acts = append(l.acts, f)
	case now-l.toldAt >= l.cfg.Tell:
		l.tell()
	}
}

func (l *Leader) tell() {
	l.toldAt = l.now
	l.told++
	l.acts = append(l.acts, SendNews{News{Job: l.job, Asked: l.asked, Told: l.told, Rest: l.sources()}})
}

// onlySilent reports that the cut waits only for slots that are silent.
func (l *Leader) onlySilent() bool {
	tagged := 0
	for i, t := range l.tags {
		if t.Cut == l.asked {
			tagged++
		} else if l.now-l.slots[i].at < l.cfg.Silent {
			return false
		}
	}
	return tagged > 0
}

// Fetched takes the records that [Fetch] asked for; nil where there is none. The cut is
// complete with the last record of a silent slot, if nothing is under way that no record
// names a copy of, and each key group is in one place.
func (l *Leader) Fetched(f Fetch, records []*Record, now time.Duration) {
	if l.stopped || l.putting != nil || l.asked != f.Cut {
		return
	}
	l.now = now
	j := l.job
	j.Cut, j.At, j.Settled = l.asked, make([]Ident, l.cfg.Slots), true
	for i, r := range records {
		if r == nil || r.Gen != l.job.Gen {
			return
		}
		j.At[i] = r.Ident()
		j.Settled = j.Settled && r.Groups.Version == j.Groups.Version && r.Groups.settled()
		for k, o := range records {
			if i != k && (o == nil || !carries(r, o) && !plant.Is(plant.SilentAnyway)) {
				return
			}
		}
	}
	if !whole(records, l.cfg.Owner) && !plant.Is(plant.GroupsAnyway) {
		return
	}
	l.put(j)
}

// carries reports that a cut can have src beside dst: dst has applied nothing behind
// src, and what it has not applied has a copy that src names.
func carries(src, dst *Record) bool {
	at := dst.applied(src.Slot)
	for _, p := range at {
		if p.Epoch > src.Epoch+1 || p.Epoch == src.Epoch+1 && p.Frame > 0 {
			return false
		}
	}
	to := Epoch(0)
	if dst.Slot < len(src.Last) {
		to = src.Last[dst.Slot]
	}
	from := ended(at)
	for i := len(src.Kept) - 1; i >= 0 && to > from; i-- {
		if k := src.Kept[i]; k.Dst == dst.Slot && k.Epoch == to {
			to = k.Prev
		}
	}
	return to <= from
}
