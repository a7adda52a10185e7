package sim

import (
	"encoding/binary"
	"fmt"
	"maps"
	"time"

	"github.com/millrace/millrace/internal/held"
)

// host drives one incarnation of a slot: it is what the driver and the engine are in
// production.
type host struct {
	w     *world
	p     *proc
	slot  int
	gone  bool
	reg   *client
	core  *held.Slot
	st    *state
	speed int // steps at a time

	in      map[frameID][]element
	bytes   map[lineID]int // of in
	out     map[keptID]frames
	open    []frames     // of the open epoch, by receiver
	partial [][]partFull // by receiver and class
	outs    []output     // of the open epoch
	ends    []fired      // of the open epoch
	adopted map[held.Given]rows
	final   held.Epoch
	waits   bool             // it only stands by
	standby *held.Standby    // instead of a slot, or from before it was one
	before  *host            // the incarnation that this one replays
	stood   bool             // it has held as a standby, or one has that it replays
	shown   map[txnID]bool   // confirmed by the sink
	seen    map[int]held.Inc // incarnations, by slot
	heard   map[[3]int]int   // watermarks, by slot, source and class
}

type frameID struct {
	src   int
	inc   held.Inc
	epoch held.Epoch
	class held.Class
	frame int
}

// lineID is what credit is counted for, from one incarnation.
type lineID struct {
	src   int
	inc   held.Inc
	class held.Class
}

// partFull is a frame that is not full.
type partFull []element

const perFrame = 3

// host begins a takeover of a slot in a process.
func (w *world) host(p *proc, slot int) {
	w.count.Takeovers++
	h := p.standbyOf(slot)
	if h != nil {
		w.count.Promoted++
		h.waits = false
	} else {
		h = newHost(w, p, slot)
		p.hosts = append(p.hosts, h)
	}
	h.begin()
}

func newHost(w *world, p *proc, slot int) *host {
	h := &host{w: w, p: p, slot: slot, speed: 6 + w.r.IntN(30), in: map[frameID][]element{}, bytes: map[lineID]int{}, out: map[keptID]frames{}, shown: map[txnID]bool{}, seen: map[int]held.Inc{}, heard: map[[3]int]int{}, adopted: map[held.Given]rows{}}
	if w.r.IntN(10) == 0 {
		h.speed = 1 + w.r.IntN(2)
	}
	return h
}

// standBy begins to stand by a slot in a process.
func (w *world) standBy(p *proc, slot int) {
	h := newHost(w, p, slot)
	h.standby, h.waits, h.stood = held.NewStandby(h.config(), 1), true, true
	w.count.Standbys++
	p.hosts = append(p.hosts, h)
}

func (h *host) isGone() bool { return h.gone }

// begin reads the job, then takes the register.
func (h *host) begin() {
	h.p.confirmed("job", h.isGone, func(b []byte) {
		if b == nil {
			h.p.after(ms(8), h.retry)
			return
		}
		job := &held.Job{}
		must(held.Decode(b, job))
		h.reg = h.w.client(h.p, slotKey(h.slot), h.isGone, func() { h.phase(job) }, func() { h.gone = true })
		h.reg.takeOver()
	})
}

func (h *host) retry() {
	if !h.gone {
		h.begin()
	}
}

func slotKey(slot int) string { return fmt.Sprintf("slot/%d", slot) }

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// phase goes on when the register has.
func (h *host) phase(job *held.Job) {
	switch h.reg.reg.Phase() {
	case held.NotTaken:
		h.p.after(h.w.between(ms(5), ms(25)), func() {
			if !h.gone {
				h.reg.takeOver()
			}
		})
	case held.Taken:
		h.restore(job)
	case held.Put:
		first := !h.core.Running()
		h.core.Committed(h.w.now)
		h.drive()
		if first && !h.gone {
			h.start()
		}
	case held.Fenced:
		h.w.note("fenced", uint64(h.slot), uint64(h.core.Inc()))
		h.gone = true
	}
}

