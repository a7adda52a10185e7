package sim

import "slices"

// Shrink makes a plan that fails smaller, as long as it still fails: faults are
// dropped, at other moments if need be, then elements, lanes and habits.
func Shrink(p Plan, open OpenStore) Plan {
	fails := func(q Plan) bool { return Run(q, open, nil).Err != nil }
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

// smaller gives the plans that are a step smaller, those with fewer faults first.
func smaller(p Plan) (list []Plan) {
	for i := range p.Faults {
		list = append(list, without(p, i))
	}
	if len(p.Faults) <= retimedMax {
		for i := range p.Faults {
			list = append(list, retimed(without(p, i))...)
		}
	}
	if len(p.Splits) > 1 {
		for i := range p.Splits {
			q := p
			q.Splits = slices.Delete(slices.Clone(p.Splits), i, i+1)
			list = append(list, q)
		}
	}
	for i, n := range p.Splits {
		if n > 1 {
			q := p
			q.Splits = slices.Clone(p.Splits)
			q.Splits[i] = n / 2
			list = append(list, q)
		}
	}
	for i, f := range p.Faults {
		if f.Lanes > 0 {
			q := p
			q.Faults = slices.Clone(p.Faults)
			q.Faults[i].Lanes = 0
			list = append(list, q)
		}
	}
	if p.Lanes > 1 {
		q := p
		q.Lanes--
		list = append(list, q)
	}
	for _, off := range []func(*Plan) bool{
		func(q *Plan) bool { on := q.Ahead; q.Ahead = false; return on },
		func(q *Plan) bool { on := q.Restart > 0; q.Restart = 0; return on },
		func(q *Plan) bool { on := q.Eager; q.Eager = false; return on },
		func(q *Plan) bool { on := q.Direct; q.Direct = false; return on },
	} {
		q := p
		if off(&q) {
			list = append(list, q)
		}
	}
	return list
}

// retimedMax is up to how many faults it is worth to look for other moments.
const retimedMax = 3

// retimed moves each fault of a plan in turn: once another fault is gone, the run
// passes its moment at another time.
func retimed(p Plan) (list []Plan) {
	for i, f := range p.Faults {
		for n := 1; n <= odds[f.At]; n++ {
			if n == f.N {
				continue
			}
			q := p
			q.Faults = slices.Clone(p.Faults)
			q.Faults[i].N = n
			list = append(list, q)
		}
	}
	return list
}

// without drops fault i, and those that are counted from it.
func without(p Plan, i int) Plan {
	var kept []Fault
	place := make([]int, len(p.Faults)) // from 1 on; 0: dropped
	for j, f := range p.Faults {
		if j == i || f.After > 0 && place[f.After-1] == 0 {
			continue
		}
		if f.After > 0 {
			f.After = place[f.After-1]
		}
		kept = append(kept, f)
		place[j] = len(kept)
	}
	p.Faults = kept
	return p
}
