package window_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/window"
)

// grouping is the smallest operator that groups by key with this package: no
// columns, no lanes, one stage. It shows the order in which an operator has to ask.
type grouping struct {
	s      window.Strategy
	p      *window.Program
	sum    bool // add integers up instead of listing the values
	each   bool // ask triggers after each element, not after each bundle
	keys   []string
	cells  map[string][]*cell // of a key, by window
	now    window.Now
	output int64 // watermark of the output
	drops  int
	emit   func(emitted)
}

// cell is all that is kept for one (key, window).
type cell struct {
	w       window.Interval
	trigger []uint64
	panes   window.Panes
	hold    window.Hold
	fresh   []string // since the last pane
	fired   []string // before it, when accumulating
	ended   bool     // the end of the window has been dealt with
	closed  bool     // the trigger has finished
	alarm   int64    // the clock must be past it
	armed   bool
}

type emitted struct {
	key, value string
	w          window.Interval
	ts         int64
	pane       window.Pane
}

type element struct {
	key, value string
	ts         int64
}

func newGrouping(s window.Strategy, emit func(emitted)) *grouping {
	return &grouping{
		s: s, p: s.Compile(), emit: emit,
		cells:  map[string][]*cell{},
		now:    window.Now{Watermark: window.MinTime},
		output: window.MinTime,
	}
}

// bundle takes elements in, then asks the triggers of the windows they touched.
func (g *grouping) bundle(elements []element) {
	var touched []*cell
	keyOf := map[*cell]string{}
	for _, e := range elements {
		for _, w := range g.s.Fn.Assign(e.ts, nil) {
			if g.s.Expired(w, g.now.Watermark) { // before merging (M27)
				g.drops++
				continue
			}
			c := g.cell(e.key, w)
			if c.closed {
				g.drops++
				continue
			}
			c.hold.Add(&g.s, c.w, e.ts, g.now.Watermark, g.output)
			c.fresh = append(c.fresh, e.value)
			g.p.OnElements(c.trigger, 1, g.now)
			if g.each {
				g.ask(e.key, c)
			} else if !slices.Contains(touched, c) {
				touched = append(touched, c)
				keyOf[c] = e.key
			}
		}
	}
	for _, c := range touched {
		if slices.Contains(g.cells[keyOf[c]], c) { // not merged away since
			g.ask(keyOf[c], c)
		}
	}
	g.settle()
}

// cell returns the cell of the window, new or not; merging windows are merged
// first.
func (g *grouping) cell(key string, w window.Interval) *cell {
	cs, known := g.cells[key]
	if !known {
		g.keys = append(g.keys, key)
	}
	if g.s.Fn.Merging() {
		return g.merge(key, w)
	}
	for _, c := range cs {
		if c.w == w {
			return c
		}
	}
	c := g.open(w)
	g.cells[key] = append(cs, c)
	return c
}

func (g *grouping) open(w window.Interval) *cell {
	return &cell{w: w, trigger: make([]uint64, g.p.Words()), ended: w.Passed(g.now.Watermark)}
}

func (g *grouping) merge(key string, w window.Interval) *cell {
	cs := g.cells[key] // sorted, as InsertSession wants it
	set := make([]window.Interval, len(cs))
	for i, c := range cs {
		set[i] = c.w
	}
	into, lo, hi := window.InsertSession(set, w)
	result := g.open(into)
	for i, c := range cs[lo:hi] {
		if i == 0 {
			copy(result.trigger, c.trigger)
		} else {
			g.p.Merge(result.trigger, c.trigger)
		}
		result.hold.Merge(&g.s, c.hold, into)
		result.fresh = append(result.fresh, c.fresh...)
		result.fired = append(result.fired, c.fired...)
		if c.w == into { // it existed: its panes go on (M10)
			result.panes, result.ended = c.panes, c.ended
		}
	}
	if lo < hi {
		g.p.OnMerged(result.trigger, into, g.now)
	}
	g.cells[key] = slices.Replace(cs, lo, hi, result)
	return result
}