// restore begins behind the record that counts.
func (h *host) restore(job *held.Job) {
	w := h.w
	var rec *held.Record
	if b := h.reg.reg.Value(); b != nil {
		rec = &held.Record{}
		must(held.Decode(b, rec))
	}
	gen := job.Gen
	if at, fromCut := held.Choose(job, h.slot, rec); fromCut {
		rec = nil
		if at != (held.Ident{}) {
			b := w.objects.records[recordID{h.slot, at}]
			if b == nil {
				w.oracle.wrong("I5: the record of slot %d that the cut names is not durable", h.slot)
			}
			rec = &held.Record{}
			must(held.Decode(b, rec))
		}
		w.count.FromCut++
	} else {
		gen = rec.Gen
	}
	h.st = newState(&w.plan)
	if _, ok := stateOf(rec); ok {
		h.st = h.replayed(rec)
		for _, k := range rec.Kept {
			id := keptID{h.slot, k.Dst, k.Inc, k.Epoch}
			f, ok := w.objects.copies[id]
			if !ok {
				w.oracle.wrong("I3: the copy %+v that a record names is not durable", id)
			}
			h.out[id] = f
		}
	}
	standby := h.standby
	if h.before != nil {
		standby = h.inherit(rec)
	}
	h.core = held.NewSlot(h.config(), gen, h.reg.reg.Ballot(), rec, standby, w.now)
	h.reset()
	h.drive()
}

// fails ends the incarnation as user code has failed, and begins the next one.
func (h *host) fails() {
	h.w.count.Replays++
	h.w.note("replays", uint64(h.slot), uint64(h.core.Inc()))
	h.gone = true
	next := newHost(h.w, h.p, h.slot)
	next.before, next.stood = h, h.stood
	h.p.hosts = append(h.p.hosts, next)
	next.begin()
}

// inherit takes what the incarnation before has left, as the driver does.
func (h *host) inherit(rec *held.Record) *held.Standby {
	from := h.before
	h.before = nil
	b := from.core.Bequeath()
	maps.Copy(h.seen, from.seen)
	for id, f := range from.in {
		if b.Holds(id.src, id.inc, id.epoch) {
			h.in[id] = f
			h.bytes[lineID{id.src, id.inc, id.class}] += bytesOf(f)
		}
	}
	for id, f := range from.out {
		if _, ok := h.out[id]; !ok && rec != nil && rec.Commits(id.inc, id.epoch) && b.Keeps(id.dst, id.inc, id.epoch) {
			h.out[id] = f
		}
	}
	return b
}

// replayed is the state that the chunks lead to which a record names.
func (h *host) replayed(rec *held.Record) *state {
	if len(rec.Chunks) > 0 {
		c := rec.Chunks[len(rec.Chunks)-1]
		at := held.Ident{Gen: c.Gen, Inc: c.Inc, Epoch: c.Epoch}
		if s := h.w.objects.log[recordID{h.slot, at}]; s != nil && at.Epoch == rec.Epoch {
			return s.clone()
		}
	}
	h.w.oracle.wrong("I3: slot %d: the changelog of epoch %d is committed and not there", h.slot, rec.Epoch)
	return nil
}

func (h *host) shape() held.Shape {
	return held.Shape{Slots: h.w.plan.Slots, Lanes: h.w.plan.Lanes, Ranks: ranks}
}

func (h *host) config() held.Config {
	return held.Config{
		Shape: h.shape(), Owner: h.w.plan.firstOwner(), LaneOf: h.w.plan.laneOf, Slot: h.slot, Process: h.p.domain(), Window: h.w.plan.Window, Volume: h.w.plan.Volume, Budget: h.w.plan.Budget, Touches: h.w.plan.Seed%2 == 0, Replays: h.w.plan.Replays, Log: h.w.plan.Log,
		Every: h.w.plan.Every, Heartbeat: ms(10), Resend: ms(25), Silent: ms(30), Excuse: h.w.plan.Excuse,
	}
}

