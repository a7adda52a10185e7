package window_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/window"
)

// scenario is one case of testdata/scenarios.json: those of the conformance suite
// that need a single grouping only, most of them confirmed by running Beam's Java
// runner. Times are milliseconds.
type scenario struct {
	ID          string            `json:"id"`
	About       string            `json:"about"`
	Rules       []string          `json:"rules"`
	Free        string            `json:"free"` // Beam leaves how panes split open
	Unsafe      bool              `json:"unsafe_trigger"`
	ExpectError string            `json:"expect_error"`
	Stages      []json.RawMessage `json:"stages"`
	Script      []struct {
		Add       [][3]any `json:"add"`
		Watermark *int64   `json:"watermark"`
		Clock     int64    `json:"clock"`
		End       bool     `json:"end"`
	} `json:"script"`
	Expect []struct {
		Step        int    `json:"step"`
		Key         string `json:"key"`
		Value       string `json:"value"`
		Window      any    `json:"window"`
		TS          any    `json:"ts"`
		Timing      string `json:"timing"`
		Index       int64  `json:"index"`
		OnTimeIndex int64  `json:"on_time_index"`
		First, Last bool
	} `json:"expect"`
}

type windowing struct {
	Fixed, Sessions, Offset, Lateness int64
	Sliding                           []int64
	Trigger                           any
	Mode, Combiner, Closing           string
	OnTime                            string `json:"on_time"`
}

// Goal: the trigger machine and the pane, lateness, hold and merge rules beside it
// give exactly the panes that Beam gives, at the step where it gives them.
// Method: the smallest grouping operator driven by each scenario twice, asking
// triggers after each bundle, as the expectations are written, and after each
// element, where only those that Beam leaves open may differ.
func TestScenarios(t *testing.T) {
	raw, err := os.ReadFile("testdata/scenarios.json")
	require.NoError(t, err)
	var all []scenario
	require.NoError(t, json.Unmarshal(raw, &all))
	require.Len(t, all, 84)
	for _, sc := range all {
		t.Run(sc.ID, func(t *testing.T) {
			t.Logf("%v: %s", sc.Rules, sc.About)
			s := sc.strategy(t)
			if sc.ExpectError != "" {
				require.Error(t, s.Validate())
				return
			}
			err := s.Validate()
			if sc.Unsafe {
				require.ErrorContains(t, err, "may finish")
				s.AllowFinishing = true
				err = s.Validate()
			}
			require.NoError(t, err)
			want := sc.expected()
			assert.Equal(t, want, sc.run(s, false), "asked after each bundle")
			if sc.Free == "" {
				assert.Equal(t, want, sc.run(s, true), "asked after each element")
			} else {
				assert.Equal(t, union(want), union(sc.run(s, true)), "asked after each element: %s", sc.Free)
			}
		})
	}
}

func (sc scenario) strategy(t *testing.T) window.Strategy {
	var stage struct{ Window windowing }
	require.NoError(t, json.Unmarshal(sc.Stages[0], &stage))
	w := stage.Window
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	s := window.Strategy{Lateness: ms(w.Lateness), OnTime: window.OnTimeAlways} // Beam Java's default
	switch {
	case w.Fixed != 0:
		s.Fn = window.Fixed(ms(w.Fixed), window.Offset(ms(w.Offset)))
	case w.Sliding != nil:
		s.Fn = window.Sliding(ms(w.Sliding[0]), ms(w.Sliding[1]))
	case w.Sessions != 0:
		s.Fn = window.Sessions(ms(w.Sessions))
	}
	if w.Trigger != nil {
		s.Trigger = parseTrigger(w.Trigger)
	}
	if w.Mode == "accumulating" {
		s.Accumulation = window.AccumulatePanes
	}
	if w.OnTime == "non_empty" {
		s.OnTime = window.OnTimeIfNonEmpty
	}
	if w.Closing == "always" {
		s.Closing = window.CloseAlways
	}
	switch w.Combiner {
	case "earliest":
		s.Timestamps = window.Earliest
	case "latest":
		s.Timestamps = window.Latest
	}
	return s
}

func parseTrigger(v any) window.Trigger {
	switch v := v.(type) {
	case string:
		switch v {
		case "default":
			return window.Default()
		case "never":
			return window.Never()
		case "after_watermark":
			return window.AfterWatermark()
		}
	case map[string]any:
		for name, arg := range v { // one entry
			list := func() (ts []window.Trigger) {
				for _, a := range arg.([]any) {
					ts = append(ts, parseTrigger(a))
				}
				return ts
			}
			switch name {
			case "count":
				return window.AfterCount(int(arg.(float64)))
			case "processing_time":
				return window.AfterProcessingTime(time.Duration(arg.(float64)) * time.Millisecond)
			case "repeat":
				return window.Repeat(parseTrigger(arg))
			case "any":
				return window.AfterAny(list()...)
			case "all":
				return window.AfterAll(list()...)
			case "each":
				return window.AfterEach(list()...)
			case "or_finally":
				ts := list()
				return window.OrFinally(ts[0], ts[1])
			case "after_watermark":
				t := window.AfterWatermark()
				parts := arg.(map[string]any)
				if e, ok := parts["early"]; ok {
					t = t.Early(parseTrigger(e))
				}
				if l, ok := parts["late"]; ok {
					t = t.Late(parseTrigger(l))
				}
				return t
			}
		}
	}
	panic(fmt.Sprintf("no such trigger: %v", v))
}

// run returns the panes of each step, sorted, each as "step: pane".
func (sc scenario) run(s window.Strategy, each bool) []string {
	var out []string
	step := 0
	g := newGrouping(s, func(e emitted) { out = append(out, fmt.Sprintf("%02d: %v", step, e)) })
	g.each, g.sum = each, string(sc.Stages[1]) == `"sum"`
	for i, st := range sc.Script {
		step = i
		switch {
		case st.Add != nil:
			var es []element
			for _, a := range st.Add {
				es = append(es, element{a[0].(string), a[1].(string), int64(a[2].(float64))})
			}
			g.bundle(es)
		case st.Watermark != nil:
			g.watermark(*st.Watermark)
		case st.End:
			g.watermark(window.MaxTime)
		default:
			g.clock(st.Clock)
		}
	}
	slices.Sort(out)
	return out
}

func (sc scenario) expected() []string {
	var out []string
	for _, x := range sc.Expect {
		e := emitted{key: x.Key, value: x.Value, w: window.Global, ts: window.GlobalEnd}
		if at, ok := x.Window.([]any); ok {
			e.w = window.Interval{Start: int64(at[0].(float64)), End: int64(at[1].(float64))}
		}
		if ts, ok := x.TS.(float64); ok {
			e.ts = int64(ts)
		}
		e.pane = window.Pane{First: x.First, Last: x.Last, Index: x.Index, NonSpeculativeIndex: x.OnTimeIndex}
		switch x.Timing {
		case "early":
			e.pane.Timing = window.PaneEarly
		case "on_time":
			e.pane.Timing = window.PaneOnTime
		case "late":
			e.pane.Timing = window.PaneLate
		}
		out = append(out, fmt.Sprintf("%02d: %v", x.Step, e))
	}
	slices.Sort(out)
	return out
}

// union returns the values of all panes together, sorted.
func union(panes []string) (values []string) {
	for _, p := range panes {
		list := p[strings.Index(p, "[")+1 : strings.Index(p, "]")]
		values = append(values, strings.FieldsFunc(list, func(r rune) bool { return r == ',' })...)
	}
	slices.Sort(values)
	return values
}
