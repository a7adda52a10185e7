package engine

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// laneView is what one lane knows of time at one instant: the facts from which
// [why] concludes.
type laneView struct {
	lane   int
	now    int64
	stages []stageView
}

type stageView struct {
	wm       int64
	idle     bool
	finished bool
	inputs   []inputView
	ops      []opView
	splits   []splitView // of a root: those that this lane reads
	times    []splitTime // of a clock
	waiting  int         // of a root: splits that are not open yet
}

type inputView struct {
	aside   bool
	senders []senderProgress
}

type opView struct {
	node    *graph.Node
	parent  int
	in, out int64
	windows []openWindow
	held    string // what holds the output back, in words; "" for nothing
}

// openWindow is a window that has data and has not been collected.
type openWindow struct {
	win  window.Interval
	keys int
}

type splitView struct {
	split  int // as in Ctx.Split
	id     string
	silent time.Duration // for how long it has brought nothing
	state  graph.ReadState
	behind bool // not read at present: it is ahead of others with which it is aligned
}

type splitTime struct {
	split int
	max   int64 // newest time seen; MIN: none
	idle  bool
}

// askForViews is a request to all lanes; each answers once.
type askForViews struct{ answers chan laneView }

// view gathers the facts. It runs on the lane.
func (l *lane) view() laneView {
	v := laneView{lane: l.id, now: l.inc.run.Clock()}
	for _, st := range l.stages {
		p := &l.progress.stages[st.id]
		s := stageView{wm: p.wm, idle: p.idle, finished: st.finished}
		for i := range p.in {
			s.inputs = append(s.inputs, inputView{p.in[i].aside, slices.Clone(p.in[i].senders)})
		}
		for i := range st.ops {
			o := &st.ops[i]
			x := opView{node: o.node, parent: o.parent, in: o.in, out: o.out}
			if w, ok := o.live.(interface {
				Windows(yield func(window.Interval, int))
			}); ok {
				w.Windows(func(w window.Interval, keys int) { x.windows = append(x.windows, openWindow{w, keys}) })
			}
			if h, ok := o.live.(interface{ HeldBy() string }); ok && o.out < o.in {
				x.held = h.HeldBy()
			}
			s.ops = append(s.ops, x)
		}
		for _, r := range st.readers {
			s.splits = append(s.splits, splitView{split: st.pool.base + r.split, id: st.pool.id(r.split),
				silent: time.Duration(l.freeTime()-r.since) * time.Millisecond, state: r.state, behind: st.tooFar(r)})
		}
		if st.pool != nil {
			s.waiting = st.pool.waiting()
		}
		if t, ok := st.clock.(interface {
			Times(yield func(split int, max int64, idle bool))
		}); ok {
			t.Times(func(split int, max int64, idle bool) { s.times = append(s.times, splitTime{split, max, idle}) })
			slices.SortFunc(s.times, func(a, b splitTime) int { return a.split - b.split })
		}
		v.stages = append(v.stages, s)
	}
	return v
}

// answer answers a request that this lane has not answered yet.
func (l *lane) answer() {
	if ask := l.inc.cfg.Observe.asked.Load(); ask != nil && ask != l.answered {
		l.answered = ask
		ask.answers <- l.view() // has room for every lane
	}
}

// Explanation says what time it is in a run, and why.
type Explanation struct {
	Stages []StageTime
	Busy   []int // lanes that did not answer: they are in user code, or wait for room
}

// StageTime is a stage that has not ended.
type StageTime struct {
	Transform string
	Pos       string // the user's file:line
	Watermark int64  // of its input, the least of all lanes, Unix ms
	Ahead     bool   // a clock has seen times beyond the end of the oldest open window
	Oldest    window.Interval
	Windows   int      // that have data and are not fired or not collected, on all lanes together
	Why       []string // what holds the watermark, one sentence for each step towards the source
}

// Explain asks all lanes and concludes. It waits for their answers for at most
// patience. It may be called from any goroutine; the result is empty before the
// run has begun, and when it has ended.
func (o *Observer) Explain(patience time.Duration) (e Explanation) {
	s := o.state.Load()
	if s == nil || s.poke == nil {
		return e
	}
	ask := &askForViews{make(chan laneView, s.lanes)}
	o.asked.Store(ask)
	s.poke()
	views := make([]*laneView, s.lanes)
	t := time.NewTimer(patience)
	defer t.Stop()
	for n := 0; n < s.lanes; n++ {
		select {
		case v := <-ask.answers:
			views[v.lane] = &v
		case <-t.C:
			n = s.lanes
		case <-s.over:
			return Explanation{}
		}
	}
	return explain(s.plan, views)
}