// reset begins an open epoch.
func (h *host) reset() {
	n := h.shape()
	h.open, h.partial, h.outs, h.ends = make([]frames, n.Slots), make([][]partFull, n.Slots), nil, nil
	for i := range h.open {
		h.open[i], h.partial[i] = make(frames, n.Classes()), make([]partFull, n.Classes())
	}
}

// start lets lanes and timers run.
func (h *host) start() {
	h.w.note("runs", uint64(h.slot), uint64(h.core.Gen()), uint64(h.core.Inc()), uint64(h.core.Record().Epoch), uint64(h.p.id))
	if job := h.p.job; job != nil {
		h.core.News(job, h.w.now)
		h.drive()
	}
	h.p.every(1500*time.Microsecond, 2500*time.Microsecond, func() bool {
		if !h.gone {
			h.work()
		}
		return !h.gone
	})
	h.p.every(ms(3), ms(5), func() bool {
		if !h.gone {
			h.core.Tick(h.w.now)
			h.drive()
		}
		return !h.gone
	})
	h.p.every(ms(15), ms(25), func() bool {
		if !h.gone {
			h.finish()
		}
		return !h.gone
	})
}

// drive performs what the core has decided.
func (h *host) drive() {
	for !h.gone {
		acts := h.core.Acts()
		if len(acts) == 0 {
			return
		}
		for _, a := range acts {
			if !h.gone {
				h.perform(a)
			}
		}
	}
}

func (h *host) perform(a held.Act) {
	w := h.w
	switch a := a.(type) {
	case held.CutNow:
		h.cut()
	case held.SendEnd:
		h.sendEnd(&a.End)
	case held.Resend:
		h.resend(&a.Kept)
	case held.SendAck:
		if b := held.Append(nil, &a.Ack); !h.isMute() {
			w.toSlot(h.p, a.Ack.Src, func(o *host) { o.message(b, nil) })
		}
	case held.SendState:
		h.sendState(&a.State)
	case held.WriteCopies:
		h.writeCopies(a.Kept)
	case held.Commit:
		h.commit(a.Record)
	case held.Drop:
		for id, f := range h.in {
			if id.src == a.Src && id.inc == a.Inc && id.epoch == a.Epoch {
				h.bytes[lineID{id.src, id.inc, id.class}] -= bytesOf(f)
				delete(h.in, id)
			}
		}
	case held.Trim:
		for id := range h.out {
			if id.dst == a.Dst && id.epoch <= a.Epoch {
				delete(h.out, id)
			}
		}
	case held.Adopt:
		h.adopt(a.Slot, a.Given)
	case held.Finalise:
		h.final = max(h.final, a.Epoch)
		h.finish()
	case held.Peek:
		h.p.confirmed(slotKey(a.Slot), h.isGone, func(b []byte) {
			r := &held.Record{}
			if b != nil && held.Decode(b, r) == nil {
				w.count.Peeks++
				if r.Gen == h.core.Gen() && h.core.Running() {
					h.seen[r.Slot] = max(h.seen[r.Slot], r.Inc)
				}
				h.core.Peeked(r, w.now)
				h.drive()
			}
		})
	case held.ReadJob:
		h.p.confirmed("job", h.isGone, func(b []byte) {
			m := &held.News{}
			if b != nil && held.Decode(b, &m.Job) == nil {
				h.core.News(m, w.now)
				h.drive()
			}
		})
	case held.Stop:
		w.note("stops: "+a.Why.String(), uint64(h.slot), uint64(h.core.Inc()))
		h.gone = true
		if a.Why == held.RolledBack {
			w.host(h.p, h.slot)
		}
	}
}

