package held

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bench is a few owners of one register, acceptors, and requests under way. A value is
// a path: what an owner puts is what it has found, and one more step.
type bench struct {
	seed      uint64
	r         *rand.Rand
	acceptors []cellAt
	owners    []*benchOwner
	wires     []wire
	ids       uint32
	longest   string // of what is durable
	done      int
	replaced  int // acceptors
}

type cellAt struct {
	version uint64
	cell    Cell
	empty   bool
	life    uint64 // rises when it is replaced
}

type benchOwner struct {
	*Register
	from  string // the longest when its takeover began
	value string
	phase Phase
}

// wire is a call that is not answered, or an answer that has not come.
type wire struct {
	owner  *benchOwner
	call   Call
	answer *Answer
}

// step lets something happen.
func (b *bench) step() {
	switch n := b.r.IntN(20); {
	case n == 0 && b.r.IntN(4) == 0:
		b.replace(b.r.IntN(len(b.acceptors)))
	case n == 0:
		i := b.r.IntN(len(b.owners))
		o := b.owners[i]
		if o.phase == Idle || o.phase == NotTaken || o.phase == Fenced || b.r.IntN(10) == 0 {
			b.ids++
			o = &benchOwner{Register: NewRegister(len(b.acceptors)), from: b.longest}
			b.owners[i] = o
			o.TakeOver(b.ids)
		}
		b.follow(o)
	case n == 1:
		o := b.owners[b.r.IntN(len(b.owners))]
		if o.Register != nil {
			o.Tick()
			b.follow(o)
		}
	case n < 5:
		o := b.owners[b.r.IntN(len(b.owners))]
		if o.phase == Taken || o.phase == Put {
			o.value += string(rune('a' + b.r.IntN(26)))
			o.Register.Put([]byte(o.value))
			b.follow(o)
		}
	case len(b.wires) > 0:
		i := b.r.IntN(len(b.wires))
		w := b.wires[i]
		switch b.r.IntN(12) {
		case 0: // it goes on, and comes again
		default:
			b.wires[i] = b.wires[len(b.wires)-1]
			b.wires = b.wires[:len(b.wires)-1]
		}
		b.carry(w)
	}
}

// carry brings a call to its acceptor, or an answer to its owner, or loses it.
func (b *bench) carry(w wire) {
	lost := b.r.IntN(12) == 0
	switch {
	case w.answer != nil:
		w.owner.Answer(*w.answer)
		b.follow(w.owner)
	case lost:
		b.wires = append(b.wires, wire{owner: w.owner, answer: &Answer{Server: w.call.Server, Number: w.call.Number, Result: Unknown}})
	default:
		a := b.serve(&b.acceptors[w.call.Server], w.call)
		if b.r.IntN(12) == 0 {
			a = Answer{Server: w.call.Server, Number: w.call.Number, Result: Unknown}
		}
		b.wires = append(b.wires, wire{owner: w.owner, answer: &a})
	}
}

// replace puts an empty acceptor in place of one, if all have a vote.
func (b *bench) replace(i int) {
	for _, a := range b.acceptors {
		if len(b.acceptors) == 1 || a.version == 0 || a.empty || a.cell.Learns {
			return
		}
	}
	life := b.acceptors[i].life + 1
	b.acceptors[i] = cellAt{version: life << 32, empty: true, life: life}
	b.replaced++
}

func (b *bench) serve(c *cellAt, call Call) Answer {
	a := Answer{Server: call.Server, Number: call.Number}
	is := c.version
	if c.empty {
		is = 0
	}
	switch {
	case call.CAS && call.Expect != is:
		a.Result = Stale
	case call.CAS:
		c.version++
		c.cell, c.empty = call.Cell, false
		is = c.version
	}
	a.Version = is
	if !call.CAS {
		a.Cell = c.cell
	}
	return a
}

// follow takes the calls of an owner, and judges what it believes.
func (b *bench) follow(o *benchOwner) {
	if o.Register == nil {
		return
	}
	for _, c := range o.Calls() {
		b.wires = append(b.wires, wire{owner: o, call: c})
	}
	if o.phase == o.Phase() {
		return
	}
	switch o.phase = o.Phase(); o.phase {
	case Taken:
		o.value = string(o.Value())
		b.judge(strings.HasPrefix(o.value, o.from), "%q is adopted, %q was durable", o.value, o.from)
	case Put:
		b.done++
		b.judge(strings.HasPrefix(o.value, b.longest) || strings.HasPrefix(b.longest, o.value), "%q is durable, and so is %q", o.value, b.longest)
		if len(o.value) > len(b.longest) {
			b.longest = o.value
		}
	}
}

