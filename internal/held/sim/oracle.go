package sim

import (
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/millrace/millrace/internal/held"
)

// oracle judges a run. It shares no code with what it judges beyond the bytes of
// records, and is told what happens at the places where nobody can lie: what acceptors
// have stored, what lanes apply, what the sink is shown.
type oracle struct {
	w       *world
	err     error
	stores  map[valueID]map[int]bool // acceptors that have stored a value, and whether they vote
	durable map[valueID]bool
	top     map[slotGen]*held.Record // committed last
	owned   map[ownerID]bool         // epochs that are committed
	sent    map[keptID]frames        // what was cut
	acks    map[keptID][]held.Ack
	unsafe  map[ownerID]string // why a decision to commit was wrong
	job     *held.Job          // the newest that is durable
	jobBy   held.Inc
	cuts    map[slotGen]held.Epoch
	want    map[[3]int]element // by part, n and index: what a sequential run gives
	counts  map[int]int        // by key
	ends    map[[2]int]int     // by key and window
	still   *still             // nil: nothing is known to rest
}

// still is a job that has come to its last cut: what its sources have read by then is all.
type still struct {
	version uint64 // of the job record
	records []*held.Record
}

type valueID struct {
	key     string
	by      held.Inc
	version uint64
}

type slotGen struct {
	slot int
	gen  held.Gen
}

type ownerID struct {
	slot  int
	inc   held.Inc
	epoch held.Epoch
}

// newOracle runs the job, one element after the other.
func newOracle(w *world) *oracle {
	o := &oracle{
		w: w, stores: map[valueID]map[int]bool{}, durable: map[valueID]bool{}, top: map[slotGen]*held.Record{}, owned: map[ownerID]bool{}, sent: map[keptID]frames{},
		acks: map[keptID][]held.Ack{}, unsafe: map[ownerID]string{}, cuts: map[slotGen]held.Epoch{}, want: map[[3]int]element{}, counts: map[int]int{}, ends: map[[2]int]int{},
	}
	for part := range w.plan.Slots {
		for n := 1; n <= w.plan.Elements; n++ {
			for _, e := range fanOut(&w.plan, source(part, n), 0) {
				o.want[[3]int{e.part, e.n, e.index}] = e
				o.counts[e.key]++
				o.ends[[2]int{e.key, (e.ts - 1) / windowSize}]++
			}
		}
	}
	return o
}

// wrong ends the run: name begins with the invariant that does not hold.
func (o *oracle) wrong(format string, args ...any) {
	o.err = fmt.Errorf("at %v: %s", o.w.now, fmt.Sprintf(format, args...))
	o.w.note(o.err.Error())
	panic(found{})
}

// stored is told what an acceptor has stored. A value that a quorum has stored is
// durable.
func (o *oracle) stored(a *acceptor, key string, c *held.Cell) {
	if c.Version == 0 {
		return
	}
	id := valueID{key, c.By, c.Version}
	if o.stores[id] == nil {
		o.stores[id] = map[int]bool{}
	}
	o.stores[id][a.id] = !c.Learns
	votes := 0
	for _, vote := range o.stores[id] {
		if vote {
			votes++
		}
	}
	if n := len(o.w.acceptors); o.durable[id] || votes < held.Quorum(n) && len(o.stores[id]) < n {
		return
	}
	o.durable[id] = true
	if key == "job" {
		job := &held.Job{}
		must(held.Decode(c.Value, job))
		o.decided(job, c.By)
		return
	}
	r := &held.Record{}
	must(held.Decode(c.Value, r))
	o.committed(r)
}

