package sim

import (
	"time"

	"github.com/millrace/millrace/internal/held"
	"github.com/millrace/millrace/internal/held/plant"
)

// acceptor keeps registers: a compare-and-set over bytes.
type acceptor struct {
	id    int
	down  bool
	life  uint64 // rises when an empty one comes in its place
	cells map[string]*stored
}

type stored struct {
	version uint64 // 0: nothing is stored
	next    uint64
	bytes   []byte
}

func newAcceptor(i int) *acceptor {
	return &acceptor{id: acceptorsFrom + i, cells: map[string]*stored{}}
}

func (a *acceptor) get(key string) *stored {
	s := a.cells[key]
	if s == nil {
		s = &stored{next: a.life<<32 + 1}
		a.cells[key] = s
	}
	return s
}

// answer is what an acceptor does with a call.
func (w *world) answer(a *acceptor, key string, c held.Call) held.Answer {
	s := a.get(key)
	ans := held.Answer{Server: c.Server, Number: c.Number}
	if c.CAS {
		if s.version != c.Expect && !plant.Is(plant.StaleIsWritten) {
			ans.Result = held.Stale
			return ans
		}
		s.version, s.next = s.next, s.next+1
		s.bytes = held.Append(nil, &c.Cell)
		w.oracle.stored(a, key, &c.Cell)
	} else if s.version > 0 {
		if err := held.Decode(s.bytes, &ans.Cell); err != nil {
			panic(err)
		}
	}
	ans.Version = s.version
	return ans
}

// replace puts an empty acceptor in place of one that has lost what it had, if all have
// a vote in all registers.
func (w *world) replace(old *acceptor) {
	for i := range w.plan.Slots + 1 {
		key := "job"
		if i < w.plan.Slots {
			key = slotKey(i)
		}
		for _, a := range w.acceptors {
			s, cell := a.get(key), held.Cell{}
			if s.version == 0 {
				return
			}
			if must(held.Decode(s.bytes, &cell)); cell.Learns {
				return
			}
		}
	}
	old.cells = map[string]*stored{}
	old.life++
	w.count.Replaced++
	w.note("replaced", uint64(old.id))
}

// client is a register as a process uses it.
type client struct {
	p    *proc
	key  string
	reg  *held.Register
	then func() // after each change of phase
	gone func() bool
	stop func()        // ends the owner
	from time.Duration // that the put began which is under way
}

// putMost is how long a put may take: where one acceptor is promised to a taker that
// died, and another is down or new, only a takeover helps.
const putMost = 250 * time.Millisecond

func (w *world) client(p *proc, key string, gone func() bool, then, stop func()) *client {
	c := &client{p: p, key: key, reg: held.NewRegister(len(w.acceptors)), then: then, gone: gone, stop: stop}
	p.every(ms(6), ms(9), func() bool {
		if gone() {
			return false
		}
		before, stuck := c.reg.Phase(), c.reg.Stuck()
		c.reg.Tick()
		c.flush(before)
		if stuck && c.reg.Phase() == held.Putting && w.now-c.from >= putMost && !gone() {
			w.count.GivenUp++
			w.note("gives up a put of "+key, uint64(p.id))
			stop()
			return false
		}
		return true
	})
	return c
}

func (c *client) takeOver() {
	w := c.p.w
	w.ids++
	c.reg.TakeOver(w.ids)
	c.flush(held.Taking)
}

func (c *client) put(b []byte) {
	c.from = c.p.w.now
	c.reg.Put(b)
	c.flush(held.Putting)
}

// flush sends calls, and says when the phase is another one.
func (c *client) flush(before held.Phase) {
	for _, call := range c.reg.Calls() {
		c.call(call)
	}
	if c.reg.Phase() != before {
		c.then()
	}
}

// call asks an acceptor, and reports Unknown when no answer comes in time.
func (c *client) call(call held.Call) {
	c.p.ask(c.key, call, c.gone, func(a held.Answer) {
		before := c.reg.Phase()
		c.reg.Answer(a)
		c.flush(before)
	})
}

// ask asks an acceptor; then gets the answer, and Unknown where none comes in time.
func (p *proc) ask(key string, call held.Call, gone func() bool, then func(held.Answer)) {
	w, life := p.w, p.life
	a := w.acceptors[call.Server]
	w.send(p.id, a.id, func() {
		if a.down {
			return
		}
		ans := w.answer(a, key, call)
		w.send(a.id, p.id, func() {
			p.run(life, func() {
				if !gone() {
					then(ans)
				}
			})
		})
	})
	p.after(w.between(4*time.Millisecond, 7*time.Millisecond), func() {
		if !gone() {
			then(held.Answer{Server: call.Server, Number: call.Number, Result: held.Unknown})
		}
	})
}

// confirmed reads a register without owning it; then gets its value, or nil.
func (p *proc) confirmed(key string, gone func() bool, then func([]byte)) {
	w := p.w
	cells := make([]*held.Cell, len(w.acceptors))
	for i := range w.acceptors {
		p.ask(key, held.Call{Server: i}, gone, func(a held.Answer) {
			if a.Result == held.OK && cells[i] == nil {
				cells[i] = &a.Cell
			}
		})
	}
	p.after(ms(8), func() {
		if gone() {
			return
		}
		var list []held.Cell
		for _, c := range cells {
			if c != nil {
				list = append(list, *c)
			}
		}
		cell, ok := held.Confirmed(list, len(w.acceptors))
		if !ok || cell.Version == 0 {
			then(nil)
			return
		}
		then(cell.Value)
	})
}
