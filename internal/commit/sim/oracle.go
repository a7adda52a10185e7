package sim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/millrace/millrace/internal/commit"
)

// oracle judges a run from outside: it is told what was asked of the store, what
// the store answered and what the sinks show, and shares no code with lanes, cycle
// or store.
type oracle struct {
	plan Plan

	past    []image // committed epochs, but for the newest
	last    image   // the newest committed epoch
	doubt   *image  // asked for, and neither granted nor refused
	exposed bool    // doubt was handed out
	writing map[rowID]string
	open    bool // writing is of an open epoch

	flip   *flip // since the store was opened last
	warned bool  // the store has told that something is damaged

	largest int   // bytes that an epoch has needed, about
	begun   int   // elements and ends that the lanes began with
	acked   []int // by split: the element that the source may forget up to
	err     error // the first thing that was wrong
}

// image is an epoch as it was asked for.
type image struct {
	rec   *commit.Record // nil: the start of the job
	rows  map[rowID]string
	sizes map[string]int // of all files, when it was committed
}

// flip is a byte that was damaged.
type flip struct {
	file string
	at   int
}

// spares reports that no byte of an epoch, or of what was before it, is the flipped one.
func (f *flip) spares(i image) bool {
	size, there := i.sizes[f.file]
	return i.rec != nil && i.sizes != nil && (!there || f.at >= size)
}

// within reports that all files of an epoch are there, as long as they were: those that
// a later one replaces go before its commit has returned.
func (i image) within(sizes map[string]int) bool {
	for name, size := range i.sizes {
		if sizes[name] < size {
			return false
		}
	}
	return true
}

// rowID names a row. lane is -1 for the rows of keys.
type rowID struct {
	node  string
	lane  int
	group int
	key   string
}

func newOracle(p Plan) *oracle {
	return &oracle{plan: p, acked: make([]int, len(p.Splits)), last: image{rows: map[rowID]string{}}}
}

func (o *oracle) wrong(format string, args ...any) {
	if o.err == nil {
		o.err = fmt.Errorf(format, args...)
	}
}

func (i image) epoch() uint64 {
	if i.rec == nil {
		return 0
	}
	return i.rec.Epoch
}

// began is told that an epoch is open.
func (o *oracle) began(whole, relaned bool) {
	if o.open || o.doubt != nil {
		o.wrong("epoch %d is begun while another is open", o.last.epoch()+1)
	}
	o.open = true
	if whole {
		o.writing = map[rowID]string{}
	} else {
		o.writing = maps.Clone(o.last.rows)
	}
	if relaned {
		maps.DeleteFunc(o.writing, func(r rowID, _ string) bool { return r.lane >= 0 })
	}
}

func id(node string, lane, group int, key []byte) rowID {
	if group >= 0 {
		lane = -1
	}
	return rowID{node, lane, group, string(key)}
}

func (o *oracle) put(r rowID, val []byte) { o.writing[r] = string(val) }
func (o *oracle) add(r rowID, val []byte) { o.writing[r] += string(val) }
func (o *oracle) remove(r rowID)          { delete(o.writing, r) }

// asked is told that the open epoch is to be committed with rec.
func (o *oracle) asked(rec *commit.Record) {
	c := cloneRecord(rec)
	c.Epoch = o.last.epoch() + 1
	o.doubt, o.open = &image{rec: c, rows: o.writing}, false
	o.writing = nil
}

// granted is told that Commit has returned nil, and how large files are.
func (o *oracle) granted(rec *commit.Record, sizes map[string]int) {
	if rec.Epoch != o.doubt.rec.Epoch {
		o.wrong("epoch %d was committed as %d", o.doubt.rec.Epoch, rec.Epoch)
	}
	o.doubt.sizes, o.exposed = sizes, false
	o.past, o.last, o.doubt = append(o.past, o.last), *o.doubt, nil
}

// refused is told that Commit has failed. The epoch stays in doubt until the store
// is read again: one that has given up may find it there when it is opened.
func (o *oracle) refused() {}

// dropped is told that the open epoch was discarded.
func (o *oracle) dropped() { o.open = false }