// committed is told what a slot has committed: I3 and I4.
func (o *oracle) committed(r *held.Record) {
	w := o.w
	w.note("commit", uint64(r.Slot), uint64(r.Gen), uint64(r.Inc), uint64(r.Epoch), uint64(r.Colour))
	k := slotGen{r.Slot, r.Gen}
	id := ownerID{r.Slot, lineage(r.History, r.Epoch), r.Epoch}
	if top := o.top[k]; top != nil {
		switch {
		case r.Inc < top.Inc && o.owned[id] && len(w.acceptors) > 1: // adopted before enough had stored it
			return
		case r.Inc < top.Inc:
			o.wrong("I4: slot %d commits epoch %d as incarnation %x, behind %x", r.Slot, r.Epoch, r.Inc, top.Inc)
		case r.Inc == top.Inc && r.Epoch != top.Epoch+1:
			o.wrong("I4: slot %d commits epoch %d behind %d", r.Slot, r.Epoch, top.Epoch)
		case r.Inc > top.Inc && r.Epoch != top.Epoch && !(r.Epoch == top.Epoch+1 && len(w.acceptors) > 1):
			o.wrong("I4: slot %d goes on at epoch %d, committed was %d", r.Slot, r.Epoch, top.Epoch)
		}
	}
	if why := o.unsafe[id]; why != "" {
		o.wrong("%s", why)
	}
	for g := range uint64(r.Gen) {
		if top := o.top[slotGen{r.Slot, held.Gen(g)}]; top != nil && top.Inc >= r.Inc {
			o.wrong("I4: slot %d has incarnation %x in generation %d, and %x in %d", r.Slot, r.Inc, r.Gen, top.Inc, g)
		}
	}
	o.top[k] = r
	// A takeover may find what too few acceptors had stored: it commits it.
	o.owned[id] = true
	if r.Tag.At == r.Ident() {
		w.count.Tags++
		if r.Tag.Void {
			w.count.Voids++
		}
	}
}

// commits is told what a slot has decided to commit: I3. What the epoch has for others
// is held by another process, as far as the slot can know, or the record names a copy
// that is durable. What is wrong is so when the record is committed, not when a slot
// that is fenced has decided it.
func (o *oracle) commits(h *host, r *held.Record) {
	wrong := func(format string, args ...any) {
		o.unsafe[ownerID{r.Slot, r.Inc, r.Epoch}] = fmt.Sprintf(format, args...)
	}
	named := map[keptID]bool{}
	for _, k := range r.Kept {
		id := keptID{r.Slot, k.Dst, k.Inc, k.Epoch}
		named[id] = true
		if _, ok := o.w.objects.copies[id]; !ok {
			wrong("I3: slot %d names a copy of epoch %d for %d, and there is none", r.Slot, k.Epoch, k.Dst)
		}
	}
	for dst := range o.w.plan.Slots {
		id := keptID{r.Slot, dst, r.Inc, r.Epoch}
		if _, sent := o.sent[id]; sent && !named[id] && (o.w.plan.Log || !o.elsewhere(id, h)) {
			wrong("I3: slot %d commits epoch %d, and nobody else holds what it has for %d", r.Slot, r.Epoch, dst)
		}
	}
	if n, ok := stateOf(r); ok && !o.w.objects.states[n].durable {
		wrong("I3: slot %d commits epoch %d, and its changelog is not durable", r.Slot, r.Epoch)
	}
}

// elsewhere reports that an epoch is held in another process than its sender's, by an
// incarnation that is not replaced as far as the sender knows.
func (o *oracle) elsewhere(id keptID, h *host) bool {
	for _, a := range o.acks[id] {
		if a.Process != h.p.domain() && a.DstInc >= h.seen[id.dst] {
			return true
		}
	}
	return false
}

// acked is told of an acknowledgement.
func (o *oracle) acked(m *held.Ack) {
	id := keptID{m.Src, m.Dst, m.SrcInc, m.Epoch}
	for _, a := range o.acks[id] {
		if a == *m {
			return
		}
	}
	o.acks[id] = append(o.acks[id], *m)
}

// cut is told what an epoch has for a receiver.
func (o *oracle) cut(id keptID, f frames) { o.sent[id] = f }

