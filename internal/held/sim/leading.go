package sim

import "github.com/millrace/millrace/internal/held"

// leading drives a leader in a process.
type leading struct {
	p    *proc
	reg  *client
	core *held.Leader
}

// lead begins to lead in a process.
func (w *world) lead(p *proc) {
	l := &leading{p: p}
	p.leads = l
	w.count.Leaders++
	l.reg = w.client(p, "job", l.isGone, l.phase, func() { p.leads = nil })
	l.reg.takeOver()
}

func (l *leading) isGone() bool { return l.p.leads != l }

func (l *leading) phase() {
	w := l.p.w
	switch l.reg.reg.Phase() {
	case held.NotTaken:
		l.p.after(w.between(ms(5), ms(25)), func() {
			if !l.isGone() {
				l.reg.takeOver()
			}
		})
	case held.Taken:
		var job *held.Job
		if b := l.reg.reg.Value(); b != nil {
			job = &held.Job{}
			must(held.Decode(b, job))
		}
		l.core = held.NewLeader(held.LeaderConfig{Slots: w.plan.Slots, Owner: w.plan.firstOwner(), CutEvery: w.plan.CutEvery, GiveUp: ms(120), Tell: ms(10), Silent: w.plan.Stand}, job, w.now)
		l.core.Drain(w.drains)
		l.drive()
		l.p.every(ms(4), ms(6), func() bool {
			if !l.isGone() {
				l.core.Tick(w.now)
				l.drive()
			}
			return !l.isGone()
		})
	case held.Put:
		l.core.Durable(w.now)
		l.drive()
	case held.Fenced:
		w.note("leader is fenced", uint64(l.p.id))
		l.p.leads = nil
	}
}

func (l *leading) state(b []byte) {
	if l == nil || l.core == nil {
		return
	}
	m := &held.State{}
	must(held.Decode(b, m))
	l.core.State(m, l.p.w.now)
	l.drive()
}

func (l *leading) drive() {
	for _, a := range l.core.Acts() {
		switch a := a.(type) {
		case held.PutJob:
			if cut, _, yes := l.core.Rested(); yes && a.Job.Cut > cut {
				l.p.w.oracle.wrong("I5: cut %d follows cut %d, of which a savepoint is being made", a.Job.Cut, cut)
			}
			if cut, _, yes := l.core.Drained(); yes && a.Job.Cut > cut {
				l.p.w.oracle.wrong("I5: cut %d follows cut %d, which is to be the last", a.Job.Cut, cut)
			}
			l.reg.put(held.Append(nil, a.Job))
		case held.Fetch:
			l.fetch(a)
		case held.Look:
			l.look(a)
		case held.SendNews:
			l.tell(&a.News)
		case held.Stop:
			l.p.w.note("leader stops", uint64(l.p.id))
			l.p.leads = nil
			return
		}
	}
}

// fetch reads records: those of tags by their names, others in registers.
func (l *leading) fetch(f held.Fetch) {
	w := l.p.w
	records := make([]*held.Record, len(f.At))
	w.count.Fetched++
	for i, at := range f.At {
		if at != (held.Ident{}) {
			records[i] = &held.Record{}
			must(held.Decode(w.objects.records[recordID{i, at}], records[i]))
			continue
		}
		l.p.confirmed(slotKey(i), l.isGone, func(b []byte) {
			if b == nil {
				return
			}
			r := &held.Record{}
			must(held.Decode(b, r))
			w.objects.records[recordID{i, r.Ident()}] = b
			records[i] = r
		})
	}
	l.p.after(ms(10), func() {
		if !l.isGone() {
			l.core.Fetched(f, records, w.now)
			l.drive()
		}
	})
}

// look reads the records of a complete cut.
func (l *leading) look(a held.Look) {
	w := l.p.w
	records := make([]*held.Record, len(a.At))
	for i, at := range a.At {
		records[i] = &held.Record{}
		must(held.Decode(w.objects.records[recordID{i, at}], records[i]))
	}
	l.p.after(ms(3), func() {
		if l.isGone() {
			return
		}
		quiet := held.Quiet(records)
		l.core.Looked(a.Cut, quiet, held.Shown(a.Cut, a.Since, records))
		if _, _, yes := l.core.Rested(); yes {
			w.oracle.rested(records)
		}
		if _, _, yes := l.core.Drained(); yes {
			w.oracle.rested(records)
			w.oracle.drained(l, records)
		}
		l.drive()
	})
}

// tell sends news to all processes.
func (l *leading) tell(m *held.News) {
	w := l.p.w
	b := held.Append(nil, m)
	for _, p := range w.procs {
		w.send(l.p.id, p.id, func() { p.run(p.life, func() { p.news(b) }) })
	}
}

// news takes what a leader tells to those who run here.
func (p *proc) news(b []byte) {
	if p.deaf > p.w.now && !p.w.healed {
		return
	}
	m := &held.News{}
	must(held.Decode(b, m))
	if p.job == nil || m.Job.Version > p.job.Job.Version || m.Job.Version == p.job.Job.Version && m.Told > p.job.Told {
		p.job = m
	}
	for _, h := range append([]*host(nil), p.hosts...) {
		if !h.gone && h.core != nil {
			h.core.News(m, p.w.now)
			h.drive()
		}
	}
}