// crashed is told that the process is gone.
func (o *oracle) crashed(f *flip) {
	o.open, o.warned = false, false
	if f != nil {
		o.flip = f
	}
}

// refusedToOpen is told that the store can't be opened behind a flip: there has to be
// no epoch that it could have fallen back to. sizes are those of the files now.
func (o *oracle) refusedToOpen(err error, sizes map[string]int) {
	if f := o.flip; f != nil && len(o.past) > 0 && f.spares(o.past[len(o.past)-1]) && o.past[len(o.past)-1].within(sizes) {
		o.wrong("byte %d of %s is flipped, epoch %d is whole, and the store refuses to open: %w", f.at, f.file, o.past[len(o.past)-1].epoch(), err)
	}
}

// opened is told what a store has that was opened, or that lanes go back to. It
// reports that the store has fallen back behind a flipped byte. sizes are those of the
// files now: a store may have written anew what it found.
func (o *oracle) opened(rec *commit.Record, rows []commit.Row, sizes map[string]int) (fellBack bool) {
	got := o.byID(rows)
	why := o.last.differs(rec, got)
	if why == "" && o.exposed {
		o.wrong("epoch %d was handed out before it was durable", o.doubt.epoch())
	}
	o.exposed = false
	switch {
	case why == "":
	case o.doubt != nil && o.doubt.differs(rec, got) == "":
		o.past, o.last = append(o.past, o.last), *o.doubt
	case o.flip != nil:
		fellBack = o.fallBack(rec, got, why)
	default:
		o.wrong("epoch %d was committed, but the store has another: %s", o.last.epoch(), why)
	}
	o.doubt, o.flip, o.last.sizes = nil, nil, sizes
	o.agree()
	o.begun = o.last.progress()
	return fellBack
}

// restarted is told that the cycle restarts lanes: a restart that only repeats is none.
func (o *oracle) restarted() {
	if o.last.progress() <= o.begun {
		o.wrong("a restart at epoch %d, and no source has got further", o.last.epoch())
	}
}

func (o *oracle) byID(rows []commit.Row) map[rowID]string {
	got := map[rowID]string{}
	for _, r := range rows {
		k := id(r.Node, r.Lane, r.Group, r.Key)
		if _, twice := got[k]; twice {
			o.wrong("row %v is there twice", k)
		}
		got[k] = string(r.Val)
	}
	return got
}

// read is told what was read while the next epoch was committed: one of the two, whole.
func (o *oracle) read(rec *commit.Record, rows []commit.Row) {
	got := o.byID(rows)
	why := o.last.differs(rec, got)
	switch {
	case why == "":
	case o.doubt != nil && o.doubt.differs(rec, got) == "":
		o.exposed = true
	default:
		o.wrong("read while the next epoch is committed, epoch %d is another: %s", o.last.epoch(), why)
	}
}

// agree holds rows and positions of the newest epoch to each other: as many elements
// were folded as were read.
func (o *oracle) agree() {
	var read, folded int
	for i := range o.plan.Splits {
		read += o.last.position(i)
	}
	for k, v := range o.last.rows {
		if k.node == "count" {
			folded += int(binary.BigEndian.Uint64([]byte(v)))
		}
	}
	if read != folded {
		o.wrong("epoch %d has read %d elements and has the effects of %d", o.last.epoch(), read, folded)
	}
}

// fallBack looks for the earlier epoch that the store has behind a flip: all of it, and
// none earlier than needs be.
func (o *oracle) fallBack(rec *commit.Record, got map[rowID]string, why string) bool {
	for n := len(o.past) - 1; n >= 0; n-- {
		if o.past[n].differs(rec, got) != "" {
			continue
		}
		if n < len(o.past)-1 && o.flip.spares(o.past[len(o.past)-1]) {
			o.wrong("the store falls back to epoch %d, and epoch %d is whole", o.past[n].epoch(), o.past[len(o.past)-1].epoch())
		}
		if !o.warned && n < len(o.past)-1 { // the newest alone may have been torn, for all that the store knows
			o.wrong("the store falls back to epoch %d and says nothing", o.past[n].epoch())
		}
		o.last, o.past = o.past[n], o.past[:n]
		o.forget()
		return true
	}
	o.wrong("behind a flipped byte the store has no epoch that there ever was: %s", why)
	return false
}