// decided is told what the job register has: I5.
func (o *oracle) decided(j *held.Job, by held.Inc) {
	w := o.w
	if o.job != nil && by < o.jobBy && j.Version < o.job.Version && len(w.acceptors) > 1 {
		return // adopted before enough had stored it
	}
	o.jobBy = by
	w.note("job", j.Version, uint64(j.Gen), uint64(j.Cut))
	if o.job != nil && (j.Version <= o.job.Version || j.Gen < o.job.Gen || j.Cut < o.job.Cut) {
		o.wrong("I4: the job record goes back, from %+v to %+v", o.job, j)
	}
	if o.job != nil && j.Gen > o.job.Gen {
		w.count.Rollbacks++
		if w.plan.Lone {
			o.wrong("I11: a crash has led to a rollback")
		}
		if w.plan.Log {
			o.wrong("I12: there is a rollback, though all is in the log")
		}
	}
	if j.Cut > 0 && (o.job == nil || j.Cut > o.job.Cut) {
		w.count.Cuts++
		o.consistent(j)
	}
	if o.job != nil && j.Groups.Version > o.job.Groups.Version {
		w.count.Assigned++
	}
	o.job = j
}

// consistent checks a complete cut: no orphan, no hole.
func (o *oracle) consistent(j *held.Job) {
	recs, silent := make([]*held.Record, len(j.At)), false
	for i, at := range j.At {
		b := o.w.objects.records[recordID{i, at}]
		if b == nil || at.Gen != j.Gen {
			o.wrong("I5: cut %d names record %+v of slot %d: it is not durable, or of another generation", j.Cut, at, i)
		}
		recs[i] = &held.Record{}
		must(held.Decode(b, recs[i]))
		o.cuts[slotGen{i, j.Gen}] = at.Epoch
		silent = silent || recs[i].Tag.Cut != j.Cut
	}
	if silent {
		o.w.count.Silent++
	}
	for i, a := range recs {
		for k, b := range recs {
			if i != k {
				o.channel(j, a, b)
			}
		}
	}
}

// states gives the states that records stand for.
func (o *oracle) states(recs []*held.Record) iter.Seq2[*held.Record, *state] {
	return func(yield func(*held.Record, *state) bool) {
		for _, r := range recs {
			if n, ok := stateOf(r); ok && !yield(r, o.w.objects.states[n]) {
				return
			}
		}
	}
}

// rested is told of the records of a cut in which nothing is said to be under way: what
// slots have counted is what a sequential run gives for what their sources have read.
func (o *oracle) rested(recs []*held.Record) {
	o.w.count.Rested++
	want, got := map[int]int{}, map[int]int{}
	for r, s := range o.states(recs) {
		for i := range s.read {
			for _, e := range fanOut(&o.w.plan, source(r.Slot, i+1), 0) {
				want[e.key]++
			}
		}
		for key, t := range s.tallies {
			got[key] += t.count
		}
	}
	if !maps.Equal(want, got) {
		o.wrong("I5: a savepoint has counted %v, %v is right for what it has read", got, want)
	}
}

// drained is told of the records of a cut at which a job could stop: all outputs of what
// sources have read are shown, all windows that have ended, and nothing more is read.
func (o *oracle) drained(l *leading, recs []*held.Record) {
	if o.job.Version != l.core.Job().Version {
		return // another one leads, who knows nothing of it
	}
	o.w.count.Drained++
	o.still = &still{o.job.Version, recs}
	for r, s := range o.states(recs) {
		for i := range s.read {
			for _, e := range fanOut(&o.w.plan, source(r.Slot, i+1), 0) {
				if _, yes := o.w.sink.outs[[3]int{e.part, e.n, e.index}]; !yes {
					o.wrong("I13: the job is drained, and %+v is not shown, which slot %d has read", e, r.Slot)
				}
			}
		}
		for _, t := range s.outbox {
			if !o.w.sink.seen[t.id] {
				o.wrong("I13: the job is drained, and outputs of epoch %d of slot %d are not shown", t.id.epoch, r.Slot)
			}
		}
		for _, p := range o.w.procs {
			for _, h := range p.hosts {
				if o.rests(h, r) && h.st.read > s.read {
					o.wrong("I13: the job is drained, and slot %d has read %d elements, of which %d are in its last cut", r.Slot, h.st.read, s.read)
				}
			}
		}
	}
}

