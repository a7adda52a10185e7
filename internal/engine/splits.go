package engine

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/internal/graph"
)

// rootSplits is what a source has said of its splits. They are found once, so that
// restarts see the same, and those that turn up later are kept, too.
type rootSplits struct {
	kind rootKind
	size int64 // of all together; 0 if one of them does not know its own
	old  int   // how many were there from the start
	at   place // of which slot they are

	mu     sync.Mutex // guards the rest
	splits []graph.Split
	ids    []string
	others []string    // those of other slots, that were there from the start
	cur    *lockedPool // of the incarnation that runs
	poke   func()      // wakes its lanes
}

// splitsMost is how many splits a root has at most: they are numbered through all roots.
const splitsMost = 1 << 24

// findSplits asks a source, whose code is the user's and may panic, and keeps what is
// the slot's.
func findSplits(n *graph.Node, run *graph.Run, lanes int, at place) (r *rootSplits, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = graph.Recovered(p)
		}
	}()
	r = &rootSplits{kind: unbounded, at: at}
	if _, grows := n.Src.(graph.Grower); grows {
		r.kind = growing
	} else if n.Src.Bounded() {
		r.kind = bounded
	}
	all, err := n.Src.Splits(run, lanes)
	if err != nil {
		return nil, err
	}
	known := true
	for i, sp := range all {
		id := sp.ID()
		if !at.reads(r.kind, i, id) {
			r.others = append(r.others, id)
			continue
		}
		size := sp.Size()
		known = known && size > 0
		r.size += size
		r.splits, r.ids = append(r.splits, sp), append(r.ids, id)
	}
	if !known {
		r.size = 0
	}
	r.old = len(r.ids)
	return r, nil
}

// has reports that a split is the slot's, be it one that the source does not have any more.
func (r *rootSplits) has(id string) bool {
	return slices.Contains(r.ids, id) || !slices.Contains(r.others, id) && r.at.reads(growing, 0, id)
}

// grow has sources look for new splits until the run is over. An error of one ends
// ctx with it. done waits for them to stop.
func (s *slot) grow(ctx context.Context) (inner context.Context, done func()) {
	inner, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	for _, st := range s.plan.stages {
		r := s.roots[st.id]
		if r == nil || r.kind != growing {
			continue
		}
		wg.Go(func() {
			n := st.nodes[0]
			run := &graph.Run{Context: inner, Nodes: s.graph.Nodes, Metrics: s.metrics}
			if err := r.grow(n.Src.(graph.Grower), run, s.hint); err != nil && inner.Err() == nil {
				cancel(&graph.UserError{Node: n, Err: err})
				r.wake()
			}
		})
	}
	return inner, func() { cancel(nil); wg.Wait() }
}

// grow asks the source, whose code is the user's and may panic.
func (r *rootSplits) grow(src graph.Grower, run *graph.Run, lanes int) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = graph.Recovered(p)
		}
	}()
	return src.Grow(run, lanes, r.found)
}

// found takes in splits that have turned up.
func (r *rootSplits) found(splits []graph.Split) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, sp := range splits {
		id := sp.ID()
		if slices.Contains(r.ids, id) || !r.at.reads(growing, 0, id) {
			continue
		}
		r.splits, r.ids = append(r.splits, sp), append(r.ids, id)
		if r.cur != nil {
			r.cur.add(sp, id)
		}
	}
	if r.poke != nil {
		r.poke()
	}
}

func (r *rootSplits) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.poke != nil {
		r.poke()
	}
}

// pool makes the pool of an incarnation.
func (r *rootSplits) pool(lanes int, saved map[string]savedSplit, base int, poke func()) *lockedPool {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := &lockedPool{kind: r.kind, splits: slices.Clone(r.splits), base: base, outs: make([]any, lanes), pool: newPool(r.ids, r.old, r.kind, lanes, saved)}
	p.left.Store(int64(p.pool.waiting))
	r.cur, r.poke = p, poke
	return p
}

// lockedPool is a pool that all lanes take from.
type lockedPool struct {
	kind rootKind
	base int   // number of the first split among all roots'
	outs []any // the root's receiver, by lane; each lane's own

	mu     sync.Mutex // guards splits and pool
	splits []graph.Split
	pool   *pool

	left atomic.Int64 // splits that wait
}

func (p *lockedPool) waiting() int { return int(p.left.Load()) }

// hasGrown reports that splits wait, some of which may be new.
func (p *lockedPool) hasGrown() bool { return p.kind == growing && p.left.Load() > 0 }

func (p *lockedPool) add(sp graph.Split, id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.splits = append(p.splits, sp)
	p.pool.add(id)
	p.left.Store(int64(p.pool.waiting))
}

func (p *lockedPool) id(i int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pool.splits[i].id
}

func (p *lockedPool) take(lane int) []int {
	if p.left.Load() == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.pool.take(lane)
	p.left.Store(int64(p.pool.waiting))
	return out
}

// open opens split i behind its saved position.
func (p *lockedPool) open(c *graph.Ctx, i int, out any) (graph.Reader, error) {
	p.mu.Lock()
	split, at := p.splits[i], p.pool.splits[i]
	p.mu.Unlock()
	if n, ok := split.(graph.Newcomer); ok && at.fresh && at.pos == nil {
		return n.OpenNew(c, out)
	}
	return split.Open(c, out, at.pos)
}

func (p *lockedPool) finish(i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pool.finish(i)
}

func (p *lockedPool) save(positions map[int][]byte) map[string]savedSplit {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pool.save(positions)
}
