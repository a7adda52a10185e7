package window

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// Goal: M32 and M33 over a sequence of panes of [0,10).
func TestPanes(t *testing.T) {
	type fired struct{ input, output int64 }
	pane := func(timing Timing, index, onTime int64) Pane {
		return Pane{Timing: timing, First: index == 0, Index: index, NonSpeculativeIndex: onTime}
	}
	for _, tc := range []struct {
		name  string
		fired []fired
		want  []Pane
	}{
		{"early, on time, late", []fired{{5, 5}, {9, 9}, {10, 9}, {12, 10}},
			[]Pane{pane(PaneEarly, 0, -1), pane(PaneEarly, 1, -1), pane(PaneOnTime, 2, 0), pane(PaneLate, 3, 1)}},
		{"the first pane can be late", []fired{{12, 12}}, []Pane{pane(PaneLate, 0, 0)}},
		{"at most one is on time, though the output stays", []fired{{10, 9}, {11, 9}}, []Pane{pane(PaneOnTime, 0, 0), pane(PaneLate, 1, 1)}},
		{"a pane after the end is on time while unfired data hold the output", []fired{{15, 9}}, []Pane{pane(PaneOnTime, 0, 0)}},
		{"early then late, none on time", []fired{{5, 5}, {10, 10}}, []Pane{pane(PaneEarly, 0, -1), pane(PaneLate, 1, 0)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var p Panes
			var got []Pane
			for _, f := range tc.fired {
				d := p.Peek(ten, f.input, f.output, false)
				p.Emit(d)
				got = append(got, d)
			}
			assert.Equal(t, tc.want, got)
		})
	}
}

// M34, M35: which empty firings become panes.
func TestStrategy_emits(t *testing.T) {
	onTime, closing := New(Fn{}, OnTimeBehavior(OnTimeAlways)), New(Fn{}, ClosingBehavior(CloseAlways))
	for _, tc := range []struct {
		name  string
		s     Strategy
		pane  Pane
		empty bool
		want  bool
	}{
		{"with data always", Strategy{}, Pane{Timing: PaneEarly}, false, true},
		{"our default: nothing empty on time", Strategy{}, Pane{Timing: PaneOnTime}, true, false},
		{"nor last", Strategy{}, Pane{Timing: PaneOnTime, Last: true}, true, false},
		{"always on time", onTime, Pane{Timing: PaneOnTime}, true, true},
		{"which says nothing of late ones", onTime, Pane{Timing: PaneLate, Last: true}, true, false},
		{"always closing", closing, Pane{Timing: PaneLate, Last: true}, true, true},
		{"which says nothing of those before", closing, Pane{Timing: PaneOnTime}, true, false},
	} {
		assert.Equal(t, tc.want, tc.s.Emits(tc.pane, tc.empty), tc.name)
	}
}

// Goal: M40 to M42 on [0,10) with a lateness of 5: what stamps a pane and what the
// output watermark may not pass.
func TestHold(t *testing.T) {
	type arrival struct{ ts, input, output int64 }
	const none = MinTime
	for _, tc := range []struct {
		name     string
		combiner TimestampCombiner
		arrivals []arrival
		stamp    int64
		output   int64 // none: nothing holds
	}{
		{"end of window", EndOfWindow, []arrival{{2, none, none}}, 9, 9},
		{"earliest", Earliest, []arrival{{5, none, none}, {3, none, none}, {7, none, none}}, 3, 3},
		{"latest", Latest, []arrival{{5, none, none}, {7, none, none}, {3, none, none}}, 7, 7},
		{"earliest behind the output does not count", Earliest, []arrival{{2, 5, 5}}, 9, 14},
		{"earliest at the output does", Earliest, []arrival{{5, 5, 5}}, 5, 5},
		{"behind the input, but the output was held", Earliest, []arrival{{2, 5, 1}}, 2, 2},
		{"the end of the window is never behind before it passed", EndOfWindow, []arrival{{2, 8, 8}}, 9, 9},
		{"after the end of the window", EndOfWindow, []arrival{{2, 10, 9}}, 9, 14},
		{"one in time, one late", Earliest, []arrival{{6, 5, 5}, {2, 5, 5}}, 6, 6},
		{"nothing", Earliest, nil, 9, none},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := New(Fixed(ms(10)), TimestampsAt(tc.combiner), AllowedLateness(ms(5)))
			var h Hold
			for _, a := range tc.arrivals {
				h.Add(&s, ten, a.ts, a.input, a.output)
			}
			assert.Equal(t, tc.stamp, h.Stamp(ten))
			at, ok := h.Output(&s, ten)
			assert.Equal(t, tc.output != none, ok)
			if ok {
				assert.Equal(t, tc.output, at)
			}
			h.Fire(&s, false)
			assert.Equal(t, Hold{}, h, "the pane releases it")
		})
	}
}

// M41: a closing pane that always comes is announced until it has come.
func TestHold_closingAlways(t *testing.T) {
	s := New(Fixed(ms(10)), ClosingBehavior(CloseAlways), AllowedLateness(ms(5)))
	var h Hold
	h.Add(&s, ten, 2, MinTime, MinTime)
	h.Fire(&s, false)
	at, ok := h.Output(&s, ten)
	assert.True(t, ok)
	assert.EqualValues(t, 14, at)
	h.Fire(&s, true)
	assert.Equal(t, Hold{}, h)
}

// M9, M10, M40: holds of windows that merge into [0,20).
func TestHold_merge(t *testing.T) {
	for _, tc := range []struct {
		combiner TimestampCombiner
		want     int64
	}{{EndOfWindow, 19}, {Earliest, 3}, {Latest, 12}} {
		s := New(Sessions(ms(10)), TimestampsAt(tc.combiner))
		a, b := Interval{3, 13}, Interval{12, 20}
		var ha, hb, got Hold
		ha.Add(&s, a, 3, MinTime, MinTime)
		hb.Add(&s, b, 12, MinTime, MinTime)
		got.Merge(&s, hb, Interval{3, 20})
		got.Merge(&s, ha, Interval{3, 20})
		assert.Equal(t, Hold{At: tc.want, InTime: true}, got, "%v", tc.combiner)
	}
}
