package transforms

import (
	"slices"
	"sort"
)

// waiting is a value in the state of a join.
type waiting[V any] struct {
	TS    int64
	Mark  bool // it has met a partner; of a table's version: it says that the row was deleted
	Value V
}

// waitlist is values by event time, those of equal time as they came.
type waitlist[V any] []waiting[V]

// from is the index of the first value at or after ts.
func (l waitlist[V]) from(ts int64) int {
	if n := len(l); n == 0 || l[n-1].TS < ts {
		return n
	}
	return sort.Search(len(l), func(i int) bool { return l[i].TS >= ts })
}

// add puts w behind those of its time. In time order it costs an append, else a
// move of the later ones.
func (l *waitlist[V]) add(w waiting[V]) {
	if n := len(*l); n == 0 || (*l)[n-1].TS <= w.TS {
		*l = append(*l, w)
		return
	}
	*l = slices.Insert(*l, l.from(w.TS+1), w)
}

// drop removes the first n. The slice moves forward over its memory, so that this
// costs nothing for those that stay; the next append that finds no room copies them.
func (l *waitlist[V]) drop(n int) {
	clear((*l)[:n]) // keep nothing alive
	if *l = (*l)[n:]; len(*l) == 0 {
		*l = nil
	}
}
