package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/held"
)

// firstOwner is which slot has which key group as the job begins.
func (p *Plan) firstOwner() (owner []int) {
	for key := range keys {
		owner = append(owner, key/p.Lanes%p.Slots)
	}
	return owner
}

// laneOf is the lane of a key group in its slot.
func (p *Plan) laneOf(group int) int { return group % p.Lanes }

// work lets lanes run for a while, then watermarks rise and timers fire.
func (h *host) work() {
	h.run()
	if !h.gone {
		h.advance()
		h.drive()
	}
}

// run lets lanes take in and read for a while.
func (h *host) run() {
	p := &h.w.plan
	reads := p.Elements/250 + 1
	for steps := h.speed; steps > 0; {
		took := false
		first := h.w.r.IntN(p.Lanes)
		for i := range p.Lanes {
			if a, ok := h.core.Next((first + i) % p.Lanes); ok {
				if a.Replay {
					h.replay(&a)
				} else {
					h.take(&a)
				}
				took = true
				if !a.End { // ends are cheap
					steps--
				}
				break
			}
		}
		if !took && reads > 0 && h.st.read < p.Elements && h.w.flows() && h.core.Source(0) {
			h.st.read++
			h.core.Touch()
			h.w.oracle.reads(h)
			h.emit(0, source(h.slot, h.st.read))
			reads--
			steps--
			took = true
		}
		h.drive()
		if !took || h.gone {
			return
		}
	}
}

// flows reports that sources have something to read.
func (w *world) flows() bool { return !w.plan.Bursts || w.now/ms(80)%2 == 0 }

// take applies a frame, or the end of an epoch.
func (h *host) take(a *held.Arrival) {
	w := h.w
	before := h.st.applied[a.Src][a.Class]
	if a.End {
		w.oracle.marks(h, a)
		return
	}
	id := frameID{a.Src, a.Inc, a.Epoch, a.Class, a.Frame}
	f, ok := h.in[id]
	if !ok {
		w.oracle.wrong("slot %d is to apply what it does not hold: %+v", h.slot, id)
	}
	w.oracle.applied(h, id, f, before)
	if !w.plan.Replays { // else another incarnation here may have to take it in again
		delete(h.in, id)
		h.bytes[lineID{a.Src, a.Inc, a.Class}] -= bytesOf(f)
	}
	h.st.applied[a.Src][a.Class] = held.Pos{Epoch: a.Epoch, Frame: a.Frame}
	for _, e := range f {
		w.oracle.onTime(h, a, &e)
		h.apply(h.shape().Rank(a.Class), e)
	}
}

// emit sends an element on its way.
func (h *host) emit(rank int, e element) {
	slot, lane := h.core.Owner(e.key), h.w.plan.laneOf(e.key)
	if slot == h.slot {
		h.apply(rank, e)
		return
	}
	c := h.shape().Class(rank, lane)
	h.partial[slot][c] = append(h.partial[slot][c], e)
	if len(h.partial[slot][c]) == perFrame {
		h.flush(slot, c)
	}
}

// flush sends a frame.
func (h *host) flush(dst int, c held.Class) {
	f := h.partial[dst][c]
	if len(f) == 0 {
		return
	}
	h.partial[dst][c] = nil
	h.open[dst][c] = append(h.open[dst][c], f)
	d := h.core.Send(dst, c, bytesOf(f))
	h.w.objects.to[headID{keptID{d.Src, d.Dst, d.Inc, d.Epoch}, d.Class, d.Frame}] = d.To
	h.sendFrame(&d, f)
}

// apply is what the stages do.
func (h *host) apply(rank int, e element) {
	h.w.oracle.routed(h, &e)
	if h.core.Awaits(e.key) {
		p := h.st.parked[e.key]
		if p == nil {
			p = &[ranks][]element{}
			h.st.parked[e.key] = p
		}
		p[rank] = append(p[rank], e)
		h.core.Park(e.key, rank, e.size())
		return
	}
	h.process(rank, e)
}

// process is what a stage does with an element of a key that is here.
func (h *host) process(rank int, e element) {
	h.w.oracle.inTime(h, rank, &e)
	if rank == 0 {
		h.fan(e)
	} else {
		h.tally(e)
	}
}

func (h *host) fan(e element) {
	f := h.st.fans[e.key]
	if f == nil {
		f = &fan{last: map[int]int{}}
		h.st.fans[e.key] = f
	}
	h.w.oracle.ordered(h, &e, f.last[e.part], e.n)
	f.last[e.part] = e.n
	f.count++
	nonce := h.w.r.Uint32()
	for _, o := range fanOut(&h.w.plan, e, nonce) {
		f.sum += nonce
		h.emit(1, o)
	}
}

