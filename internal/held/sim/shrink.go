package sim

import (
	"slices"
	"strings"
)

// Shrink makes a plan that fails smaller, as long as it still fails in the same way:
// faults are dropped, many at a time first, then elements, lanes and habits.
func Shrink(p Plan) Plan {
	kind := kindred(Run(p, nil).Err)
	fails := func(q Plan) bool { return kindred(Run(q, nil).Err) == kind }
	for n := len(p.Faults); n > 0; n /= 2 {
		for from := 0; from < len(p.Faults); {
			q := p
			q.Faults = slices.Delete(slices.Clone(p.Faults), from, min(from+n, len(p.Faults)))
			if fails(q) {
				p = q
			} else {
				from += n
			}
		}
	}
	for again := true; again; {
		again = false
		for _, q := range smaller(p) {
			if fails(q) {
				p, again = q, true
				break
			}
		}
	}
	return p
}

// kindred is what errors of one kind have in common: the name of the invariant.
func kindred(err error) string {
	if err == nil {
		return ""
	}
	_, what, _ := strings.Cut(err.Error(), ": ")
	name, _, _ := strings.Cut(what, ":")
	return name
}

// smaller gives the plans that are a step smaller.
func smaller(p Plan) (list []Plan) {
	for i := range p.Faults {
		q := p
		q.Faults = slices.Delete(slices.Clone(p.Faults), i, i+1)
		list = append(list, q)
	}
	for _, change := range []func(*Plan){
		func(q *Plan) { q.Loss = 0 },
		func(q *Plan) { q.Twice = 0 },
		func(q *Plan) { q.Late = 0 },
		func(q *Plan) { q.Elements = max(1, q.Elements/2) },
		func(q *Plan) { q.Lanes = 1 },
		func(q *Plan) { q.Fan = max(1, q.Fan-1) },
		func(q *Plan) { q.Excuse = 0 },
		func(q *Plan) { q.Standbys = false },
		func(q *Plan) { q.Stand = 0 },
		func(q *Plan) { q.Log = false },
	} {
		q := p
		change(&q)
		if q.size() < p.size() {
			list = append(list, q)
		}
	}
	return list
}

// size is what Shrink makes smaller.
func (p *Plan) size() int {
	n := 0
	for _, habit := range []bool{p.Standbys, p.Log} {
		if habit {
			n++
		}
	}
	return n + len(p.Faults)*10000 + p.Loss + p.Twice + p.Late + p.Elements + p.Lanes + p.Fan + int((p.Excuse+p.Stand)/ms(1))
}