// forget takes back what sources may have forgotten: behind a flipped byte they are
// asked for what they have acknowledged.
func (o *oracle) forget() {
	for i := range o.acked {
		o.acked[i] = min(o.acked[i], o.last.position(i))
	}
}

// position is how many elements of a split are in an epoch.
func (i image) position(split int) int {
	if i.rec != nil {
		for _, s := range i.rec.Splits["source"] {
			if s.ID == splitID(split) {
				return decodePos(s.Pos)
			}
		}
	}
	return 0
}

// progress is how many elements were read, and how many splits are done.
func (i image) progress() int {
	if i.rec == nil {
		return 0
	}
	n := 0
	for _, s := range i.rec.Splits["source"] {
		if n += decodePos(s.Pos); s.Done {
			n++
		}
	}
	return n
}

// differs says in what the store's epoch is not i; "" if it is.
func (i image) differs(rec *commit.Record, rows map[rowID]string) string {
	if (rec == nil) != (i.rec == nil) {
		return fmt.Sprintf("want record of epoch %d, got %v", i.epoch(), rec)
	}
	if rec != nil {
		if why := recordDiffers(i.rec, rec); why != "" {
			return why
		}
	}
	if maps.Equal(i.rows, rows) {
		return ""
	}
	var diff []string
	for k, v := range i.rows {
		if got, ok := rows[k]; !ok {
			diff = append(diff, fmt.Sprintf("row %v is missing", k))
		} else if got != v {
			diff = append(diff, fmt.Sprintf("row %v is %x, not %x", k, got, v))
		}
	}
	for k := range rows {
		if _, ok := i.rows[k]; !ok {
			diff = append(diff, fmt.Sprintf("row %v should not be there", k))
		}
	}
	slices.Sort(diff)
	return fmt.Sprintf("%d rows differ: %s", len(diff), diff[0])
}

func cloneRecord(r *commit.Record) *commit.Record {
	c := *r
	c.Splits = map[string][]commit.Split{}
	for k, v := range r.Splits {
		c.Splits[k] = slices.Clone(v)
	}
	c.Times = slices.Clone(r.Times)
	return &c
}

func recordDiffers(want, got *commit.Record) string {
	switch {
	case want.Epoch != got.Epoch:
		return fmt.Sprintf("epoch %d, not %d", got.Epoch, want.Epoch)
	case want.Lanes != got.Lanes || want.Ended != got.Ended:
		return fmt.Sprintf("lanes %d ended %v, not %d %v", got.Lanes, got.Ended, want.Lanes, want.Ended)
	case !slices.Equal(want.Times, got.Times):
		return fmt.Sprintf("times %v, not %v", got.Times, want.Times)
	case len(want.Splits) != len(got.Splits):
		return "other roots"
	case want.Manifest.Hash != got.Manifest.Hash || len(want.Manifest.Nodes) != len(got.Manifest.Nodes):
		return "another manifest"
	}
	for k, v := range want.Splits {
		if !slices.EqualFunc(v, got.Splits[k], func(a, b commit.Split) bool {
			return a.ID == b.ID && a.Done == b.Done && a.Lane == b.Lane && bytes.Equal(a.Pos, b.Pos)
		}) {
			return fmt.Sprintf("splits %v, not %v", got.Splits[k], v)
		}
	}
	return ""
}

// shows is told that a sink has committed t.
func (o *oracle) shows(t *txn) {
	if t.epoch > o.last.epoch() && (o.doubt == nil || t.epoch != o.doubt.rec.Epoch) {
		o.wrong("the sink of lane %d shows epoch %d, and %d is the newest", t.lane, t.epoch, o.last.epoch())
	}
	if o.doubt != nil && t.epoch == o.doubt.rec.Epoch {
		o.wrong("the sink of lane %d shows epoch %d before it is durable", t.lane, t.epoch)
	}
}