func (h *host) tally(e element) {
	t := h.st.tallies[e.key]
	if t == nil {
		t = &tally{last: map[[2]int]int{}, open: map[int]int{}}
		h.st.tallies[e.key] = t
	}
	k, at := [2]int{e.part, e.via}, e.n*16+e.index+1
	h.w.oracle.ordered(h, &e, t.last[k], at)
	t.last[k] = at
	t.count++
	t.open[(e.ts-1)/windowSize]++
	h.outs = append(h.outs, output{e, t.count})
}

// replay takes in what was parked for a key group.
func (h *host) replay(a *held.Arrival) {
	rank := h.shape().Rank(a.Class)
	for range perFrame {
		p := h.st.parked[a.Group]
		if len(p[rank]) == 0 {
			return
		}
		e := p[rank][0]
		p[rank] = p[rank][1:]
		h.w.count.Replayed++
		h.process(rank, e)
		h.core.Replayed(a.Group, rank, e.size())
	}
}

// watermark is how far a rank's input is complete.
func (h *host) watermark(rank int) int {
	wm := h.st.marks[rank]
	for src := range h.w.plan.Slots {
		for lane := range h.w.plan.Lanes {
			if src != h.slot {
				wm = min(wm, getMarks(h.core.Place(src, h.shape().Class(rank, lane)).Marks)[rank])
			}
		}
	}
	return wm
}

// outbox is how many bytes of outputs are not confirmed.
func (h *host) outbox() (n int) {
	size := func(outs []output, ends []fired) {
		for i := range outs {
			n += outs[i].size()
		}
		n += len(ends) * endSize
	}
	size(h.outs, h.ends)
	for _, t := range h.st.outbox {
		if !h.shown[t.id] {
			size(t.outs, t.ends)
		}
	}
	return n
}

// rise lets the watermarks rise that the slot tells.
func (h *host) rise() {
	st := h.st
	if h.core.Frozen() {
		return
	}
	if st.marks[0] = st.read; st.read == h.w.plan.Elements {
		st.marks[0] = forever
	}
	st.marks[1] = h.watermark(0)
}

// advance lets watermarks rise, and timers fire.
func (h *host) advance() {
	st := h.st
	h.rise()
	h.core.Outbox(h.outbox())
	h.w.oracle.budget(h)
	wm := h.watermark(1)
	for _, key := range slices.Sorted(maps.Keys(st.tallies)) {
		t := st.tallies[key]
		for _, window := range slices.Sorted(maps.Keys(t.open)) {
			if wm < (window+1)*windowSize || h.core.Awaits(key) {
				continue
			}
			h.ends = append(h.ends, fired{key, window, t.open[window]})
			delete(t.open, window)
			h.core.Touch()
		}
	}
}

// turn does to key groups what a cut does.
func (h *host) turn() (out map[groupID]rows) {
	t := h.core.Turn()
	out = map[groupID]rows{}
	for _, g := range t.Give {
		out[groupID{h.slot, h.core.Inc(), h.core.Open(), g}] = rows{h.st.fans[g], h.st.tallies[g]}
		delete(h.st.fans, g)
		delete(h.st.tallies, g)
		h.w.count.Given++
	}
	for _, g := range t.Adopt {
		h.w.count.Adopted++
		h.put(g)
	}
	if t.Next != nil {
		h.w.count.Turns++
		h.w.note("follows", uint64(h.slot), uint64(t.Next.Version), uint64(h.core.Open()+1))
	}
	return out
}

// put puts in the state of a key group.
func (h *host) put(g held.Given) {
	h.w.note("adopts", uint64(h.slot), uint64(g.Group), uint64(g.Version))
	r := h.adopted[g]
	if r.fan != nil {
		h.st.fans[g.Group] = r.fan.clone()
	}
	if r.tally != nil {
		h.w.oracle.timers(h, g.Group, r.tally)
		h.st.tallies[g.Group] = r.tally.clone()
	}
	delete(h.adopted, g)
}

// adopt reads what another slot has taken out of groups.
func (h *host) adopt(slot int, list []held.Given) {
	h.p.after(h.w.between(200*time.Microsecond, ms(3)), func() {
		if h.gone {
			return
		}
		for _, g := range list {
			r, ok := h.w.objects.groups[groupID{slot, g.Inc, g.Epoch, g.Group}]
			if !ok {
				h.w.oracle.wrong("I3: slot %d has committed that it has taken out %+v, and it is not durable", slot, g)
			}
			h.adopted[g] = r
		}
		h.core.Adopted(list)
		h.drive()
	})
}
