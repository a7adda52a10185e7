package window

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Goal: the windows of single timestamps, quoting M1, M6 and M9.
func TestFn_assign(t *testing.T) {
	for _, tc := range []struct {
		name string
		fn   Fn
		ts   int64
		want []Interval
	}{
		{"global", GlobalWindows(), 5, []Interval{Global}},
		{"the zero value is global", Fn{}, MinTime, []Interval{Global}},
		{"fixed begins at its start", Fixed(ms(10)), 10, []Interval{{10, 20}}},
		{"fixed ends before its end", Fixed(ms(10)), 19, []Interval{{10, 20}}},
		{"M6 floor, not the remainder of the language", Fixed(ms(10)), -11, []Interval{{-20, -10}}},
		{"M6 a negative multiple", Fixed(ms(10)), -10, []Interval{{-10, 0}}},
		{"fixed with an offset", Fixed(ms(10), Offset(ms(3))), 2, []Interval{{-7, 3}}},
		{"sliding, latest first", Sliding(ms(10), ms(5)), 7, []Interval{{5, 15}, {0, 10}}},
		{"sliding over zero", Sliding(ms(10), ms(5)), -1, []Interval{{-5, 5}, {-10, 0}}},
		{"sliding whose period does not divide its size", Sliding(ms(10), ms(4)), 9, []Interval{{8, 18}, {4, 14}, {0, 10}}},
		{"the same, elsewhere in the period", Sliding(ms(10), ms(4)), 11, []Interval{{8, 18}, {4, 14}}},
		{"sliding with an offset", Sliding(ms(10), ms(5), Offset(ms(2))), 1, []Interval{{-3, 7}, {-8, 2}}},
		{"sliding that does not overlap", Sliding(ms(10), ms(10)), 11, []Interval{{10, 20}}},
		{"M9 a session is the element's own", Sessions(ms(5)), 7, []Interval{{7, 12}}},
		{"no window outlasts the global one", Fixed(36 * time.Hour), GlobalEnd, []Interval{{Floor(GlobalEnd, 129600000, 0), GlobalEnd + 1}}},
		{"the last day of time is as its beginning", Sessions(ms(5)), MaxTime, []Interval{{GlobalEnd, GlobalEnd + 1}}},
		{"custom", Custom("own", func(ts int64, out []Interval) []Interval { return append(out, Interval{ts, ts + 3}) }), 4, []Interval{{4, 7}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.NoError(t, tc.fn.Validate())
			assert.Equal(t, tc.want, tc.fn.Assign(tc.ts, nil))
			assert.Equal(t, tc.want[0], tc.fn.AssignOne(tc.ts))
		})
	}
}

// Goal: every window holds its timestamp (M4, M6), over negative times and the
// ends of time; fixed and calendar windows tile, sliding ones are all there.
func TestFn_windowsHoldTheirTimestamp(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	fns := []Fn{
		Fixed(1 * time.Millisecond), Fixed(ms(7), Offset(ms(3))), Fixed(time.Hour), Fixed(1000 * time.Hour),
		Sliding(ms(10), ms(3)), Sliding(ms(10), ms(10)), Sliding(time.Minute, time.Second, Offset(ms(999))),
		Sessions(ms(1)), Sessions(time.Hour), GlobalWindows(),
		Days(1, berlin), Days(3, time.UTC), Weeks(1, time.Sunday, berlin), Weeks(5, time.Monday, berlin), Months(1, berlin), Months(5, berlin), Years(1, berlin), Years(7, time.UTC),
	}
	rng := rand.New(rand.NewPCG(1, 2))
	times := []int64{MinTime, MinTime + 1, -1, 0, 1, GlobalEnd - 1, GlobalEnd}
	for range 500 {
		times = append(times, rng.Int64N(400)-200, rng.Int64N(8e12)-4e12, rng.Int64N(GlobalEnd), -rng.Int64N(-MinTime))
	}
	for _, fn := range fns {
		require.NoError(t, fn.Validate())
		for _, ts := range times {
			ws := fn.Assign(ts, nil)
			require.NotEmpty(t, ws)
			if fn.Kind() != KindSliding {
				require.Equal(t, []Interval{fn.AssignOne(ts)}, ws)
			}
			require.LessOrEqual(t, len(ws), fn.MaxWindows())
			for i, w := range ws {
				require.True(t, w.Contains(ts), "%v: %v does not hold %d", fn, w, ts)
				require.LessOrEqual(t, w.Last(), GlobalEnd, "%v", fn)
				if fn.Kind() == KindSliding {
					require.Equal(t, fn.offset, w.Start-Floor(w.Start, fn.period, 0), "aligned")
				}
				if i > 0 {
					require.Equal(t, fn.period, ws[i-1].Start-w.Start, "no window is left out")
				}
			}
			if fn.Kind() == KindSliding {
				require.LessOrEqual(t, ws[len(ws)-1].Start-fn.period+fn.size, ts, "%v leaves a window of %d out", fn, ts)
				require.Greater(t, ws[0].Start+fn.period, ts)
			}
			if k := fn.Kind(); k == KindFixed || k == KindCalendar {
				w := ws[0]
				require.Equal(t, w, fn.AssignOne(w.Start), "%v at %d", fn, ts)
				require.Equal(t, w, fn.AssignOne(w.Last()), "%v at %d", fn, ts)
				if w.End <= GlobalEnd {
					require.Equal(t, w.End, fn.AssignOne(w.End).Start, "%v at %d", fn, ts)
				}
			}
		}
	}
}

