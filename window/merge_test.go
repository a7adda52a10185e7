package window

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Goal: M9, where an element's window goes among a key's sessions.
func TestInsertSession(t *testing.T) {
	set := []Interval{{0, 10}, {20, 30}, {30, 40}, {50, 60}}
	for _, tc := range []struct {
		name   string
		w      Interval
		into   Interval
		lo, hi int
	}{
		{"before all", Interval{-20, -10}, Interval{-20, -10}, 0, 0},
		{"between two", Interval{12, 18}, Interval{12, 18}, 1, 1},
		{"after all", Interval{70, 80}, Interval{70, 80}, 4, 4},
		{"touching both neighbours", Interval{10, 20}, Interval{10, 20}, 1, 1},
		{"inside one", Interval{22, 25}, Interval{20, 30}, 1, 2},
		{"makes one longer", Interval{5, 15}, Interval{0, 15}, 0, 1},
		{"a bridge", Interval{9, 21}, Interval{0, 30}, 0, 2},
		{"over everything", Interval{-5, 99}, Interval{-5, 99}, 0, 4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			into, lo, hi := InsertSession(set, tc.w)
			assert.Equal(t, tc.into, into)
			assert.Equal(t, []int{tc.lo, tc.hi}, []int{lo, hi})
		})
	}
}

// Goal: the result of merging does not depend on the order of arrival (M9), is
// disjoint, and is the same by insertion, all at once and through Fn.Merge.
func FuzzMergeSessions(f *testing.F) {
	f.Add([]byte{1, 5, 9, 3, 4, 8}, uint64(1))
	f.Add([]byte{1, 1, 1, 6, 6, 255}, uint64(2))
	f.Fuzz(func(t *testing.T, starts []byte, seed uint64) {
		if len(starts) > 200 {
			return
		}
		var ws []Interval
		for i, b := range starts {
			ws = append(ws, Interval{int64(b) - 100, int64(b) - 100 + 1 + int64(i%7)})
		}
		want := MergeSessions(slices.Clone(ws), nil)
		for i := 1; i < len(want); i++ {
			require.LessOrEqual(t, want[i-1].End, want[i].Start)
		}
		for _, w := range ws {
			require.True(t, slices.ContainsFunc(want, func(m Interval) bool { return m.Start <= w.Start && w.End <= m.End }))
		}
		rng := rand.New(rand.NewPCG(seed, 0))
		rng.Shuffle(len(ws), func(i, j int) { ws[i], ws[j] = ws[j], ws[i] })
		var set []Interval
		for _, w := range ws {
			into, lo, hi := InsertSession(set, w)
			set = slices.Replace(set, lo, hi, into)
		}
		require.Equal(t, want, set)

		merged, err := Sessions(ms(1)).Merge(slices.Clone(ws))
		require.NoError(t, err)
		for _, m := range merged {
			require.Contains(t, want, m.Into)
			require.Greater(t, len(m.From), 1)
			require.Equal(t, []Interval{m.Into}, MergeSessions(slices.Clone(m.From), nil))
		}
	})
}

// Goal: a user's merge function is held to its contract; what it gives comes out in
// an order of our own.
func TestFn_mergeCustom(t *testing.T) {
	a, b, c := Interval{0, 10}, Interval{5, 20}, Interval{30, 40}
	for _, tc := range []struct {
		name  string
		merge MergeFunc
		want  []Merged
		err   string
	}{
		{"nothing merges", func([]Interval, func(Interval, ...Interval)) {}, nil, ""},
		{"into a new window", func(ws []Interval, merge func(Interval, ...Interval)) { merge(Interval{0, 20}, ws[1], ws[0]) },
			[]Merged{{Interval{0, 20}, []Interval{a, b}}}, ""},
		{"into one of them", func(ws []Interval, merge func(Interval, ...Interval)) { merge(ws[0], ws[0], ws[1]) },
			[]Merged{{a, []Interval{a, b}}}, ""},
		{"two results are sorted", func(ws []Interval, merge func(Interval, ...Interval)) {
			merge(Interval{25, 40}, ws[2])
			merge(Interval{0, 20}, ws[0], ws[1])
		}, []Merged{{Interval{0, 20}, []Interval{a, b}}, {Interval{25, 40}, []Interval{c}}}, ""},
		{"a window as itself is no change", func(ws []Interval, merge func(Interval, ...Interval)) { merge(ws[0], ws[0]) }, nil, ""},
		{"a stranger", func(_ []Interval, merge func(Interval, ...Interval)) { merge(a, a, Interval{7, 8}) }, nil,
			`merge merging("mine"): [7,8) is none of the windows to merge`},
		{"twice", func(_ []Interval, merge func(Interval, ...Interval)) {
			merge(Interval{0, 20}, a, b)
			merge(Interval{0, 40}, a, c)
		}, nil, `merge merging("mine"): [0,10) is merged twice`},
		{"two results alike", func(_ []Interval, merge func(Interval, ...Interval)) {
			merge(Interval{0, 40}, a, b)
			merge(Interval{0, 40}, c)
		}, nil, `merge merging("mine"): two results are [0,40)`},
		{"over a window that was left out", func(_ []Interval, merge func(Interval, ...Interval)) { merge(c, a, b) }, nil,
			`merge merging("mine"): the result [30,40) is a window that is not merged into it`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fn := CustomMerging("mine", func(ts int64, out []Interval) []Interval { return append(out, Interval{ts, ts + 10}) }, tc.merge)
			got, err := fn.Merge([]Interval{c, b, a, b})
			if tc.err != "" {
				assert.EqualError(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tc.want, got)
		})
	}
	_, err := Fixed(ms(5)).Merge(nil)
	assert.ErrorIs(t, err, ErrNotMerging)
}