// forked is what a judgement panics with.
type forked string

func (b *bench) judge(right bool, format string, args ...any) {
	if !right {
		panic(forked(fmt.Sprintf("seed %d: ", b.seed) + fmt.Sprintf(format, args...)))
	}
}

// benchRun runs a seed; how says what was wrong.
func benchRun(seed uint64, acceptors, owners, steps int) (done int, how string) {
	b := &bench{seed: seed, r: rand.New(rand.NewPCG(seed, 5)), acceptors: make([]cellAt, acceptors)}
	defer func() {
		if x, ok := recover().(forked); ok {
			how = string(x)
		}
	}()
	if seed%8 > 0 { // else nothing was ever put
		for i := range b.acceptors {
			b.acceptors[i].version = 1
		}
	}
	for range owners {
		b.owners = append(b.owners, &benchOwner{})
	}
	for range steps {
		b.step()
	}
	return b.done, ""
}

// Goal: what is durable once stays so, whoever takes over, whatever is lost, late or
// twice. Method: values are paths; none that is durable may leave the path of another,
// and what is adopted has all that was durable before. Register alone, so that a
// schedule costs next to nothing.
func TestRegister(t *testing.T) {
	for _, acceptors := range []int{1, 3} {
		done := 0
		for seed := range uint64(10000) {
			n, how := benchRun(seed, acceptors, 2+int(seed%3), 400)
			require.Empty(t, how, "%d acceptors", acceptors)
			done += n
		}
		assert.Greater(t, done, 50000, "%d acceptors", acceptors)
	}
}

// Goal: an owner that nobody disturbs gets through though one of three acceptors is
// down.
func TestRegister_oneIsDown(t *testing.T) {
	r := NewRegister(3)
	cells := []cellAt{{version: 1}, {version: 1}, {version: 1}}
	b := &bench{}
	serve := func() {
		for calls := r.Calls(); len(calls) > 0; calls = r.Calls() {
			for _, c := range calls {
				if c.Server == 1 {
					r.Answer(Answer{Server: 1, Number: c.Number, Result: Unknown})
				} else {
					r.Answer(b.serve(&cells[c.Server], c))
				}
			}
		}
	}
	r.TakeOver(7)
	serve()
	require.Equal(t, Taken, r.Phase())
	assert.Equal(t, Inc(1<<32|7), r.Ballot())
	for i := range 3 {
		r.Put([]byte{byte(i)})
		serve()
		r.Tick()
		serve()
		require.Equal(t, Put, r.Phase())
	}
	c, ok := Confirmed([]Cell{cells[0].cell, {}, cells[2].cell}, 3)
	require.True(t, ok)
	assert.Equal(t, []byte{2}, c.Value)
	_, ok = Confirmed([]Cell{cells[0].cell, {}}, 3)
	assert.False(t, ok, "one is not enough")
}

// Goal: a put is stuck where one acceptor is promised to somebody else and the others are not
// enough, and not where acceptors only are away.
func TestRegister_stuck(t *testing.T) {
	for _, x := range []struct {
		name         string
		promised     []int
		away         []int
		stuck, ready bool
	}{
		{name: "one away", away: []int{1}, ready: true},
		{name: "two away", away: []int{1, 2}},
		{name: "all away", away: []int{0, 1, 2}},
		{name: "one promised", promised: []int{2}, ready: true},
		{name: "one promised, one away", promised: []int{2}, away: []int{1}, stuck: true},
		{name: "one promised, two away", promised: []int{2}, away: []int{0, 1}},
	} {
		t.Run(x.name, func(t *testing.T) {
			r, b := NewRegister(3), &bench{}
			cells := []cellAt{{version: 1}, {version: 1}, {version: 1}}
			var away []int
			serve := func() {
				for calls := r.Calls(); len(calls) > 0; calls = r.Calls() {
					for _, c := range calls {
						if slices.Contains(away, c.Server) {
							r.Answer(Answer{Server: c.Server, Number: c.Number, Result: Unknown})
						} else {
							r.Answer(b.serve(&cells[c.Server], c))
						}
					}
				}
			}
			r.TakeOver(7)
			serve()
			for i := range 2 { // so that all have a vote
				r.Put([]byte{byte(i)})
				serve()
				require.Equal(t, Put, r.Phase())
			}
			require.False(t, r.Stuck())
			for _, i := range x.promised {
				cells[i].cell.Ballot += 1 << 32
				cells[i].version++
			}
			away = x.away
			r.Put([]byte{2})
			for range 3 {
				serve()
				require.Equal(t, x.stuck, r.Stuck())
				require.Equal(t, x.ready, r.Phase() == Put)
				r.Tick()
			}
		})
	}
}