// rests reports that r is a record of this incarnation.
func (o *oracle) rests(h *host, r *held.Record) bool {
	return !h.gone && h.core != nil && h.slot == r.Slot && h.core.Inc() == r.Inc
}

// reads is told that a source is read: that of an incarnation that has its part in the last
// cut of a drained job must not be. One that begins behind it may do so before it is told.
func (o *oracle) reads(h *host) {
	if o.still == nil || o.still.version != o.job.Version {
		return
	}
	for _, r := range o.still.records {
		if o.rests(h, r) {
			o.wrong("I13: slot %d reads on behind the last cut of a drained job", h.slot)
		}
	}
}

// channel checks what is under way from b to a in a cut.
func (o *oracle) channel(j *held.Job, a, b *held.Record) {
	at := []held.Place{{Pos: held.Pos{Epoch: 1}}} // of who has committed nothing
	if len(a.At) > 0 {
		at = a.At[b.Slot]
	}
	from := held.Epoch(1) << 62
	for _, p := range at {
		from = min(from, p.Epoch)
		if p.Epoch > b.Epoch+1 || p.Epoch == b.Epoch+1 && p.Frame > 0 {
			o.wrong("I5: orphan in cut %d: slot %d has applied %+v of slot %d, which is at %d", j.Cut, a.Slot, p.Pos, b.Slot, b.Epoch)
		}
	}
	named := map[held.Epoch]held.Inc{}
	for _, k := range b.Kept {
		if k.Dst == a.Slot {
			named[k.Epoch] = k.Inc
		}
	}
	for e := from; e <= b.Epoch; e++ {
		id := keptID{b.Slot, a.Slot, lineage(b.History, e), e}
		if _, sent := o.sent[id]; sent && named[e] != id.inc {
			o.wrong("I5: hole in cut %d: epoch %d of slot %d for slot %d is not named", j.Cut, e, b.Slot, a.Slot)
		}
	}
}

// lineage is the incarnation that an epoch belongs to.
func lineage(history []held.Span, e held.Epoch) held.Inc {
	for i := len(history) - 1; i >= 0; i-- {
		if history[i].Base < e {
			return history[i].Inc
		}
	}
	return 0
}

// applied is told what a lane applies: I1 and I2.
func (o *oracle) applied(h *host, id frameID, f []element, before held.Pos) {
	if !o.owned[ownerID{id.src, id.inc, id.epoch}] {
		o.wrong("I1: slot %d applies epoch %d of slot %d, incarnation %x, which is not committed", h.slot, id.epoch, id.src, id.inc)
	}
	if id.epoch < before.Epoch || id.epoch == before.Epoch && id.frame <= before.Frame {
		o.wrong("I2: slot %d applies %+v behind %+v", h.slot, id, before)
	}
	sent := o.sent[keptID{id.src, h.slot, id.inc, id.epoch}]
	if id.frame != 0 && (id.epoch != before.Epoch || id.frame != before.Frame+1) {
		o.wrong("I2: slot %d applies %+v behind %+v: one is left out", h.slot, id, before)
	}
	o.unbroken(h, id.src, id.class, before, id.epoch)
	if sent == nil || id.frame >= len(sent[id.class]) || len(sent[id.class][id.frame]) != len(f) {
		o.wrong("I2: slot %d applies %+v, which was not sent so", h.slot, id)
	}
	for i, e := range sent[id.class][id.frame] {
		if e != f[i] {
			o.wrong("I2: slot %d applies %+v: %+v was sent, %+v came", h.slot, id, e, f[i])
		}
	}
}