// explain concludes from the lanes' facts; nil is a lane that did not answer.
func explain(p *plan, views []*laneView) (e Explanation) {
	for lane, v := range views {
		if v == nil {
			e.Busy = append(e.Busy, lane)
		}
	}
	newest := int64(window.MinTime)
	for _, v := range views {
		if v != nil {
			for _, s := range v.stages {
				for _, t := range s.times {
					newest = max(newest, t.max)
				}
			}
		}
	}
	for id := range p.stages {
		if t, ok := stageTime(p, views, id); ok {
			t.Ahead = t.Windows > 0 && newest > t.Oldest.Last()
			e.add(t)
		}
	}
	return e
}

// add adds a stage. The two halves of a combiner, before and behind the shuffle,
// are one for people: the one that is further behind speaks.
func (e *Explanation) add(t StageTime) {
	t.Transform = strings.TrimSuffix(t.Transform, ".Lift")
	for i := range e.Stages {
		if s := &e.Stages[i]; s.Transform == t.Transform && s.Pos == t.Pos {
			if t.Watermark <= s.Watermark {
				*s = t
			}
			return
		}
	}
	e.Stages = append(e.Stages, t)
}

// stageTime is the time of the operator of a stage that has open windows and is
// furthest behind, or of the stage's first operator.
func stageTime(p *plan, views []*laneView, id int) (t StageTime, ok bool) {
	lane, op := -1, -1
	for l, v := range views {
		if v == nil || v.stages[id].finished {
			continue
		}
		for i := range v.stages[id].ops {
			o := &v.stages[id].ops[i]
			if len(o.windows) == 0 {
				continue
			}
			t.Windows += len(o.windows)
			oldest := slices.MinFunc(o.windows, func(a, b openWindow) int { return a.win.Compare(b.win) }).win
			if lane < 0 || o.in < t.Watermark || o.in == t.Watermark && oldest.End < t.Oldest.End {
				lane, op, t.Watermark, t.Oldest = l, i, o.in, oldest
			}
		}
	}
	if lane < 0 {
		return t, false
	}
	o := &views[lane].stages[id].ops[op]
	t.Transform, t.Pos = o.node.Name, o.node.Pos
	w := why{p: p, views: views}
	w.operator(lane, id, op)
	t.Why = w.steps
	return t, true
}

// why follows a watermark from where it is needed to what holds it.
type why struct {
	p     *plan
	views []*laneView
	steps []string
}

func (w *why) say(f string, a ...any) { w.steps = append(w.steps, fmt.Sprintf(f, a...)) }

// operator says what holds the input of an operator.
func (w *why) operator(lane, stage, op int) {
	s := &w.views[lane].stages[stage]
	for i := s.ops[op].parent; i >= 0; i = s.ops[i].parent {
		if o := &s.ops[i]; o.out < o.in {
			w.holder(o)
			return
		}
	}
	w.stage(lane, stage)
}

func (w *why) holder(o *opView) {
	held := o.held
	if held == "" {
		held = "by what it has not emitted yet"
	}
	w.say("%s (%s) holds it at %s: %s", o.node.Name, o.node.Pos, instant(o.out), held)
}

// stage says what holds a stage's watermark.
func (w *why) stage(lane, stage int) {
	st, s := w.p.stages[stage], &w.views[lane].stages[stage]
	switch {
	case st.root():
		w.root(lane, stage)
		return
	case st.clock:
		w.clock(lane, stage)
		return
	}
	// the input and the sender that are furthest behind
	input, from, low := -1, -1, int64(window.MaxTime)
	for i := range s.inputs {
		if s.inputs[i].aside {
			continue
		}
		for _, x := range s.inputs[i].senders {
			if !x.idle && (input < 0 || x.wm < low) {
				input, from, low = i, x.lane, x.wm
			}
		}
	}
	if input < 0 {
		w.say("all that it reads is idle: nothing has come for so long that IdleAfter left it out, and the watermark stays")
		return
	}
	sender := st.inputs[input].from
	if from >= len(w.views) {
		w.say("slot %d, which was at %s in %s at the end of its newest epoch", from-len(w.views), instant(low), sender.nodes[0].Name)
		return
	}
	if w.views[from] == nil {
		w.say("lane %d, which is at %s in %s, does not answer: it is in user code or waits for room", from, instant(low), sender.nodes[0].Name)
		return
	}
	v := &w.views[from].stages[sender.id]
	// what governs the way out: the last operator that holds something back
	for i := len(v.ops) - 1; i >= 0; i-- {
		if o := &v.ops[i]; o.out < o.in && o.out <= low {
			w.holder(o)
			return
		}
	}
	w.stage(from, sender.id)
}

