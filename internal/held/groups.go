package held

import (
	"cmp"
	"slices"
)

// Version numbers assignments of key groups, one after the other; 0 is the one that
// the job begins with.
type Version uint64

// Assignment says which slot has which key group.
type Assignment struct {
	Version Version
	Owner   []int // by key group: its slot; nil: no group ever moves
}

// Groups is a slot's part of an assignment, and of the change from the one before.
type Groups struct {
	Assignment         // that the frames of the epoch follow
	Before     []byte  // watermarks at the end of the last epoch of the version before
	Await      []Await // groups that have become this slot's and are not all here
	Give       []int   // groups that have become another's and are still here
	Given      []Given // groups that were taken out, until a record of their new owner has them
	Drained    Epoch   // receivers have durably applied what came of epochs up to this one
}

// Await is a group that comes.
type Await struct {
	Group  int
	Here   bool  // its state is: what is parked is replayed
	Parked []int // by rank: bytes of input that waits for it
}

// Given names the state of one group, as it was taken out.
type Given struct {
	Group   int
	Version Version // of the assignment that takes it away
	Inc     Inc     // that took it out
	Epoch   Epoch   // that it was taken out with, the last that has output of it
}

// settled reports that no change is under way.
func (g *Groups) settled() bool { return len(g.Await)+len(g.Give)+len(g.Given) == 0 }

// frozen reports that watermarks of the version stand still.
func (g *Groups) frozen() bool { return len(g.Await)+len(g.Give) > 0 }

// awaits is what is known of a group that comes; nil if it does not.
func (g *Groups) awaits(group int) *Await {
	i, found := slices.BinarySearchFunc(g.Await, group, func(a Await, group int) int { return cmp.Compare(a.Group, group) })
	if !found {
		return nil
	}
	return &g.Await[i]
}

// clone shares nothing that changes.
func (g *Groups) clone() Groups {
	o := *g
	o.Await, o.Give, o.Given = slices.Clone(g.Await), slices.Clone(g.Give), slices.Clone(g.Given)
	for i := range o.Await {
		o.Await[i].Parked = slices.Clone(o.Await[i].Parked)
	}
	return o
}

// parked is how many bytes wait.
func (a *Await) parked() (n int) {
	for _, bytes := range a.Parked {
		n += bytes
	}
	return n
}

// Moves is what others have to know of a slot's [Groups], as its record has them.
type Moves struct {
	Version Version
	Before  []byte
	Await   []int // groups
	Given   []Given
	Drained Epoch
}

// has reports that slot, of whose record these are, has the state of a group.
func (g *Groups) has(slot, group int) bool {
	if g.Owner[group] != slot {
		return slices.Contains(g.Give, group)
	}
	a := g.awaits(group)
	return a == nil || a.Here
}

// whole reports that the state of each key group is in one of these records, one for each
// slot, or was taken out and is on its way. A record that was committed behind the part of its
// slot in a cut may have adopted a group that another part of the cut has still, or forgotten
// one that another has not adopted. first is where groups were as the job began.
func whole(records []*Record, first []int) bool {
	for group := range first {
		here, given := 0, false
		for slot, r := range records {
			g := r.Groups
			if g.Owner == nil { // of a version in which no group moved
				g.Owner = first
			}
			if g.has(slot, group) {
				here++
			}
			given = given || slices.ContainsFunc(g.Given, func(g Given) bool { return g.Group == group })
		}
		if here > 1 || here == 0 && !given {
			return false
		}
	}
	return true
}

// moves is what others have to know.
func (g *Groups) moves() Moves {
	m := Moves{Version: g.Version, Before: g.Before, Given: g.Given, Drained: g.Drained}
	for _, a := range g.Await {
		m.Await = append(m.Await, a.Group)
	}
	return m
}

// Spread gives each slot a share of the key groups in proportion to shares, one for
// each slot, and moves as few as it can. At least one share is above zero.
func Spread(owner, shares []int) []int {
	all, left := 0, len(owner)
	for _, s := range shares {
		all += s
	}
	most := make([]int, len(shares))
	for i, s := range shares {
		most[i] = len(owner) * s / all
		left -= most[i]
	}
	has := make([]int, len(shares))
	for _, s := range owner {
		has[s]++
	}
	for _, over := range []bool{true, false} { // what is left over stays where it is, if it can
		for i := range most {
			if left > 0 && shares[i] > 0 && (has[i] > len(owner)*shares[i]/all) == over {
				most[i]++
				left--
			}
		}
	}
	next, to := slices.Clone(owner), 0
	for g, s := range owner {
		if has[s] <= most[s] {
			continue
		}
		for has[to] >= most[to] {
			to++
		}
		has[s]--
		has[to]++
		next[g] = to
	}
	return next
}