// unbroken checks that what a source has for a class behind before is not left out
// when epoch e is reached.
func (o *oracle) unbroken(h *host, src int, c held.Class, before held.Pos, e held.Epoch) {
	top := o.top[slotGen{src, h.core.Gen()}]
	if top == nil {
		o.wrong("I1: slot %d applies an epoch of slot %d, which has committed nothing in generation %d", h.slot, src, h.core.Gen())
	}
	history := top.History
	for ; before.Epoch < e; before = (held.Pos{Epoch: before.Epoch + 1, Frame: -1}) {
		sent := o.sent[keptID{src, h.slot, lineage(history, before.Epoch), before.Epoch}]
		if sent != nil && before.Frame+1 < len(sent[c]) {
			o.wrong("I2: slot %d leaves out what slot %d has in class %d of epoch %d behind frame %d", h.slot, src, c, before.Epoch, before.Frame)
		}
	}
}

// marks is told of watermarks that a lane takes in: I7.
func (o *oracle) marks(h *host, a *held.Arrival) {
	if at := h.core.Record().At; len(at) == 0 || at[a.Src][a.Class].Epoch <= a.Epoch { // else it is old, and its marks were late
		o.unbroken(h, a.Src, a.Class, h.st.applied[a.Src][a.Class], a.Epoch+1)
	}
	key := [3]int{h.slot, a.Src, int(a.Class)}
	rank := h.shape().Rank(a.Class)
	now := getMarks(a.Marks)[rank]
	if now < h.heard[key] {
		o.wrong("I7: slot %d: the watermark of slot %d in class %d falls from %d to %d", h.slot, a.Src, a.Class, h.heard[key], now)
	}
	h.heard[key] = now
}

// onTime is told of an element: it must not be behind its channel's watermark.
func (o *oracle) onTime(h *host, a *held.Arrival, e *element) {
	if wm := getMarks(h.core.Place(a.Src, a.Class).Marks)[h.shape().Rank(a.Class)]; e.ts <= wm {
		o.wrong("I7: slot %d: %+v of slot %d comes behind watermark %d", h.slot, *e, a.Src, wm)
	}
}

// routed is told of an element that a slot takes in: its key is the slot's, or is going
// to be another's and still here.
func (o *oracle) routed(h *host, e *element) {
	if h.core.Owner(e.key) != h.slot && !h.core.Gives(e.key) {
		o.wrong("I8: slot %d gets %+v, which is of slot %d", h.slot, *e, h.core.Owner(e.key))
	}
}

// inTime is told of an element that a stage works on: it must not be behind the
// watermark of the stage.
func (o *oracle) inTime(h *host, rank int, e *element) {
	if wm := h.watermark(rank); e.ts <= wm {
		o.wrong("I7: slot %d: %+v is worked on behind watermark %d of rank %d", h.slot, *e, wm, rank)
	}
}

// timers is told of a key that comes with timers: none may be behind what the slot has
// told of its watermark.
func (o *oracle) timers(h *host, key int, t *tally) {
	wm := h.watermark(1)
	for window := range t.open {
		if (window+1)*windowSize <= wm {
			o.wrong("I7: slot %d gets key %d with a timer behind watermark %d", h.slot, key, wm)
		}
	}
}

// budget checks what a slot keeps against its bounds: I9. Beyond them there may be what
// is under way when sources stop, and what they read until they have heard of it.
func (o *oracle) budget(h *host) {
	w, p := o.w, &o.w.plan
	parked := 0
	for _, q := range h.st.parked {
		for r := range q {
			parked += bytesOf(q[r])
		}
	}
	kept := 0
	for _, f := range h.out {
		for c := range f {
			for i := range f[c] {
				kept += bytesOf(f[c][i])
			}
		}
	}
	outbox := h.outbox()
	w.count.ParkedMax, w.count.OutboxMax, w.count.KeptMax = max(w.count.ParkedMax, parked), max(w.count.OutboxMax, outbox), max(w.count.KeptMax, kept)
	if p.Budget == (held.Budget{}) {
		return
	}
	line := p.Window + perFrame*p.Fan*sizeMax + perFrame*sizeMax
	slack := p.Slots*ranks*line + p.Slots*(p.Elements/250+1)*sizeMax*10
	for what, n := range [...][2]int{{parked, p.Budget.Parked}, {outbox, p.Budget.Outbox}, {kept, p.Budget.Kept}} {
		if n[0] > n[1]+slack {
			o.wrong("I9: slot %d keeps %d bytes of %s, the bound is %d and %d may be under way", h.slot, n[0], [...]string{"parked input", "outputs that are not final", "frames"}[what], n[1], slack)
		}
	}
}

