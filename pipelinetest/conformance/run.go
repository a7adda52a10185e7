package conformance

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

// Way is one way in which a runner runs a scenario. Whatever it is, the runner
// goes by the clock Now and takes a snapshot after each bundle.
type Way struct {
	Name    string
	Lanes   int
	NoFuse  bool             // every transform behind a queue of its own
	Restart bool             // begin again from each snapshot
	State   string           // what keeps snapshots, in a folder; "": nothing beyond the run
	Rescale bool             // with another number of lanes each time
	Crash   bool             // the run ends with pipelinetest.ErrCrash behind each step, before its snapshot, and is to be run again
	Now     func() time.Time // the run's processing time

	Each   bool // each element is a bundle of its own
	Spread bool // elements come from all lanes
	Copies int  // of each key
}

// States are the backends of state that the runner has; a runner's test sets them.
var States []string

// ways are all ways in which a scenario is run; in short tests a few that have
// each of them.
func ways() (out []Way) {
	if testing.Short() {
		return []Way{{Name: "1 lane", Lanes: 1}, {Name: "2 lanes, no fusion, each element alone", Lanes: 2, NoFuse: true, Each: true},
			{Name: "7 lanes, restart after each step", Lanes: 7, Restart: true, Copies: 9}}
	}
	for _, lanes := range []int{1, 2, 7} {
		add := func(name string, w Way) {
			w.Lanes, w.Name = lanes, fmt.Sprintf("%d lanes, %s", lanes, name)
			out = append(out, w)
		}
		add("as given", Way{})
		add("no fusion", Way{NoFuse: true})
		add("each element alone", Way{Each: true, Copies: 9})
		add("restart after each step", Way{Restart: true, Copies: 9})
		add("spread, no fusion, restart after each step", Way{NoFuse: true, Spread: true, Restart: true})
		add("spread, each element alone", Way{Spread: true, Each: true, Copies: 9})
	}
	return out
}

// durable are the ways in which a scenario is run with its state in a folder: restored
// at each step on every backend; and the n-th scenario in one of the ways to crash.
func durable(n int) (out []Way) {
	crashes := []Way{{Lanes: 1}, {Lanes: 3, Spread: true, NoFuse: true}, {Lanes: 2, Rescale: true, Copies: 9}}
	for i, state := range States {
		out = append(out, Way{Name: "2 lanes, state in " + state + ", restart after each step", Lanes: 2, Restart: true, Copies: 9, State: state})
		w := crashes[(n+i)%len(crashes)]
		w.Name, w.State, w.Crash = fmt.Sprintf("%d lanes, state in %s, crash behind each step", w.Lanes, state), state, true
		if w.Rescale {
			w.Name += ", then other lanes"
		}
		if out = append(out, w); testing.Short() {
			break
		}
	}
	return out
}

// Except is what a runner does not pass: a sentence for each scenario, by id.
type Except map[string]string

// Run runs every scenario in every way, but for what the runner says that it
// does not pass.
func Run(t *testing.T, run func(ctx context.Context, p *pipeline.Pipeline, w Way) error, except ...Except) {
	t.Helper()
	all, err := scenarios()
	require.NoError(t, err)
	not := Except{}
	for _, e := range except {
		maps.Copy(not, e)
	}
	for id := range not {
		known := slices.ContainsFunc(all, func(sc scenario) bool { return sc.ID == id })
		require.True(t, known, "no scenario is named %s", id)
	}
	for n, sc := range all {
		if why, ok := not[sc.ID]; ok {
			t.Logf("%s is not run: %s", sc.ID, why)
			continue
		}
		t.Run(sc.ID, func(t *testing.T) {
			if sc.UnsafeTrigger {
				b := builder{scenario: sc, p: pipeline.New(), tl: pipelinetest.NewTimeline()}
				b.build()
				require.ErrorContains(t, b.p.Err(), "may finish", "a trigger that may finish wants an opt-out (M53)")
			}
			for _, w := range append(ways(), durable(n)...) {
				t.Run(w.Name, func(t *testing.T) {
					t.Logf("%v: %s", sc.Rules, sc.About)
					b, got, err := runOne(t.Context(), sc, w, run)
					if sc.ExpectError != "" {
						require.ErrorContains(t, err, sc.Error)
						return
					}
					require.NoError(t, err)
					b.check(t, got)
				})
			}
		})
	}
}

// runOne builds a scenario and runs it in one way.
func runOne(ctx context.Context, sc scenario, w Way, run func(ctx context.Context, p *pipeline.Pipeline, w Way) error) (*builder, []pipelinetest.Output[kv], error) {
	tl := pipelinetest.NewTimeline()
	w.Now = tl.Now
	b := &builder{scenario: sc, way: w, p: pipeline.New(), tl: tl, unsafe: sc.UnsafeTrigger}
	out := b.build()
	if w.Crash {
		tl.CrashEach()
	}
	if err := b.p.Err(); err != nil {
		return b, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := run(ctx, b.p, w)
	return b, out.Values(), err
}

// check compares what came with what should have come.
func (b *builder) check(t *testing.T, got []pipelinetest.Output[kv]) {
	t.Helper()
	want := b.Expect
	if b.Free != "" {
		b.checkFree(t, got)
		if b.Ours == nil || b.way.Spread {
			return
		}
		want = b.Ours
	}
	panes := b.panes()
	var wants, have []string
	for _, e := range want {
		for i := range b.copies() {
			wants = append(wants, e.line(keyOf(e.Key, i), panes))
		}
	}
	for _, o := range got {
		have = append(have, line(o, panes))
	}
	slices.Sort(wants)
	slices.Sort(have)
	require.Equal(t, strings.Join(wants, "\n"), strings.Join(have, "\n"))
}

// panes says whether the outputs are panes of a grouping.
func (b *builder) panes() bool {
	last := b.Stages[len(b.Stages)-1].kind
	return last == "group" || last == "sum"
}

func line(o pipelinetest.Output[kv], panes bool) string {
	ts := fmt.Sprint(o.TimestampMs)
	if o.TimestampMs == window.GlobalEnd {
		ts = "the end of the global window"
	}
	s := fmt.Sprintf("step %02d: %s: %s in %v at %s", o.Step, o.Value.Key, o.Value.Value, o.Window, ts)
	if panes {
		p := o.Pane
		s += fmt.Sprintf(" %v %d/%d first=%v last=%v", p.Timing, p.Index, p.NonSpeculativeIndex, p.First, p.Last)
	}
	return s
}

func (e expected) line(key string, panes bool) string { return line(e.output(key), panes) }

// output is what is expected of a copy of the key.
func (e expected) output(key string) pipelinetest.Output[kv] {
	o := pipelinetest.Output[kv]{Value: pipeline.NewKV(key, e.Value), Window: e.Window.Interval, TimestampMs: int64(e.TS), Step: pipelinetest.Step(e.Step)}
	o.Pane = window.Pane{First: e.First, Last: e.Last, Index: e.Index, NonSpeculativeIndex: e.OnTimeIndex}
	switch e.Timing {
	case "early":
		o.Pane.Timing = window.PaneEarly
	case "on_time":
		o.Pane.Timing = window.PaneOnTime
	case "late":
		o.Pane.Timing = window.PaneLate
	}
	return o
}
