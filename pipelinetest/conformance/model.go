package conformance

import (
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/window"
)

// model is one key's part of a grouping, as plainly as can be: no lanes, no
// tables, no snapshots. Triggers are asked after each element.
type model struct {
	s       window.Strategy
	p       *window.Program
	sum     bool
	key     string
	cells   []*modelCell // by window
	now     window.Now
	output  int64 // watermark of the output, as far as this key has a say
	step    pipelinetest.Step
	outputs []pipelinetest.Output[kv]
}

// modelCell is what is kept for one window.
type modelCell struct {
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

// modelled is what a scenario of one window stage and one grouping must give.
func modelled(sc scenario) (out []pipelinetest.Output[kv]) {
	fn, opts := sc.Stages[0].window.strategy(true)
	var keys []string
	for _, st := range sc.Script {
		for _, e := range st.Add {
			if !slices.Contains(keys, e.key) {
				keys = append(keys, e.key)
			}
		}
	}
	for _, key := range keys {
		s := window.New(fn, opts...)
		m := &model{s: s, p: s.Compile(), sum: sc.Stages[1].kind == "sum", key: key, now: window.Now{Watermark: window.MinTime}, output: window.MinTime}
		for i, st := range sc.Script {
			m.step = pipelinetest.Step(i)
			m.do(st)
		}
		out = append(out, m.outputs...)
	}
	return out
}

func (m *model) do(st scriptStep) {
	switch {
	case st.Add != nil:
		for _, e := range st.Add {
			if e.key == m.key {
				m.element(e)
			}
		}
	case st.Watermark != nil:
		m.watermark(*st.Watermark)
	case st.End:
		m.watermark(window.MaxTime)
	default:
		m.now.Clock += st.Clock
		m.now.Synchronized = m.now.Clock
		for _, c := range slices.Clone(m.cells) {
			if c.armed && m.now.Clock > c.alarm {
				m.ask(c)
			}
		}
	}
	m.settle()
}

func (m *model) element(e element) {
	for _, w := range m.s.Fn.Assign(e.ts, nil) {
		if m.s.Expired(w, m.now.Watermark) { // before merging (M27)
			continue
		}
		c := m.cell(w)
		if c.closed {
			continue
		}
		c.hold.Add(&m.s, c.w, e.ts, m.now.Watermark, m.output)
		c.fresh = append(c.fresh, e.value)
		m.p.OnElements(c.trigger, 1, m.now)
		m.ask(c)
	}
}

func (m *model) cell(w window.Interval) *modelCell {
	if m.s.Fn.Merging() {
		return m.merge(w)
	}
	for _, c := range m.cells {
		if c.w == w {
			return c
		}
	}
	c := m.open(w)
	m.cells = append(m.cells, c)
	return c
}

func (m *model) open(w window.Interval) *modelCell {
	return &modelCell{w: w, trigger: make([]uint64, m.p.Words()), ended: w.Passed(m.now.Watermark)}
}

func (m *model) merge(w window.Interval) *modelCell {
	var set []window.Interval
	for _, c := range m.cells {
		set = append(set, c.w)
	}
	into, lo, hi := window.InsertSession(set, w)
	r := m.open(into)
	for i, c := range m.cells[lo:hi] {
		if i == 0 {
			copy(r.trigger, c.trigger)
		} else {
			m.p.Merge(r.trigger, c.trigger)
		}
		r.hold.Merge(&m.s, c.hold, into)
		r.fresh, r.fired = append(r.fresh, c.fresh...), append(r.fired, c.fired...)
		if c.w == into { // it existed: its panes go on (M10)
			r.panes, r.ended = c.panes, c.ended
		}
	}
	if lo < hi {
		m.p.OnMerged(r.trigger, into, m.now)
	}
	m.cells = slices.Replace(m.cells, lo, hi, r)
	return r
}

// ask fires the window if its trigger is ready.
func (m *model) ask(c *modelCell) {
	if !c.closed && m.p.Ready(c.trigger, c.w, m.now) {
		m.fire(c, m.p.OnFire(c.trigger, c.w, m.now))
	}
	c.alarm, c.armed = m.p.Deadline(c.trigger, m.now.Clock)
	c.armed = c.armed && !c.closed
}

// fire emits a pane if one is due. last says that none can follow.
func (m *model) fire(c *modelCell, last bool) {
	if d := c.panes.Peek(c.w, m.now.Watermark, m.output, last); m.s.Emits(d, len(c.fresh) == 0) {
		values := slices.Concat(c.fired, c.fresh)
		m.outputs = append(m.outputs, pipelinetest.Output[kv]{Value: pipeline.NewKV(m.key, m.format(values)), Window: c.w, TimestampMs: c.hold.Stamp(c.w), Pane: d, Step: m.step})
		c.panes.Emit(d)
		if c.fresh = nil; m.s.Accumulation == window.AccumulatePanes {
			c.fired = values
		}
		c.hold.Fire(&m.s, last)
	}
	if last {
		c.closed, c.fresh, c.fired = true, nil, nil
		if m.s.Fn.Merging() { // a closed session is no longer there to merge (M11)
			m.remove(c)
		}
	}
}

func (m *model) remove(c *modelCell) {
	m.cells = slices.DeleteFunc(m.cells, func(o *modelCell) bool { return o == c })
}

// watermark passes ends of windows and collections in order of time (M63).
func (m *model) watermark(to int64) {
	m.now.Watermark = max(m.now.Watermark, to)
	for {
		at, due := int64(0), (*modelCell)(nil)
		for _, c := range m.cells {
			next := m.s.Expiry(c.w)
			if !c.ended {
				next = min(next, c.w.Last())
			}
			if m.now.Watermark > next && (due == nil || next < at) {
				at, due = next, c
			}
		}
		switch {
		case due == nil:
			return
		case at < m.s.Expiry(due.w):
			due.ended = true
			m.ask(due)
		default:
			if !due.closed { // collect: with a last pane, even if the trigger isn't ready (M26)
				m.fire(due, true)
			}
			m.remove(due)
		}
	}
}

// settle publishes the output's watermark (M13).
func (m *model) settle() {
	at := m.now.Watermark
	for _, c := range m.cells {
		if h, ok := c.hold.Output(&m.s, c.w); ok && !c.closed {
			at = min(at, h)
		}
	}
	m.output = max(m.output, at)
}

func (m *model) format(values []string) string {
	if !m.sum {
		return "[" + strings.Join(slices.Sorted(slices.Values(values)), ",") + "]"
	}
	total := int64(0)
	for _, v := range values {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			panic(err)
		}
		total += n
	}
	return strconv.FormatInt(total, 10)
}
