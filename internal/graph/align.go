package graph

import (
	"math"
	"sync"
	"sync/atomic"
)

// Alignments are the groups of clocks that wait for each other (M20), by name.
// Lanes share it. The zero value is ready.
type Alignments struct {
	mu     sync.Mutex // guards groups, while lanes open
	groups map[string]*alignment
}

type alignment struct {
	mu      sync.Mutex // guards members, while lanes open
	members atomic.Pointer[[]*AlignMember]
}

// AlignMember is one clock on one lane.
type AlignMember struct {
	group *alignment
	at    atomic.Int64
}

// Join adds a clock to the group of that name. It holds nobody back until it has
// said where it is.
func (a *Alignments) Join(name string) *AlignMember {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.groups == nil {
		a.groups = map[string]*alignment{}
	}
	g := a.groups[name]
	if g == nil {
		g = &alignment{}
		a.groups[name] = g
	}
	m := &AlignMember{group: g}
	m.at.Store(math.MaxInt64)
	g.mu.Lock()
	defer g.mu.Unlock()
	all := []*AlignMember{m}
	if old := g.members.Load(); old != nil {
		all = append(all, *old...)
	}
	g.members.Store(&all)
	return m
}

// Say tells the others where this clock is; math.MaxInt64 when it is idle or has
// nothing to read, and nobody need wait for it.
func (m *AlignMember) Say(wm int64) { m.at.Store(wm) }

// Least is where the clock of the group that is furthest behind is.
func (m *AlignMember) Least() int64 {
	least := int64(math.MaxInt64)
	for _, o := range *m.group.members.Load() {
		least = min(least, o.at.Load())
	}
	return least
}