// message takes what came over the network.
func (h *host) message(b []byte, payload []element) {
	if h.core == nil && h.standby != nil {
		h.stand(b, payload)
		return
	}
	if h.core == nil {
		return
	}
	m, err := held.DecodeMessage(b)
	must(err)
	switch m := m.(type) {
	case *held.Data:
		if h.core.Data(m) {
			h.keep(m, payload)
		}
	case *held.End:
		h.core.End(m)
	case *held.Ack:
		h.w.oracle.acked(m)
		h.core.Ack(m)
	case *held.State:
		if m.Gen == h.core.Gen() && h.core.Running() {
			h.seen[m.Slot] = max(h.seen[m.Slot], m.Inc)
		}
		h.core.State(m, h.w.now)
	case *held.News:
		h.core.News(m, h.w.now)
	}
	h.drive()
}

// keep keeps a frame that came.
func (h *host) keep(m *held.Data, f []element) {
	h.in[frameID{m.Src, m.Inc, m.Epoch, m.Class, m.Frame}] = f
	line := lineID{m.Src, m.Inc, m.Class}
	h.bytes[line] += bytesOf(f)
	if !h.stood { // who stands by hears late what is applied, and who has begun
		h.w.oracle.bounded(h, line)
		h.w.oracle.ahead(h, m.Src)
	}
}

// stand takes what came over the network for a standby.
func (h *host) stand(b []byte, payload []element) {
	m, err := held.DecodeMessage(b)
	must(err)
	switch m := m.(type) {
	case *held.Data:
		if h.standby.Data(m) {
			h.keep(m, payload)
		}
	case *held.End:
		h.standby.End(m)
	case *held.State:
		h.standby.State(m)
	}
	for _, a := range h.standby.Acts() {
		h.perform(a)
	}
}

func (h *host) sendEnd(m *held.End) {
	b := held.Append(nil, m)
	h.w.toSlot(h.p, m.Dst, func(o *host) { o.message(b, nil) })
}

// sendFrame sends a frame, which says ever again what it has said first of its receiver.
func (h *host) sendFrame(d *held.Data, f []element) {
	b := held.Append(nil, d)
	h.w.toSlot(h.p, d.Dst, func(o *host) { o.message(b, f) })
}

func (h *host) resend(k *held.Kept) {
	h.w.count.Resent++
	f, ok := h.out[keptID{h.slot, k.Dst, k.Inc, k.Epoch}]
	if !ok {
		h.w.oracle.wrong("slot %d has to send again what it does not have: %+v", h.slot, k)
	}
	end := held.End{Gen: h.core.Gen(), Src: h.slot, Dst: k.Dst, Inc: k.Inc, Epoch: k.Epoch, Prev: k.Prev, Colour: k.Colour, Version: k.Version, Marks: k.Marks}
	for c := range f {
		end.Counts = append(end.Counts, len(f[c]))
		for i := range f[c] {
			d := held.Data{Gen: end.Gen, Src: h.slot, Dst: k.Dst, Inc: k.Inc, Epoch: k.Epoch, Class: held.Class(c), Frame: i, Size: k.Frames[c][i]}
			d.To = h.w.objects.to[headID{keptID{d.Src, d.Dst, d.Inc, d.Epoch}, d.Class, d.Frame}]
			h.sendFrame(&d, f[c][i])
		}
	}
	h.sendEnd(&end)
}

// isMute reports that what the process tells is lost.
func (h *host) isMute() bool { return h.p.mute > h.w.now && !h.w.healed }

func (h *host) sendState(m *held.State) {
	if h.isMute() {
		return
	}
	b := held.Append(nil, m)
	for i := range h.w.plan.Slots {
		if i != h.slot || h.w.plan.Standbys {
			h.w.toSlot(h.p, i, func(o *host) { o.message(b, nil) })
		}
	}
	for _, p := range h.w.procs {
		if p.leads == nil {
			continue
		}
		h.w.send(h.p.id, p.id, func() { p.run(p.life, func() { p.leads.state(b) }) })
	}
}

