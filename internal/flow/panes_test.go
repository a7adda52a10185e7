package flow

import (
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// scenario is one case of window/testdata/scenarios.json: those of the conformance suite
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

type scenarioPane struct {
	key, value string
	w          window.Interval
	ts         int64
	pane       window.Pane
}

func (e scenarioPane) String() string {
	p := e.pane
	s := fmt.Sprintf("%s %s %v @%d %v %d/%d", e.key, e.value, e.w, e.ts, p.Timing, p.Index, p.NonSpeculativeIndex)
	if p.First {
		s += " first"
	}
	if p.Last {
		s += " last"
	}
	return s
}

// Goal: the operator gives Beam's panes at the steps where Beam gives them, also
// when it is restored from its deltas before every step.
// Method: the scenarios of a single grouping, which package window checks its
// trigger machine with. Triggers are asked after each element, so the scenarios
// whose panes Beam leaves open give the same values in other panes.
func TestPaned_scenarios(t *testing.T) {
	raw, err := os.ReadFile("../../window/testdata/scenarios.json")
	require.NoError(t, err)
	var all []scenario
	require.NoError(t, json.Unmarshal(raw, &all))
	for _, sc := range all {
		if sc.ExpectError != "" {
			continue
		}
		t.Run(sc.ID, func(t *testing.T) {
			t.Logf("%v: %s", sc.Rules, sc.About)
			s := sc.strategy(t)
			want := sc.expected()
			for _, restored := range []bool{false, true} {
				got := sc.run(t, s, restored)
				if sc.Free == "" {
					assert.Equal(t, want, got, "restored: %v", restored)
				} else {
					assert.Equal(t, union(want), union(got), "restored: %v", restored)
				}
			}
		})
	}
}

// run returns the panes of each step, sorted, each as "step: pane".
func (sc scenario) run(t *testing.T, s window.Strategy, restored bool) (out []string) {
	step := 0
	emit := func(c *graph.Ctx, k, v string) {
		out = append(out, fmt.Sprintf("%02d: %v", step, scenarioPane{k, v, c.Win, c.TS, c.Pane}))
	}
	var factory graph.Op
	var recv any
	if sum := string(sc.Stages[1]) == `"sum"`; sum {
		factory = &Paned[string, string, int64, int64]{Key: cod[string](t), Val: cod[string](t), Acc: cod[int64](t), Strategy: s, Assign: NewAssign(s, false),
			Add: func(a *int64, v string) {
				var n int64
				fmt.Sscan(v, &n)
				*a += n
			},
			Merge: func(a *int64, b int64) { *a += b }, Extract: func(_ *graph.Ctx, a int64) int64 { return a }}
		recv = Recv[coder.KV[string, int64]](func(c *graph.Ctx, v coder.KV[string, int64]) { emit(c, v.Key, fmt.Sprint(v.Value)) })
	} else {
		factory = PanedGroup(cod[string](t), cod[string](t), s, NewAssign(s, false), nil)
		recv = Recv[coder.KV[string, iter.Seq[string]]](func(c *graph.Ctx, v coder.KV[string, iter.Seq[string]]) {
			emit(c, v.Key, "["+strings.Join(slices.Sorted(v.Value), ",")+"]")
		})
	}
	c := testLane(t, epochs)
	ins, live := factory.Open(c, []any{recv})
	rows := &store{map[string][]byte{}}
	wm := int64(window.MinTime)
	for i, st := range sc.Script {
		step = i
		if restored {
			live.(graph.Keeper).Delta(rows)
			now := c.Now
			c = testLane(t, epochs)
			c.Now = now
			ins, live = factory.Open(c, []any{recv})
			for k, v := range rows.rows {
				require.NoError(t, live.(graph.Keeper).Load([]byte(k), v))
			}
			if wm > window.MinTime {
				live.(graph.Watermarker).Advance(c, wm)
			}
		}
		switch {
		case st.Add != nil:
			for _, a := range st.Add {
				c.TS = int64(a[2].(float64))
				recvOf[coder.KV[string, string]](ins[0])(c, coder.KV[string, string]{Key: a[0].(string), Value: a[1].(string)})
			}
		case st.Watermark != nil:
			wm = *st.Watermark
			live.(graph.Watermarker).Advance(c, wm)
		case st.End:
			wm = window.MaxTime
			live.(graph.Watermarker).Advance(c, wm)
		default:
			c.Now += st.Clock
			if a := live.(graph.Alarmer).Alarm(); a != math.MaxInt64 && c.Now > a {
				live.(graph.Alarmer).Ring(c)
			}
		}
		live.(graph.Holder).Output()
	}
	require.NoError(t, c.Err())
	require.Equal(t, int64(window.MaxTime), live.(graph.Holder).Output(), "nothing is held at the end")
	slices.Sort(out)
	return out
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

func (sc scenario) expected() []string {
	var out []string
	for _, x := range sc.Expect {
		e := scenarioPane{key: x.Key, value: x.Value, w: window.Global, ts: window.GlobalEnd}
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
