package window

import (
	"errors"
	"fmt"
	"slices"
	"sort"
)

// InsertSession finds the place of w among the active windows of a key, which must
// be sorted and disjoint as sessions are: into is the union of w with the windows
// set[lo:hi] that it intersects, to be replaced by it. lo == hi means that w meets
// none and goes in at lo. Windows that only touch stay apart (M9).
//
// It allocates nothing and costs the logarithm of len(set). The order in which
// windows are inserted makes no difference to the set.
func InsertSession(set []Interval, w Interval) (into Interval, lo, hi int) {
	lo = sort.Search(len(set), func(i int) bool { return set[i].End > w.Start })
	hi, into = lo, w
	for hi < len(set) && set[hi].Start < w.End {
		into = into.Span(set[hi])
		hi++
	}
	return into, lo, hi
}

// MergeSessions sorts windows in place and appends the unions of those that
// intersect to out, disjoint and in order.
func MergeSessions(windows, out []Interval) []Interval {
	slices.SortFunc(windows, Interval.Compare)
	base := len(out)
	for _, w := range windows {
		if n := len(out); n > base && out[n-1].Intersects(w) {
			out[n-1] = out[n-1].Span(w)
			continue
		}
		out = append(out, w)
	}
	return out
}

// Merged is one result of merging: From, sorted, became Into.
type Merged struct {
	Into Interval
	From []Interval
}

// ErrNotMerging is returned by [Fn.Merge] for functions whose windows do not merge.
var ErrNotMerging = errors.New("windows of this function do not merge")

// Merge decides which of a key's windows unite: the active ones and those of new
// elements that are not late (M9, M27). windows is sorted in place and its
// duplicates are dropped. Only windows that change are in the result, which is in
// order of Into and does not depend on the order of windows; sessions have the
// cheaper [InsertSession].
//
// An error means that a user's merge function broke its contract; retrying does
// not help.
func (f Fn) Merge(windows []Interval) ([]Merged, error) {
	if !f.Merging() {
		return nil, fmt.Errorf("merge %v: %w", f, ErrNotMerging)
	}
	slices.SortFunc(windows, Interval.Compare)
	windows = slices.Compact(windows)
	if f.kind == KindSessions {
		return mergeIntersecting(windows), nil
	}
	var (
		out  []Merged
		err  error
		used = map[Interval]bool{} // never iterated
	)
	f.ext.merge(slices.Clone(windows), func(into Interval, from ...Interval) {
		from = slices.Clone(from)
		slices.SortFunc(from, Interval.Compare)
		for _, w := range from {
			_, known := slices.BinarySearchFunc(windows, w, Interval.Compare)
			switch {
			case err != nil:
			case !known:
				err = fmt.Errorf("merge %v: %v is none of the windows to merge", f, w)
			case used[w]:
				err = fmt.Errorf("merge %v: %v is merged twice", f, w)
			}
			used[w] = true
		}
		if len(from) > 1 || len(from) == 1 && from[0] != into {
			out = append(out, Merged{into, from})
		}
	})
	slices.SortFunc(out, func(a, b Merged) int { return a.Into.Compare(b.Into) })
	for i, m := range out {
		if err != nil {
			break
		}
		if i > 0 && out[i-1].Into == m.Into {
			err = fmt.Errorf("merge %v: two results are %v", f, m.Into)
		} else if _, exists := slices.BinarySearchFunc(windows, m.Into, Interval.Compare); exists && !slices.Contains(m.From, m.Into) {
			err = fmt.Errorf("merge %v: the result %v is a window that is not merged into it", f, m.Into)
		}
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

func mergeIntersecting(sorted []Interval) []Merged {
	var out []Merged
	for i := 0; i < len(sorted); {
		into, end := sorted[i], i+1
		for end < len(sorted) && into.Intersects(sorted[end]) {
			into = into.Span(sorted[end])
			end++
		}
		if end-i > 1 {
			out = append(out, Merged{into, slices.Clone(sorted[i:end])})
		}
		i = end
	}
	return out
}