// write makes something durable after a while; then says so to the process, if it is
// still there.
func (h *host) write(do, then func()) {
	life := h.p.life
	h.w.after(h.w.between(200*time.Microsecond, ms(2)), func() {
		do()
		h.w.after(100*time.Microsecond, func() {
			h.p.run(life, func() {
				if !h.gone {
					then()
				}
			})
		})
	})
}

func (h *host) writeCopies(list []held.Kept) {
	var found []frames
	for _, k := range list {
		f, ok := h.out[keptID{h.slot, k.Dst, k.Inc, k.Epoch}]
		if !ok {
			h.w.oracle.wrong("slot %d has to copy what it does not have: %+v", h.slot, k)
		}
		found = append(found, f)
	}
	h.w.count.Copies += len(list)
	h.write(func() {
		for i, k := range list {
			h.w.objects.copies[keptID{h.slot, k.Dst, k.Inc, k.Epoch}] = found[i]
		}
	}, func() {
		h.core.CopiesDurable(list)
		h.drive()
	})
}

func (h *host) commit(r *held.Record) {
	h.w.oracle.commits(h, r)
	b := held.Append(nil, r)
	if r.Tag.At != r.Ident() {
		h.reg.put(b)
		return
	}
	h.write(func() { h.w.objects.records[recordID{h.slot, r.Ident()}] = b }, func() { h.reg.put(b) })
}

// cut ends the open epoch.
func (h *host) cut() {
	w := h.w
	for dst := range h.partial {
		for c := range h.partial[dst] {
			h.flush(dst, held.Class(c))
		}
	}
	epoch := h.core.Open()
	st := h.st
	h.advance()
	out := h.turn()
	var left []*txn
	for _, t := range st.outbox {
		if !h.shown[t.id] {
			left = append(left, t)
		}
	}
	st.outbox = left
	if len(h.outs)+len(h.ends) > 0 {
		st.outbox = append(st.outbox, &txn{txnID{h.slot, h.core.Gen(), h.core.Inc(), epoch}, h.outs, h.ends})
	}
	h.core.Unshown(len(st.outbox) > 0)
	n := uint64(len(w.objects.states))
	h.rise()
	snapshot, marks := st.clone(), st.marks
	if !h.core.Cut(binary.AppendUvarint(nil, n), putMarks(marks), w.now) {
		w.oracle.wrong("slot %d: a cut was asked for and refused", h.slot)
	}
	w.objects.states = append(w.objects.states, snapshot)
	for dst, f := range h.open {
		if !empty(f) {
			id := keptID{h.slot, dst, h.core.Inc(), epoch}
			h.out[id] = f
			w.oracle.cut(id, f)
		}
	}
	h.reset()
	w.count.Epochs++
	at := held.Ident{Gen: h.core.Gen(), Inc: h.core.Inc(), Epoch: epoch}
	h.write(func() {
		snapshot.durable = true
		w.objects.log[recordID{h.slot, at}] = snapshot
		maps.Copy(w.objects.groups, out)
	}, func() {
		h.core.ChunksDurable([]held.Chunk{{Gen: at.Gen, Inc: at.Inc, Epoch: at.Epoch, Count: 1}})
		h.drive()
	})
}

func empty(f frames) bool {
	for _, c := range f {
		if len(c) > 0 {
			return false
		}
	}
	return true
}

// finish shows the sink what is final, until it has confirmed.
func (h *host) finish() {
	n, ok := stateOf(h.core.Record())
	if !ok {
		return
	}
	life := h.p.life
	for _, t := range h.w.objects.states[n].outbox {
		if t.id.epoch > h.final || h.shown[t.id] {
			continue
		}
		h.w.send(h.p.id, -1, func() {
			h.w.oracle.shown(t)
			h.w.send(-1, h.p.id, func() { h.p.run(life, func() { h.shown[t.id] = true }) })
		})
	}
}
