package sim

import (
	"slices"
	"time"

	"github.com/millrace/millrace/internal/held"
)

// fire does what a fault does.
func (w *world) fire(f Fault) {
	w.count.Faults[f.Kind]++
	w.note("*** "+f.Kind.String(), uint64(f.A), uint64(f.B))
	until := w.now + f.For
	switch f.Kind {
	case Crash:
		w.crash(w.procs[f.A], f.For)
	case Pause:
		if p := w.procs[f.A]; p.up && !p.paused {
			p.paused = true
			w.after(f.For, p.resume)
		}
	case Cut:
		w.block(f.A, f.B, until)
		if f.Both {
			w.block(f.B, f.A, until)
		}
	case Isolate:
		for _, p := range w.procs {
			w.block(f.A, p.id, until)
			w.block(p.id, f.A, until)
		}
	case Outage:
		a := w.acceptors[f.A]
		a.down = true
		w.after(f.For, func() { a.down = false })
	case Suspect:
		if p := w.procs[f.A]; p.up {
			w.host(p, f.B)
			if f.Both { // and somebody says that p is dead
				w.mourn(p)
			}
		}
	case Mute:
		w.procs[f.A].mute = until
	case Replace:
		w.replace(w.acceptors[f.A])
	case Assign:
		w.leaders(func(l *leading) {
			l.core.Assign(held.Spread(l.core.Job().Groups.Owner, w.plan.shares(f)))
		})
	case Rest:
		w.leaders(func(l *leading) { l.core.Rest(true) })
		w.after(f.For, w.wake)
	case Drain:
		if w.drains = true; f.Both {
			w.procs[f.A].deaf = w.now + f.For*3/4
		}
		w.leaders(func(l *leading) {
			if w.oracle.job == nil || l.core.Job().Version == w.oracle.job.Version { // one that was replaced does not hear of it
				l.core.Drain(true)
			}
		})
		w.after(f.For, w.fill)
	case Replay:
		for _, p := range w.procs {
			for _, h := range slices.Clone(p.hosts) {
				if p.up && !p.paused && h.slot == f.A && !h.gone && h.core != nil && h.core.Running() {
					h.fails()
				}
			}
		}
	case Lead:
		if p := w.procs[f.A]; p.up {
			w.lead(p)
		}
	}
}

// leaders calls f with all who lead, or think so.
func (w *world) leaders(f func(*leading)) {
	for _, p := range w.procs {
		if p.up && p.leads != nil && p.leads.core != nil {
			f(p.leads)
			p.leads.drive()
		}
	}
}

// wake ends a savepoint: when it is read, or was given up.
func (w *world) wake() {
	w.leaders(func(l *leading) { l.core.Rest(false) })
}

// fill lets the job go on that was to come to its last cut.
func (w *world) fill() {
	w.drains, w.oracle.still = false, nil
	w.leaders(func(l *leading) { l.core.Drain(false) })
}

func (w *world) block(from, to int, until time.Duration) {
	if from != to && !w.healed {
		w.blocked[[2]int{from, to}] = max(w.blocked[[2]int{from, to}], until)
	}
}

func (w *world) crash(p *proc, d time.Duration) {
	if !p.up {
		return
	}
	w.mourn(p)
	p.up, p.paused, p.later = false, false, nil
	for _, h := range p.hosts {
		h.gone = true
	}
	p.hosts, p.leads, p.job = nil, nil, nil
	if !slices.ContainsFunc(w.procs, func(o *proc) bool { return o.up }) {
		w.count.Doomed++
	}
	w.after(d, func() {
		p.life++
		p.up = true
		w.note("starts", uint64(p.id))
	})
}

// mourn tells others that a process is dead, some of them, and some late.
func (w *world) mourn(dead *proc) {
	if !w.plan.Told {
		return
	}
	process := dead.domain()
	for _, p := range w.procs {
		if p == dead || w.r.IntN(4) == 0 {
			continue
		}
		w.count.Mourned++
		p.after(w.between(ms(3), ms(40)), func() {
			for _, h := range slices.Clone(p.hosts) {
				if !h.gone && h.core != nil {
					h.core.Dead(process, w.now)
					h.drive()
				}
			}
		})
	}
}

func (p *proc) resume() {
	if !p.up || !p.paused {
		return
	}
	p.paused = false
	later := p.later
	p.later = nil
	for _, do := range later {
		do()
	}
}

// heal ends all faults.
func (w *world) heal() {
	w.healed = true
	clear(w.blocked)
	for _, a := range w.acceptors {
		a.down = false
	}
	for _, p := range w.procs {
		p.resume()
	}
	w.note("healed")
}

// detect finds slots that nobody runs, and a job that nobody leads.
func (w *world) detect() {
	w.after(w.between(ms(15), ms(25)), w.detect)
	var up []*proc
	led := false
	for _, p := range w.procs {
		if p.up && !p.paused {
			up = append(up, p)
			led = led || p.leads != nil
		}
		alive := p.hosts[:0:0]
		for _, h := range p.hosts {
			if !h.gone {
				alive = append(alive, h)
			}
		}
		p.hosts = alive
	}
	if len(up) == 0 {
		return
	}
	for slot := range w.plan.Slots {
		if w.plan.Standbys && w.r.IntN(3) == 0 && !slices.ContainsFunc(up, func(p *proc) bool { return p.standbyOf(slot) != nil }) {
			if p := up[w.r.IntN(len(up))]; !p.has(slot) {
				w.standBy(p, slot)
			}
		}
		if !running(up, slot) && w.r.IntN(3) > 0 {
			w.host(w.place(up, slot), slot)
		}
	}
	if !led {
		w.lead(up[w.r.IntN(len(up))])
	}
}

func running(up []*proc, slot int) bool {
	return slices.ContainsFunc(up, func(p *proc) bool {
		return slices.ContainsFunc(p.hosts, func(h *host) bool { return h.slot == slot && !h.gone && !h.waits })
	})
}

// place picks a process for a slot: mostly its standby's, or one that has none.
func (w *world) place(up []*proc, slot int) *proc {
	var free []*proc
	for _, p := range up {
		if p.standbyOf(slot) != nil && w.r.IntN(8) > 0 {
			return p
		}
		if !slices.ContainsFunc(p.hosts, func(h *host) bool { return !h.waits }) {
			free = append(free, p)
		}
	}
	if len(free) > 0 && w.r.IntN(8) > 0 {
		return free[w.r.IntN(len(free))]
	}
	return up[w.r.IntN(len(up))]
}
