package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/graph"
)

// joint reports that the newest epoch is of a whole job, of which the slot takes its part.
func (s *slot) joint() bool {
	j, ok := s.store.(commit.Joint)
	return ok && j.Joint()
}

// sameLanes reports that the lanes of rec are those that there are now, and have the same
// keys.
func (s *slot) sameLanes(rec *commit.Record) bool {
	if s.joint() && s.plan.at.slots > 1 {
		return rec.Lanes == s.plan.at.all() && rec.Slots == s.plan.at.slots
	}
	return rec.Lanes == s.cfg.Lanes && rec.Slots == 0
}

// laneThen is which lane of the slot has what lane of rec had; -1: none, or not that one
// alone, as there are more lanes or fewer.
func (s *slot) laneThen(rec *commit.Record, lane int) int {
	switch {
	case lane < 0 || !s.sameLanes(rec):
		return -1
	case s.joint():
		if lane -= s.plan.at.first(); lane < 0 || lane >= s.cfg.Lanes {
			return -1
		}
	}
	return lane
}

// lanesOf chooses the lanes of rec whose rows are those of the slot's lane.
func (s *slot) lanesOf(rec *commit.Record, lane int) func(then int) bool {
	all, first := s.cfg.Lanes, 0
	if s.joint() {
		all, first = s.plan.at.all(), s.plan.at.first()
	}
	return func(then int) bool { return then%all == first+lane }
}

// jointViews are the side inputs that a savepoint has once, and the job in each slot.
func (s *slot) jointViews() map[string]int {
	if !s.joint() || s.plan.at.slots == 1 {
		return nil
	}
	return ViewGroups(s.graph)
}

// JoinRecords makes one record of those of all slots of a job, which are in their order,
// for a savepoint; each slot has so many lanes.
func JoinRecords(recs []*commit.Record, lanes int) (*commit.Record, error) {
	var all *commit.Record
	for slot, r := range recs {
		switch {
		case r == nil:
			return nil, fmt.Errorf("slot %d has committed nothing yet", slot)
		case r.Lanes != lanes:
			return nil, fmt.Errorf("slot %d has %d lanes, and not %d", slot, r.Lanes, lanes)
		case all == nil:
			all = &commit.Record{Epoch: r.Epoch, Lanes: lanes * len(recs), Slots: len(recs), Hint: r.Hint, Manifest: r.Manifest, Splits: map[string][]commit.Split{}, Ended: true}
		case r.Manifest.Hash != all.Manifest.Hash:
			return nil, fmt.Errorf("slot %d has another pipeline than slot 0", slot)
		}
		all.Epoch = max(all.Epoch, r.Epoch)
		all.Ended = all.Ended && r.Ended
		for _, t := range r.Times {
			t.Lane += slot * lanes
			all.Times = append(all.Times, t)
		}
		for root, splits := range r.Splits {
			for _, x := range splits {
				if x.Lane >= 0 {
					x.Lane += slot * lanes
				}
				all.Splits[root] = append(all.Splits[root], x)
			}
		}
	}
	for _, list := range all.Splits {
		slices.SortFunc(list, func(a, b commit.Split) int { return strings.Compare(a.ID, b.ID) })
	}
	return all, nil
}

// ErrNotFinal is what a savepoint can't be made of: outputs that wait for a cut.
var ErrNotFinal = errors.New("outputs wait for a cut of the job")

// Joiner makes rows of a savepoint from those of a job's slots, and knows which slots are
// to begin with which.
type Joiner struct {
	Lanes int            // of each slot
	Views map[string]int // of [ViewGroups]
}

// ViewGroups are the side inputs of g by name, and the groups of their rows in a job of one
// slot. In one of several each slot has all of them.
func ViewGroups(g *graph.Graph) map[string]int {
	views := map[string]int{}
	for _, n := range g.Nodes {
		if n.View > 0 {
			views[n.Name] = n.ViewGroup
		}
	}
	return views
}

// Has reports that a row of a savepoint is to be among those that a slot begins with, in a
// job of slots slots.
func (j *Joiner) Has(slot, slots int, r commit.Row) bool {
	_, view := j.Views[r.Node]
	switch {
	case view || r.Group == commit.EveryLane:
		return true
	case r.Group == commit.LaneBound:
		return r.Lane/j.Lanes%slots == slot
	}
	return SlotOf(r.Group, slots) == slot
}

// Row makes the row of a slot one of the job. Other slots may have a row of a view as well.
// An error is that of outputs which are not final: there is no savepoint yet.
func (j *Joiner) Row(slot int, r commit.Row) (_ commit.Row, view bool, err error) {
	if isHeld(r.Node) {
		return r, false, ErrNotFinal
	}
	group, view := j.Views[r.Node]
	if view {
		r.Group, r.Lane = group, 0
	} else {
		r.Lane += slot * j.Lanes
	}
	return r, view, nil
}