// clock says which split holds an EventTime's watermark.
func (w *why) clock(lane, stage int) {
	st, s := w.p.stages[stage], &w.views[lane].stages[stage]
	node := st.nodes[0]
	for _, root := range st.roots {
		if n := w.views[lane].stages[root.id].waiting; n > 0 {
			w.say("%s (%s) waits: %d pieces of %s (%s) are still to be read", node.Name, node.Pos, n, root.nodes[0].Name, root.nodes[0].Pos)
			return
		}
	}
	var low *splitTime
	for i := range s.times {
		if t := &s.times[i]; !t.idle && (low == nil || t.max < low.max) {
			low = t
		}
	}
	if low == nil {
		w.say("%s (%s) has nothing to read on lane %d, or all of it is idle", node.Name, node.Pos, lane)
		return
	}
	for _, root := range st.roots {
		for _, x := range w.views[lane].stages[root.id].splits {
			if x.split == low.split {
				w.split(node, root.nodes[0], x, *low)
				return
			}
		}
	}
	w.say("%s (%s) follows what lane %d sends it, whose newest time is %s", node.Name, node.Pos, low.split, instant(low.max))
}

func (w *why) split(clock, source *graph.Node, x splitView, t splitTime) {
	newest := "nothing has come from it yet"
	if t.max != window.MinTime {
		newest = "its newest time is " + instant(t.max)
	}
	switch {
	case x.behind:
		w.say("%s (%s) follows split %q of %s (%s), which waits for others with which it is aligned: %s", clock.Name, clock.Pos, x.id, source.Name, source.Pos, newest)
	case x.state == graph.Idle:
		w.say("%s (%s) follows split %q of %s (%s), which has been silent for %v: %s", clock.Name, clock.Pos, x.id, source.Name, source.Pos, x.silent.Round(time.Millisecond), newest)
		w.say("if a split may be silent, set pipeline.IdleAfter on the EventTime at %s: the others then go on without it", clock.Pos)
	default:
		w.say("%s (%s) follows split %q of %s (%s), which is the one furthest behind: %s", clock.Name, clock.Pos, x.id, source.Name, source.Pos, newest)
	}
}

// root says what a source's own watermark is.
func (w *why) root(lane, stage int) {
	n, s := w.p.stages[stage].nodes[0], &w.views[lane].stages[stage]
	switch {
	case s.waiting > 0:
		w.say("%s (%s) has %d pieces that are still to be read", n.Name, n.Pos, s.waiting)
	case s.wm == window.MinTime && len(s.splits) > 0:
		w.say("%s (%s) promises no time before its end, and is not at its end: give its elements times with pipeline.EventTime", n.Name, n.Pos)
	case len(s.splits) > 0:
		w.say("%s (%s) has promised %s itself, for split %q and others on lane %d", n.Name, n.Pos, instant(s.wm), s.splits[0].id, lane)
	default:
		w.say("%s (%s) has nothing to read on lane %d", n.Name, n.Pos, lane)
	}
}

func instant(ms int64) string {
	switch {
	case ms <= window.MinTime:
		return "the beginning of time"
	case ms >= window.GlobalEnd:
		return "the end of time"
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}

// String is the explanation for people, a paragraph for each stage that has open
// windows.
func (e Explanation) String() string {
	var b strings.Builder
	for _, s := range e.Stages {
		fmt.Fprintf(&b, "%s (%s) has %d open windows, the oldest %s.\n", s.Transform, s.Pos, s.Windows, interval(s.Oldest))
		fmt.Fprintf(&b, "  It fires when the watermark has passed %s; the watermark is %s.\n", instant(s.Oldest.Last()), instant(s.Watermark))
		for _, y := range s.Why {
			fmt.Fprintf(&b, "  %s%s.\n", strings.ToUpper(y[:1]), y[1:])
		}
	}
	if len(e.Stages) == 0 {
		b.WriteString("No window is open.\n")
	}
	for _, lane := range e.Busy {
		fmt.Fprintf(&b, "Lane %d does not answer: it is in user code, or waits for room.\n", lane)
	}
	return b.String()
}

// Window is the oldest window for people.
func (s StageTime) Window() string { return interval(s.Oldest) }

func interval(w window.Interval) string {
	if w == window.Global {
		return "the global window"
	}
	return fmt.Sprintf("[%s, %s)", instant(w.Start), instant(w.End))
}

// explaining is the observer's part of an explanation.
type explaining struct{ asked atomic.Pointer[askForViews] }
