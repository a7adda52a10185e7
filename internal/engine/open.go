package engine

import (
	"fmt"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// open makes every operator of the lane, consumers before producers, so that
// each gets its outputs' receivers; then it loads state and starts them.
func (l *lane) open() (err error) {
	defer l.recovered(&err)
	ins := map[*graph.Node][]any{}
	for si := len(l.inc.plan.stages) - 1; si >= 0; si-- {
		st := l.stages[si]
		for i := len(st.nodes) - 1; i >= 0; i-- {
			n := st.nodes[i]
			outs := make([]any, len(n.Out))
			for o := range n.Out {
				outs[o] = l.output(st, n, o, ins)
			}
			l.c.Op = n.ID
			if n.Src != nil {
				st.pool.outs[l.id] = outs[0]
				continue
			}
			in, live := n.Op.Open(l.c, outs)
			if live != nil {
				o := newLiveOp(n, live)
				if l.holds(&o) {
					in[0] = l.hold(&o, in[0])
				}
				st.ops = append([]liveOp{o}, st.ops...)
			}
			ins[n] = in
			if st.stage.clock && i == 0 {
				st.clock = live.(graph.Clock)
			}
		}
		for _, in := range st.inputs {
			var d func(graph.Batch)
			if in.queue && !in.in.Signal {
				e := l.edge(in)
				d = e.Receiver(l.c, ins[in.node][in.port])
				if in.shuffled {
					l.landings[in.edge].e = e
				}
			}
			st.deliver = append(st.deliver, d)
		}
		st.govern()
	}
	if err := l.load(); err != nil {
		return err
	}
	for _, st := range l.stages {
		for i := range st.ops {
			o := &st.ops[i]
			if o.outbox != nil && o.outbox.waits {
				continue
			}
			if err := l.start(o); err != nil {
				return &graph.UserError{Node: o.node, Err: err}
			}
		}
	}
	return l.restoreWatermarks()
}

func (l *lane) start(o *liveOp) error {
	s, ok := o.live.(graph.Starter)
	if !ok {
		return nil
	}
	l.c.Op = o.node.ID
	if err := s.Start(l.c); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	return nil
}

// output is the receiver of one output: all its consumers, those on other lanes
// behind an edge.
func (l *lane) output(st *laneStage, n *graph.Node, out int, ins map[*graph.Node][]any) any {
	var rs []any
	for _, c := range l.inc.plan.consumers[graph.Ref{Node: n, Out: out}] {
		r := ins[c.node][c.port]
		if c.in != nil && c.in.queue {
			in, queues := c.in, l.queuesOf(st, c.in)
			first, e := l.inc.plan.at.first(), l.edge(in)
			send := func(to int, b graph.Batch) graph.Batch {
				return l.send(in, queues[to-first], to-first, msg{batch: b})
			}
			var flushFrames func()
			if in.shuffled {
				send, flushFrames = l.shuffled(in, e, send)
			}
			recv, flush := e.Sender(l.c, l.inc.run.Owner, send)
			st.flushes = append(st.flushes, flush)
			if flushFrames != nil {
				st.flushes = append(st.flushes, flushFrames) // behind what makes them
			}
			r = recv
		}
		rs = append(rs, r)
	}
	return n.Out[out].Tee(rs)
}

func (l *lane) edge(in *input) graph.Edge {
	return in.in.Node.Out[in.in.Out].NewEdge(graph.EdgeConfig{Kind: in.in.Kind, Size: l.inc.cfg.Batch, Windows: in.in.Node.WinColumns})
}

// queuesOf is this lane's queues of one of st's outs, by receiving lane.
func (l *lane) queuesOf(st *laneStage, in *input) []*queue {
	for i, o := range st.outs {
		if o == in {
			return st.targets[i]
		}
	}
	panic("BUG: engine: an output without queues")
}

// load puts the rows of the last epoch back.
func (l *lane) load() error {
	s := l.inc.slot
	rec := s.store.Last()
	keepers := map[string]graph.Keeper{}
	paged := map[string]bool{}
	for _, st := range l.stages {
		for _, o := range st.ops {
			if o.keeper == nil {
				continue
			}
			keepers[o.node.Name] = o.keeper
			if o.outbox != nil {
				keepers[heldRows(o.node.Name)] = o.outbox
			} else if c, ok := o.live.(graph.Crowder); ok {
				l.crowders = append(l.crowders, c)
			}
			if p, ok := o.live.(graph.Pager); ok && s.pages != nil {
				paged[o.node.Name] = true
				p.Page(&rowStore{pages: s.pages, node: o.node.Name, lane: l})
			}
		}
	}
	if rec == nil {
		return nil
	}
	relaned := !s.sameLanes(rec)
	mine := s.lanesOf(rec, l.id)
	put := func(r commit.Row) error {
		if r.Node == parkedRows {
			if l.parks == nil {
				l.parks = newParks()
			}
			return l.parks.load(r.Group, r.Key, r.Val)
		}
		if r.Group == commit.EveryLane && !relaned && !mine(r.Lane) {
			return nil
		}
		k := keepers[r.Node]
		if isHeld(r.Node) && k == nil && l.inc.cfg.Cuts == nil {
			return errHeldBefore
		}
		if k == nil {
			return fmt.Errorf("restore %s: no transform of that name keeps state", r.Node)
		}
		if err := k.Load(r.Key, r.Val); err != nil {
			return fmt.Errorf("restore %s: %w", r.Node, err)
		}
		return nil
	}
	views := s.jointViews()
	isView := func(n string) bool { _, yes := views[n]; return yes }
	group := func(g int) bool { return int(l.inc.run.Owner[g]) == l.c.Lane }
	if l.inc.mover != nil && !s.joint() { // a group that is another slot's may be here still
		group = func(g int) bool { return int(s.plan.at.laneOf(s.cfg.Slot, g)) == l.c.Lane }
	}
	err := s.store.Rows(commit.Want{
		Node:  func(n string) bool { return !paged[n] && !isView(n) },
		Lane:  mine,
		Group: group,
	}, put)
	if l.parks != nil {
		l.parks.settle()
	}
	if err == nil && len(views) > 0 && l.id == 0 {
		err = s.store.Rows(commit.Want{Node: isView}, put)
	}
	if err != nil || len(paged) == 0 {
		return err
	}
	return s.store.Rows(commit.Want{
		Node:  func(n string) bool { return paged[n] },
		Lane:  mine,
		Group: func(int) bool { return false },
	}, put)
}

// govern finds, for each operator and each way out of the stage, the operator
// before it whose output watermark it has.
func (st *laneStage) govern() {
	live := map[*graph.Node]int{}
	for i, o := range st.ops {
		live[o.node] = i
		st.watched = st.watched || o.holder != nil || o.alarmer != nil
	}
	of := map[*graph.Node]int{} // the operator that governs a node's outputs
	for i, n := range st.nodes {
		before := -1
		if i > 0 { // the first node is entered from other stages
			before = of[n.In[0].Node]
		}
		of[n] = before
		st.before = append(st.before, before)
		if k, ok := live[n]; ok {
			st.ops[k].parent, of[n] = before, k
		}
	}
	for _, in := range st.outs {
		st.governs = append(st.governs, of[in.in.Node])
		st.sentWM = append(st.sentWM, window.MinTime)
		st.sentIdle = append(st.sentIdle, false)
	}
}

// restoreWatermarks begins where the last epoch left off: a window that has been
// fired must not be open again, even for the first elements.
func (l *lane) restoreWatermarks() error {
	times := l.inc.slot.restoredTimes(l.id)
	if times == nil {
		return nil
	}
	for i, st := range l.stages {
		wm := times[st.nodes[0].Name].In
		if _, ok := times[st.nodes[0].Name]; !ok {
			wm = window.MinTime
		}
		if known(wm) {
			l.progress.stages[i].wm = wm
		}
		for k := range st.ops {
			o := &st.ops[k]
			in := wm
			if o.parent >= 0 {
				in = st.ops[o.parent].out
			}
			if !known(in) {
				continue
			}
			o.in = in
			if o.wm != nil {
				l.c.Op, l.c.WM = o.node.ID, in
				o.wm.Advance(l.c, in)
			}
			if t, ok := times[o.node.Name]; ok && known(t.Out) {
				o.out = t.Out
			}
		}
	}
	return l.c.Err()
}
