package engine

import "slices"

// splitEnded passes the end of a split on along the lane, behind everything that the
// split brought: its clocks must not go on with what other splits have reached while
// some of it still waits in a queue or in an operator.
func (l *lane) splitEnded(st *laneStage, split int) {
	if st.ending == nil {
		st.ending = map[int]int{}
	}
	st.ending[split]++
	l.endSplit(st, split)
}

// endSplits tries again where operators held something of a split.
func (l *lane) endSplits() {
	for _, st := range l.stages {
		for split := range st.ending {
			l.endSplit(st, split)
		}
	}
}

// endSplit ends the split here if all inputs have brought all of it, and nothing of it
// is held.
func (l *lane) endSplit(st *laneStage, split int) {
	if st.ending[split] < st.pathsFrom(split, l) || st.holds(split) {
		return
	}
	delete(st.ending, split)
	if st.clock != nil {
		st.clock.SplitDone(split)
	}
	for _, f := range st.flushes {
		f()
	}
	for i, in := range st.outs {
		switch {
		case !in.queue:
			l.splitEnded(l.stages[in.to.id], split)
		case in.sameLane():
			l.send(in, st.targets[i][l.id], l.id, msg{ended: split + 1})
		}
	}
}

// pathsFrom is over how many inputs a split reaches the stage; 1 of its root.
func (st *laneStage) pathsFrom(split int, l *lane) (n int) {
	if st.root() {
		return 1
	}
	for _, in := range st.inputs {
		if in.sameLane() && in.from.descends(l.rootOf(split)) {
			n++
		}
	}
	return n
}

// rootOf is the root that a split is of.
func (l *lane) rootOf(split int) *stage {
	for _, st := range l.stages {
		if st.pool != nil && split >= st.pool.base && split < st.pool.base+splitsMost {
			return st.stage
		}
	}
	panic("BUG: engine: a split of no root")
}

// descends reports that what root reads reaches the stage without leaving the lane.
func (s *stage) descends(root *stage) bool {
	return slices.Contains(s.roots, root)
}

func (st *laneStage) holds(split int) bool {
	return slices.ContainsFunc(st.ops, func(o liveOp) bool { return o.late != nil && o.late.HoldsSplit(split) })
}
