package statelog

import (
	"fmt"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/keygroup"
)

// Rows reads the rows that want wants into memory: about their bytes in the files, and
// eight to sixteen for each. Then it hands them on. What is committed meanwhile is not
// among them. When a commit has failed so that it is not known what a recovery would
// find, there are no rows to go on from any more.
func (l *Log) Rows(want commit.Want, f func(commit.Row) error) error {
	line, done, err := l.borrow()
	if err != nil {
		return fmt.Errorf("%s: %w", noted(l.fs), err)
	}
	defer done()
	if len(line) == 0 {
		return nil
	}
	t := newTable(line)
	if err := t.load(l.fs, line, newWish(want)); err != nil {
		return fmt.Errorf("%s: %w", noted(l.fs), err)
	}
	if err := t.fold(); err != nil {
		return fmt.Errorf("%s: %w", noted(l.fs), err)
	}
	return t.each(f)
}

// borrow keeps the files of the newest epoch from being removed, until done.
func (l *Log) borrow() (line []*epochFrames, done func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return nil, nil, l.broken
	}
	l.readers++
	return l.line[:len(l.line):len(l.line)], func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.readers--
	}, nil
}

// wish is a commit.Want that is quick to ask.
type wish struct {
	want     commit.Want
	keysOnly bool // no rows of lanes
	nodes    map[string]bool
	group    [keygroup.N]bool
	before   [keygroup.N + 1]int // how many groups before this one are wanted
}

func newWish(want commit.Want) *wish {
	w := &wish{want: want, nodes: map[string]bool{}}
	for g := range keygroup.N {
		w.group[g] = want.Group == nil || want.Group(g)
		w.before[g+1] = w.before[g]
		if w.group[g] {
			w.before[g+1]++
		}
	}
	return w
}

func (w *wish) node(name string) bool {
	wanted, known := w.nodes[name]
	if !known {
		wanted = w.want.Node == nil || w.want.Node(name)
		w.nodes[name] = wanted
	}
	return wanted
}

// wanted says whether rows of a chunk are wanted, and whether all of them are.
func (w *wish) wanted(c *chunk) (some, all bool) {
	if c.count == 0 || !w.node(c.node) {
		return false, false
	}
	all = true
	if c.flags&hasKeys != 0 {
		n := w.before[c.max+1] - w.before[c.min]
		some, all = n > 0, n == c.max+1-c.min
	}
	for _, kind := range [...]struct {
		flag  uint16
		group int
	}{{hasLane, commit.LaneBound}, {hasEvery, commit.EveryLane}} {
		if c.flags&kind.flag != 0 {
			yes := w.row(kind.group, c.lane)
			some, all = some || yes, all && yes
		}
	}
	return some, all
}

func (w *wish) row(group, lane int) bool {
	switch group {
	case commit.EveryLane:
		return !w.keysOnly
	case commit.LaneBound:
		return !w.keysOnly && (w.want.Lane == nil || w.want.Lane(lane))
	}
	return w.group[group]
}