func TestFn_sliceSize(t *testing.T) {
	assert.EqualValues(t, 10, Fixed(ms(10)).SliceSize())
	assert.EqualValues(t, 5, Sliding(ms(10), ms(5)).SliceSize())
	assert.EqualValues(t, 2, Sliding(ms(10), ms(4)).SliceSize())
	assert.EqualValues(t, 1, Sliding(ms(10), ms(7)).SliceSize())
	assert.Zero(t, Sessions(ms(10)).SliceSize())
	assert.Zero(t, GlobalWindows().SliceSize())
	assert.Zero(t, Days(1, time.UTC).SliceSize())
}

// M9, M61: sessions merge at the first grouping only.
func TestFn_merging(t *testing.T) {
	s := Sessions(ms(5))
	assert.True(t, s.Merging())
	assert.False(t, s.Merged().Merging())
	assert.True(t, s.Merged().AlreadyMerged())
	assert.False(t, s.Equal(s.Merged()))
	assert.False(t, Fixed(ms(5)).Merging())
	assert.True(t, Fixed(ms(5)).Equal(Fixed(ms(5)).Merged()))
	assert.False(t, CustomMerging("bad", nil, nil).Merging())
}

// M91: which window of a side input an element reads.
func TestFn_side(t *testing.T) {
	custom := Custom("two", func(ts int64, out []Interval) []Interval {
		return append(out, Interval{ts - 5, ts + 1}, Interval{ts - 2, ts + 1})
	})
	for _, tc := range []struct {
		name    string
		side    Fn
		main    Interval
		want    Interval
		refused string
	}{
		{"global side", GlobalWindows(), Interval{0, 5}, Global, ""},
		{"both global", GlobalWindows(), Global, Global, ""},
		{"wider fixed side", Fixed(ms(20)), Interval{10, 20}, Interval{0, 20}, ""},
		{"by the last tick of main", Fixed(ms(5)), Interval{0, 10}, Interval{5, 10}, ""},
		{"the sliding window that starts latest", Sliding(ms(10), ms(5)), Interval{0, 5}, Interval{0, 10}, ""},
		{"custom: starts latest", custom, Interval{0, 10}, Interval{7, 10}, ""},
		{"main is global, the side is not", Fixed(ms(10)), Global, Interval{}, "side input in fixed(10ms): the main input is in the global window, which maps to none of them"},
		{"merging side", Sessions(ms(10)), Interval{0, 5}, Interval{}, "side input in sessions(10ms): merging windows cannot be mapped to windows of the main input"},
		{"merged side", Sessions(ms(10)).Merged(), Interval{0, 5}, Interval{}, "side input in merged(sessions(10ms)): merging windows cannot be mapped to windows of the main input"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.side.Side(tc.main)
			assert.Equal(t, tc.want, got)
			if tc.refused != "" {
				assert.EqualError(t, err, tc.refused)
			} else {
				assert.NoError(t, err)
			}
		})
	}
}

func TestInterval(t *testing.T) {
	w := Interval{0, 10}
	assert.EqualValues(t, 9, w.Last())
	assert.False(t, w.Passed(9), "M30: W must be beyond the last tick")
	assert.True(t, w.Passed(10))
	assert.Equal(t, GlobalEnd, Global.Last())
	assert.True(t, Global.Passed(MaxTime))
	assert.False(t, w.Intersects(Interval{10, 20}), "M9: windows that touch stay apart")
	assert.True(t, w.Intersects(Interval{9, 20}))
	assert.Equal(t, "[0,10)", w.String())
	assert.Equal(t, "[min,5)", Interval{MinTime, 5}.String())
	assert.Equal(t, "global", Global.String())
	assert.EqualValues(t, 9223372036854775, MaxTime)
	assert.EqualValues(t, MaxTime-86400000, GlobalEnd)
}
