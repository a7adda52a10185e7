package sim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/millrace/millrace/internal/held"
)

// Result is how a run ended.
type Result struct {
	Err   error  // what the oracle found; nil: nothing
	Hash  uint64 // of all that happened, in order
	Count Counters
}

// world is one run.
type world struct {
	plan   Plan
	r      *rand.Rand
	now    time.Duration
	seq    int
	queue  events
	healed bool
	drains bool // the job is to come to its last cut
	trace  func(string)
	hash   uint64
	count  Counters

	procs     []*proc
	acceptors []*acceptor
	blocked   map[[2]int]time.Duration // from, to: until when
	ids       uint32
	oracle    *oracle
	objects   objects
	sink      sink
}

// event is what happens at a time.
type event struct {
	at  time.Duration
	seq int
	do  func()
}

type events []event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(event)) }
func (q *events) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*q = old[:len(old)-1]
	return e
}

// after does something later.
func (w *world) after(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.queue, event{w.now + d, w.seq, do})
}

// between draws a time.
func (w *world) between(from, to time.Duration) time.Duration {
	return from + time.Duration(w.r.Int64N(int64(to-from)+1))
}

// odds draws whether something of n in a thousand happens, before all is healed.
func (w *world) odds(n int) bool { return !w.healed && w.r.IntN(1000) < n }

// proc is a process.
type proc struct {
	w      *world
	id     int
	life   uint64 // rises with each start
	up     bool
	paused bool
	mute   time.Duration // until when what it tells is lost
	deaf   time.Duration // until when what leaders tell it is lost
	later  []func()      // what happens when it goes on
	hosts  []*host
	leads  *leading
	job    *held.News // the newest that was heard
}

// domain is the failure domain of a life of a process.
func (p *proc) domain() uint64 { return p.life<<8 | uint64(p.id) + 1 }

// run does something in the process, if it is still the same life.
func (p *proc) run(life uint64, do func()) {
	switch {
	case !p.up || p.life != life:
	case p.paused:
		p.later = append(p.later, func() { p.run(life, do) })
	default:
		do()
	}
}

// after does something in the process later.
func (p *proc) after(d time.Duration, do func()) {
	life := p.life
	p.w.after(d, func() { p.run(life, do) })
}

// every does something in the process again and again, as long as it says true.
func (p *proc) every(from, to time.Duration, do func() bool) {
	p.after(p.w.between(from, to), func() {
		if do() {
			p.every(from, to, do)
		}
	})
}

// send carries something over the network: it may be lost, doubled, late.
func (w *world) send(from, to int, do func()) {
	n := 1
	if w.odds(w.plan.Twice) {
		n = 2
	}
	for range n {
		if w.blocked[[2]int{from, to}] > w.now || w.odds(w.plan.Loss) {
			w.count.Lost++
			continue
		}
		d := w.between(100*time.Microsecond, time.Millisecond)
		if w.odds(w.plan.Late) {
			d += w.between(0, 60*time.Millisecond)
		}
		w.after(d, func() {
			if w.blocked[[2]int{from, to}] <= w.now {
				do()
			}
		})
	}
}

// toSlot sends to all hosts of a slot, also to those that are not its owners any more.
func (w *world) toSlot(from *proc, slot int, do func(*host)) {
	for _, p := range w.procs {
		if !p.has(slot) {
			continue
		}
		w.send(from.id, p.id, func() {
			p.run(p.life, func() {
				for _, h := range p.hosts {
					if h.slot == slot && !h.gone {
						do(h)
					}
				}
			})
		})
	}
}

// standbyOf is what stands by a slot in the process; nil if nothing does.
func (p *proc) standbyOf(slot int) *host {
	for _, h := range p.hosts {
		if h.slot == slot && h.waits && !h.gone {
			return h
		}
	}
	return nil
}

// has reports that a slot has a host in the process, or a standby.
func (p *proc) has(slot int) bool {
	for _, h := range p.hosts {
		if h.slot == slot && !h.gone {
			return true
		}
	}
	return false
}

// Run runs a plan. trace is told what happens in words, or nil.
func Run(p Plan, trace func(string)) (res Result) {
	w := &world{plan: p, r: rand.New(rand.NewPCG(p.Seed, 2)), trace: trace, hash: 14695981039346656037, blocked: map[[2]int]time.Duration{}}
	w.oracle = newOracle(w)
	w.objects = newObjects()
	w.sink = newSink()
	defer func() {
		if x := recover(); x != nil {
			if _, found := x.(found); !found {
				panic(x)
			}
		}
		res = Result{Err: w.oracle.err, Hash: w.hash, Count: w.count}
	}()
	for i := range p.Acceptors {
		w.acceptors = append(w.acceptors, newAcceptor(i))
	}
	for i := range p.Slots + p.Spare {
		w.procs = append(w.procs, &proc{w: w, id: i, life: 1, up: true})
	}
	w.lead(w.procs[0])
	for i := range p.Slots {
		w.host(w.procs[i], i)
	}
	w.detect()
	for _, f := range p.Faults {
		w.after(f.At, func() { w.fire(f) })
	}
	w.after(faultsEnd, w.heal)
	w.loop()
	return res
}

// found is what ends a run at the first thing that is wrong.
type found struct{}

// longest is how long a run may last after all is healed.
const longest = 6 * time.Second

func (w *world) loop() {
	for w.queue.Len() > 0 && w.now < faultsEnd+longest {
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		e.do()
		if w.seq%64 == 0 && w.oracle.done() {
			w.count.Healed += w.now - min(w.now, faultsEnd)
			w.oracle.judge()
			return
		}
	}
	w.oracle.stuck()
}

// note tells what happens, and takes it into the hash.
func (w *world) note(what string, v ...uint64) {
	const prime = 1099511628211
	for i := range len(what) {
		w.hash = (w.hash ^ uint64(what[i])) * prime
	}
	w.hash = (w.hash ^ uint64(w.now)) * prime
	for _, x := range v {
		w.hash = (w.hash ^ x) * prime
	}
	if w.trace != nil {
		w.trace(fmt.Sprintf("%10v %s %s", w.now, what, numbers(v)))
	}
}

// numbers writes incarnations as round.id.
func numbers(v []uint64) (s string) {
	for _, x := range v {
		if x>>32 > 0 && x>>32 < 1<<16 {
			s += fmt.Sprintf(" %d.%d", x>>32, x&0xffffffff)
		} else {
			s += fmt.Sprintf(" %d", x)
		}
	}
	return s
}