// ask fires the window if its trigger is ready.
func (g *grouping) ask(key string, c *cell) {
	if !c.closed && g.p.Ready(c.trigger, c.w, g.now) {
		g.fire(key, c, g.p.OnFire(c.trigger, c.w, g.now))
	}
	c.alarm, c.armed = g.p.Deadline(c.trigger, g.now.Clock)
	c.armed = c.armed && !c.closed
}

// fire emits a pane if one is due. last says that none can follow.
func (g *grouping) fire(key string, c *cell, last bool) {
	d := c.panes.Peek(c.w, g.now.Watermark, g.output, last)
	if g.s.Emits(d, len(c.fresh) == 0) {
		values := slices.Concat(c.fired, c.fresh)
		g.emit(emitted{key, g.format(values), c.w, c.hold.Stamp(c.w), d})
		c.panes.Emit(d)
		if c.fresh = nil; g.s.Accumulation == window.AccumulatePanes {
			c.fired = values
		}
		c.hold.Fire(&g.s, last)
	}
	if last {
		c.closed, c.fresh, c.fired = true, nil, nil
		if g.s.Fn.Merging() { // a closed session is no longer there to merge (M10)
			g.remove(key, c)
		}
	}
}

func (g *grouping) remove(key string, c *cell) {
	g.cells[key] = slices.DeleteFunc(g.cells[key], func(o *cell) bool { return o == c })
}

// watermark moves the input's watermark: ends of windows and collections in order
// of time for each key, and the output's watermark after them (M63).
func (g *grouping) watermark(to int64) {
	g.now.Watermark = max(g.now.Watermark, to)
	for _, key := range g.keys {
		for {
			at, due := int64(0), (*cell)(nil)
			for _, c := range g.cells[key] {
				next := g.s.Expiry(c.w)
				if !c.ended {
					next = min(next, c.w.Last())
				}
				if to > next && (due == nil || next < at) {
					at, due = next, c
				}
			}
			if due == nil {
				break
			}
			if at < g.s.Expiry(due.w) {
				due.ended = true
				g.ask(key, due)
				continue
			}
			if !due.closed { // collect: with a last pane, even if the trigger isn't ready (M26)
				g.fire(key, due, true)
			}
			g.remove(key, due)
		}
	}
	g.settle()
}

// clock moves processing time; only windows whose alarm is past are asked.
func (g *grouping) clock(by int64) {
	g.now.Clock += by
	g.now.Synchronized = g.now.Clock
	for _, key := range g.keys {
		for _, c := range slices.Clone(g.cells[key]) {
			if c.armed && g.now.Clock > c.alarm {
				g.ask(key, c)
			}
		}
	}
	g.settle()
}

// settle publishes the output's watermark (M13), and passes trigger states through
// what a snapshot would keep of them.
func (g *grouping) settle() {
	o := g.now.Watermark
	for _, key := range g.keys {
		for _, c := range g.cells[key] {
			if at, ok := c.hold.Output(&g.s, c.w); ok && !c.closed {
				o = min(o, at)
			}
			c.trigger = slices.Clone(c.trigger)
			if err := g.p.Check(c.trigger); err != nil {
				panic(err)
			}
		}
	}
	g.output = max(g.output, o)
}

func (g *grouping) format(values []string) string {
	if !g.sum {
		values = slices.Sorted(slices.Values(values))
		return "[" + strings.Join(values, ",") + "]"
	}
	total := 0
	for _, v := range values {
		n, err := strconv.Atoi(v)
		if err != nil {
			panic(err)
		}
		total += n
	}
	return strconv.Itoa(total)
}

func (e emitted) String() string {
	p := e.pane
	s := fmt.Sprintf("%s %s %v @%d %v %d/%d", e.key, e.value, e.w, e.ts, p.Timing, p.Index, p.NonSpeculativeIndex)
	if p.First {
		s += " first"
	}
	if p.Last {
		s += " last"
	}
	return s
}