// ahead checks what is held of incarnations that nobody has told of: I9.
func (o *oracle) ahead(h *host, src int) {
	n := 0
	for line, bytes := range h.bytes {
		if line.src == src && line.inc > h.seen[src] {
			n += bytes
		}
	}
	o.w.count.AheadMax = max(o.w.count.AheadMax, n)
	if most := h.shape().Classes()*o.w.plan.Window + perFrame*sizeMax; n > most {
		o.wrong("I9: slot %d holds %d bytes of slot %d that nobody has told of, at most %d are to be", h.slot, n, src, most)
	}
}

// ordered is told of an element at its key: I8.
func (o *oracle) ordered(h *host, e *element, last, at int) {
	if at <= last {
		o.wrong("I8: slot %d: %+v comes behind %d", h.slot, *e, last)
	}
}

// sizeMax is the size of the largest element.
const sizeMax = 79

// bounded checks what is held of one incarnation of a source in a class: I9. It is the
// window, and what one frame can lead to when there is a byte of room, and the elements
// that were waiting for their frame to fill.
func (o *oracle) bounded(h *host, line lineID) {
	most := o.w.plan.Window + perFrame*o.w.plan.Fan*sizeMax + perFrame*sizeMax
	held := h.bytes[line] - h.settled(line)
	o.w.count.HeldMax = max(o.w.count.HeldMax, held)
	if held > most {
		o.wrong("I9: slot %d holds %d bytes of slot %d in class %d, at most %d may be under way", h.slot, held, line.src, line.class, most)
	}
}

// settled is how many bytes are held that are applied by the committed record: of one epoch
// that is not applied to its end, where it may have to be taken in again.
func (h *host) settled(line lineID) (n int) {
	rec := h.core.Record()
	if !h.w.plan.Replays || line.src >= len(rec.At) {
		return 0
	}
	at := rec.At[line.src][line.class]
	for id, f := range h.in {
		if (lineID{id.src, id.inc, id.class}) == line && at.Covers(id.epoch, id.frame) {
			n += bytesOf(f)
		}
	}
	return n
}

// shown is told what reaches the sink: I6.
func (o *oracle) shown(t *txn) {
	s := &o.w.sink
	if s.seen[t.id] {
		return
	}
	s.seen[t.id] = true
	o.w.note("shown", uint64(t.id.slot), uint64(t.id.gen), uint64(t.id.inc), uint64(t.id.epoch))
	if t.id.epoch > o.shownTo(t.id.slot) {
		o.wrong("I6: slot %d shows epoch %d, which no complete cut has", t.id.slot, t.id.epoch)
	}
	for _, e := range t.outs {
		k := [3]int{e.part, e.n, e.index}
		if old, again := s.outs[k]; again {
			o.wrong("I6: %+v is shown again, it was %+v", e, old)
		}
		s.outs[k] = e
	}
	for _, f := range t.ends {
		k := [2]int{f.key, f.window}
		if n, again := s.ends[k]; again {
			o.wrong("I6: window %d of key %d is shown again with %d, it was %d", f.window, f.key, f.count, n)
		}
		if f.count != o.ends[k] {
			o.wrong("I7: window %d of key %d is shown with %d, %d are right", f.window, f.key, f.count, o.ends[k])
		}
		s.ends[k] = f.count
	}
}

// shownTo is the last epoch of a slot that a complete cut has.
func (o *oracle) shownTo(slot int) (e held.Epoch) {
	if o.job != nil {
		for g := range uint64(o.job.Gen) + 1 {
			e = max(e, o.cuts[slotGen{slot, held.Gen(g)}])
		}
	}
	return e
}

