package flow

import (
	"maps"

	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/keygroup"
)

// What operators do when key groups go to another slot, or have come from one
// (graph.Mover).

// leave removes the rows of chosen groups. before is called for each of them; it may be nil.
func (d *Dir[K]) leave(groups func(group int) bool, before func(r uint32)) {
	d.Each(func(r uint32) {
		if !groups(d.Group(r)) {
			return
		}
		if before != nil {
			before(r)
		}
		d.Remove(r)
	})
}

func (o *stateful[K, V, O]) Leave(c *graph.Ctx, groups func(group int) bool, _ graph.DeltaWriter) {
	for _, t := range o.tables.all() {
		o.l.turn(t)
		t.dir.leave(groups, func(r uint32) {
			for _, h := range o.l.timers {
				h.clearAll(r) // lets go of what they hold
			}
		})
	}
	if o.parked != nil {
		maps.DeleteFunc(o.parked.keys, func(_ string, k *parkedKey[V]) bool { return groups(k.group) })
	}
	o.Came(c)
}

func (o *stateful[K, V, O]) Came(c *graph.Ctx) {
	o.tables.last = nil
	o.rest(c)
}

func (o *combine[K, V, A, R]) Leave(c *graph.Ctx, groups func(group int) bool, w graph.DeltaWriter) {
	if k := o.s.EmitEmpty; k != nil && o.fired {
		if g := keygroup.Group(o.hash.Sum(*k)); groups(g) {
			w.Put(g, firedRow, nil) // who has it then, emits nothing when the input ends again, behind a restart
		}
	}
	for _, f := range o.open {
		f.dir.leave(groups, nil)
		f.at = nil
	}
	o.Came(c)
}

func (o *combine[K, V, A, R]) Came(*graph.Ctx) {
	if o.slices == nil {
		return
	}
	o.slices.stale = true
	for _, f := range o.open {
		f.late, _ = o.slices.passed(f.win, o.wm)
	}
}

func (o *unmerging[K]) Leave(_ *graph.Ctx, groups func(group int) bool, _ graph.DeltaWriter) {
	for _, t := range o.tables.open {
		t.dir.leave(groups, func(r uint32) { o.forget(&t.cells.Vals[r]) })
	}
}

func (o *unmerging[K]) Came(*graph.Ctx) {}

func (o *merging[K]) Leave(_ *graph.Ctx, groups func(group int) bool, _ graph.DeltaWriter) {
	o.dir.leave(groups, func(r uint32) {
		for i := range o.cells.Vals[r] {
			o.forget(&o.cells.Vals[r][i])
		}
	})
}

func (o *merging[K]) Came(*graph.Ctx) {}

// forget lets go of what x holds.
func (o *paned[K]) forget(x *cell) {
	if x.held != 0 {
		o.holds.remove(unpack(x.held))
	}
	o.in.drop(x)
}

func (o *group[K, V]) Leave(c *graph.Ctx, groups func(group int) bool, _ graph.DeltaWriter) {
	for _, t := range o.tables.open {
		t.dir.leave(groups, nil) // their values' memory goes with the window
	}
	if len(o.runs) == 0 {
		return
	}
	if err := o.compact(c, groups); err != nil {
		c.Op = o.node.ID
		c.Fail(err)
	}
}

func (o *group[K, V]) Came(*graph.Ctx) {}