// acknowledged is told that the source of a split may forget what is before pos.
func (o *oracle) acknowledged(split, pos int) {
	if have := o.last.position(split); pos > have {
		o.wrong("element %d of split %d is acknowledged, and epoch %d has the first %d only", pos-1, split, o.last.epoch(), have)
	}
	o.acked[split] = max(o.acked[split], pos)
}

// asksFor is told that a source is opened behind pos.
func (o *oracle) asksFor(split, pos int) {
	if pos < o.acked[split] {
		o.wrong("split %d is read from %d, and the source was told to forget all before %d", split, pos, o.acked[split])
	}
}

// found judges what the outside has when a store is opened: nothing of an epoch
// that the store does not have.
func (o *oracle) found(out *outside) {
	for _, t := range out.txns {
		if t.state == txnShown && t.epoch > o.last.epoch() {
			o.wrong("the sink of lane %d shows epoch %d, and the store has %d", t.lane, t.epoch, o.last.epoch())
		}
	}
}

// fold is what the inputs so far have made of one key.
type fold struct {
	sum  int64
	list []byte
}

// judge looks at all that the sinks show, once the run has ended: each element's
// effect once, in order, and each aggregate that of what was before it.
func (o *oracle) judge(out *outside) {
	keys := make([]fold, o.plan.Keys)
	next := make([]map[int]int, o.plan.Keys) // by key and split: the last element
	for i := range next {
		next[i] = map[int]int{}
	}
	seen := make([]int, len(o.plan.Splits))
	shown := slices.Clone(out.txns)
	slices.SortStableFunc(shown, func(a, b *txn) int { return int(a.epoch) - int(b.epoch) })
	for _, t := range shown {
		if t.state == txnPrepared {
			o.wrong("transaction %d of epoch %d is prepared still when all has ended", t.id, t.epoch)
		}
		if t.state != txnShown {
			continue
		}
		for _, x := range t.outs {
			e := elementAt(o.plan.Seed, x.split, x.n, o.plan.Keys)
			if e.key != x.key {
				o.wrong("element %d of split %d has key %d, not %d", x.n, x.split, e.key, x.key)
				continue
			}
			if last, any := next[x.key][x.split]; any && last >= x.n {
				o.wrong("epoch %d: element %d of split %d comes behind element %d", t.epoch, x.n, x.split, last)
			}
			next[x.key][x.split] = x.n
			seen[x.split]++
			k := &keys[x.key]
			k.take(e)
			if k.sum != x.sum {
				o.wrong("epoch %d: behind element %d of split %d the sum of key %d is %d, not %d", t.epoch, x.n, x.split, x.key, k.sum, x.sum)
			}
			if h := hashList(k.list); h != x.list {
				o.wrong("epoch %d: behind element %d of split %d the list of key %d is not %x", t.epoch, x.n, x.split, x.key, k.list)
			}
		}
	}
	for i, n := range o.plan.Splits {
		if seen[i] != n {
			o.wrong("%d elements of split %d have had an effect, of %d", seen[i], i, n)
		}
	}
}

// take is the specification of the keyed operator.
func (f *fold) take(e element) {
	switch e.op {
	case opAdd:
		f.sum += e.val
	case opPush:
		f.sum += e.val
		f.list = append(f.list, byte(e.val), byte(e.n), byte(e.split))
	case opTrim:
		f.list = f.list[len(f.list)/2:]
	case opClear:
		*f = fold{}
	}
}

// disk is told how much is on the disk behind a commit: some times the largest epoch,
// and what may lie behind a base, however many epochs there were.
func (o *oracle) disk(bytes, files int) {
	size := 0
	for k, v := range o.last.rows {
		size += len(k.node) + len(k.key) + len(v) + 100 // a row may have a chunk for itself
	}
	o.largest = max(o.largest, size+1000)
	if most := 5*o.largest + 3*int(o.plan.Bases); bytes > most {
		o.wrong("behind epoch %d the disk has %d bytes; the largest epoch needs %d", o.last.epoch(), bytes, o.largest)
	}
	if files > 20 {
		o.wrong("behind epoch %d there are %d files", o.last.epoch(), files)
	}
}