// finals are the states that are committed last; false while they are not of one
// generation.
func (o *oracle) finals() (list []*state, ok bool) {
	for i := range o.w.plan.Slots {
		r := o.top[slotGen{i, o.job.Gen}]
		if r == nil || r.State == nil {
			return nil, false
		}
		n, _ := stateOf(r)
		list = append(list, o.w.objects.states[n])
	}
	return list, true
}

// done reports that all outputs are shown and all states are final.
func (o *oracle) done() bool {
	if !o.w.healed || o.job == nil || len(o.w.sink.outs) < len(o.want) || len(o.w.sink.ends) < len(o.ends) {
		return false
	}
	list, ok := o.finals()
	read, fans := 0, 0
	for _, s := range list {
		read += s.read
		for _, f := range s.fans {
			fans += f.count
		}
	}
	all := o.w.plan.Slots * o.w.plan.Elements
	return ok && read == all && fans == all
}

// totals tells how far the states are that are committed last.
func (o *oracle) totals() string {
	if o.job == nil {
		return "there is no job record"
	}
	list, ok := o.finals()
	read, fans, tallies, outbox := 0, 0, 0, 0
	for _, s := range list {
		read += s.read
		for _, f := range s.fans {
			fans += f.count
		}
		for _, t := range s.tallies {
			tallies += t.count
		}
		outbox += len(s.outbox)
	}
	return fmt.Sprintf("of one generation %v, read %d, fanned out %d, counted %d, epochs with outputs that are not confirmed %d", ok, read, fans, tallies, outbox)
}

// judge compares with the sequential run.
func (o *oracle) judge() {
	if len(o.w.sink.outs) != len(o.want) {
		o.wrong("I6: %d outputs, %d are right", len(o.w.sink.outs), len(o.want))
	}
	counts := map[[2]int]bool{}
	var shown, sum uint32
	for k, e := range o.w.sink.outs {
		want, ok := o.want[k]
		got := e.element
		got.nonce = 0
		if !ok || got != want {
			o.wrong("I2: %+v is shown, %+v is right", e, want)
		}
		if e.count < 1 || e.count > o.counts[e.key] || counts[[2]int{e.key, e.count}] {
			o.wrong("I2: key %d has count %d twice, or beyond %d", e.key, e.count, o.counts[e.key])
		}
		counts[[2]int{e.key, e.count}] = true
		shown += e.nonce
	}
	list, _ := o.finals()
	for _, s := range list {
		for _, f := range s.fans {
			sum += f.sum
		}
	}
	if sum != shown {
		o.wrong("I2: what keys have sent is not what the sink has")
	}
}

// stuck is told that a run does not end: I10.
func (o *oracle) stuck() {
	for _, p := range o.w.procs {
		o.w.note(fmt.Sprintf("process %d: up %v paused %v leads %v", p.id, p.up, p.paused, p.leads != nil))
		if p.leads != nil {
			o.w.note(fmt.Sprintf("  leads: %v", p.leads.reg.reg))
		}
		for _, h := range p.hosts {
			phase := held.Idle
			if h.reg != nil {
				phase = h.reg.reg.Phase()
			}
			o.w.note(fmt.Sprintf("  slot %d gone %v register %d: %v", h.slot, h.gone, phase, h.core))
		}
	}
	for _, a := range o.w.acceptors {
		for _, key := range slices.Sorted(maps.Keys(a.cells)) {
			cell := held.Cell{}
			if a.cells[key].version > 0 {
				must(held.Decode(a.cells[key].bytes, &cell))
			}
			o.w.note(fmt.Sprintf("acceptor %d: %s is promised to %v, the value is by %v, version %d", a.id, key, cell.Ballot, cell.By, cell.Version))
		}
	}
	o.wrong("I10: the run does not end: %d of %d outputs are shown; %s", len(o.w.sink.outs), len(o.want), o.totals())
}
