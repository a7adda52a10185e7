package conformance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// RunRandom makes a random scenario of groupings from each of n seeds. One grouping
// must give the panes of a plain model, at the same steps; and each tenth scenario
// must give the same in every way to run. A failure prints the seed and the scenario.
func RunRandom(t *testing.T, run func(ctx context.Context, p *pipeline.Pipeline, w Way) error, n uint64) {
	t.Helper()
	for seed := range n {
		sc := random(seed)
		panes := func(t *testing.T, w Way) string {
			w.Copies = 1
			_, got, err := runOne(t.Context(), sc, w, run)
			require.NoError(t, err, "%s\n%s", w.Name, sc)
			return text(got)
		}
		t.Run(sc.ID, func(t *testing.T) {
			all := ways()
			first := panes(t, all[0])
			if len(sc.Stages) == 2 {
				require.Equal(t, text(modelled(sc)), first, "not as the model\n%s", sc)
			}
			if seed%10 == 0 {
				for _, w := range all[1:] {
					require.Equal(t, first, panes(t, w), "%s gave something else than %s\n%s", w.Name, all[0].Name, sc)
				}
			}
		})
	}
}

// RunRandomPrograms is [RunRandom] of stateful transforms with timers, whose holds a
// grouping behind shows: each scenario must give the same in every way to run.
func RunRandomPrograms(t *testing.T, run func(ctx context.Context, p *pipeline.Pipeline, w Way) error, n uint64) {
	t.Helper()
	for seed := range n {
		sc := randomProgram(seed)
		t.Run(sc.ID, func(t *testing.T) {
			first := ""
			for i, w := range ways() {
				w.Copies = 1
				b, got, err := runOne(t.Context(), sc, w, run)
				require.NoError(t, err, "%s\n%s", w.Name, sc)
				var lines []string
				for _, o := range got {
					lines = append(lines, line(o, b.panes()))
				}
				slices.Sort(lines)
				if i == 0 {
					first = strings.Join(lines, "\n")
				}
				require.Equal(t, first, strings.Join(lines, "\n"), "%s gave something else than %s\n%s", w.Name, ways()[0].Name, sc)
			}
		})
	}
}

// text is panes as lines, sorted.
func text(panes []pipelinetest.Output[kv]) string {
	var lines []string
	for _, o := range panes {
		lines = append(lines, line(o, true))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// random makes a scenario of one or a few groupings. No bundle has two elements of
// a key, so that their order is the same however they are spread. Several in a row
// have no lateness: the watermark behind a grouping goes up in more or fewer steps
// with more or fewer lanes, which shows where a window is neither open nor collected.
func random(seed uint64) scenario {
	g := generator{rand.New(rand.NewPCG(seed, 1))}
	sc := scenario{ID: fmt.Sprint("random-", seed), UnsafeTrigger: true}
	for n := g.pick(3, 1); n >= 0; n-- {
		sc.Stages = append(sc.Stages, stage{kind: "window", window: g.windowing()})
		sc.Stages = append(sc.Stages, stage{kind: []string{"group", "sum"}[g.pick(2, 1)]})
		if g.pick(5, 1) == 1 && n == 0 {
			sc.Stages = append(sc.Stages, stage{kind: "group"})
		}
	}
	if len(sc.Stages) > 2 { // several in a row
		for i := range sc.Stages {
			sc.Stages[i].window.Lateness = 0
		}
	}
	// Only numbers can be summed, and a group is none.
	if i := slices.IndexFunc(sc.Stages, func(s stage) bool { return s.kind == "group" }); i >= 0 {
		for j := range sc.Stages[i:] {
			if s := &sc.Stages[i+j]; s.kind == "sum" {
				s.kind = "group"
			}
		}
	}
	wms, value := []int64{-5}, 0
	if g.pick(2, 1) == 1 {
		sc.Sources, wms = []string{"a", "b"}, []int64{-5, -5}
		sc.Stages = append([]stage{{kind: "flatten"}}, sc.Stages...)
	}
	for range 6 + g.IntN(12)*len(wms) {
		var st scriptStep
		i := g.IntN(len(wms))
		if sc.Sources != nil {
			st.Source = sc.Sources[i]
		}
		switch g.pick(10, 6, 4, len(wms)-1) {
		case 0:
			for _, key := range []string{"x", "y", "z"}[:1+g.pick(5, 2, 1)] {
				value++
				st.Add = append(st.Add, element{key, fmt.Sprint(value), wms[i] - 8 + g.Int64N(25)})
			}
		case 1:
			wms[i] += g.Int64N(10)
			at := wms[i]
			st.Watermark = &at
		case 2:
			st.Clock = 1 + g.Int64N(6)
		case 3:
			st.Idle = true
		}
		sc.Script = append(sc.Script, st)
	}
	for i, src := range sc.Sources { // none ends while another is idle: a snapshot does not tell that one is
		sc.Script = append(sc.Script, scriptStep{Source: src, Watermark: &wms[i]})
	}
	for _, src := range sc.Sources { // one by one: of two ends at once the watermark may take two steps or one
		sc.Script = append(sc.Script, scriptStep{Source: src, End: true})
	}
	if sc.Sources == nil {
		sc.Script = append(sc.Script, scriptStep{End: true})
	}
	return sc
}

// randomProgram makes a scenario of a stateful transform. Timers lie inside of the
// windows, and callbacks set only timers of a later letter, so that they end.
func randomProgram(seed uint64) scenario {
	g := generator{rand.New(rand.NewPCG(seed, 2))}
	sc := scenario{ID: fmt.Sprint("random-program-", seed)}
	w, lateness := windowing{}, int64(0)
	if g.IntN(2) == 0 {
		lateness = []int64{0, 10}[g.IntN(2)]
		w = windowing{Fixed: 20, Lateness: lateness}
	}
	last := func(ts int64) int64 { // of an element's window, lateness included
		if w.Fixed == 0 {
			return 200
		}
		return window.Fixed(ms(20)).AssignOne(ts).Last() + lateness
	}
	on := map[string]string{}
	if g.IntN(2) == 0 {
		on["on_expiry"] = ""
	}
	for _, name := range []string{"et:a", "et:b", "pt:a", "pt:b"} {
		var cmds []string
		for range g.IntN(3) {
			cmds = append(cmds, g.pickOne("read", "bag+"+name[3:], "clearbag", "emit:"+name[3:], "et:c=clear", "pt:c=+"+fmt.Sprint(1+g.IntN(5))))
		}
		if w.Fixed == 0 && g.IntN(2) == 0 {
			cmds = append(cmds, fmt.Sprint("et:c=", 30+g.IntN(30)))
		}
		on[name] = strings.Join(cmds, ";")
	}
	sc.Stages = []stage{{kind: "window", window: w}, {kind: "program", program: on}}
	if g.IntN(2) == 0 {
		if w.Fixed == 0 {
			sc.Stages = append(sc.Stages, stage{kind: "window", window: windowing{Fixed: 10}})
		}
		if lateness == 0 {
			sc.Stages = append(sc.Stages, stage{kind: "group"})
		}
	}
	wm, value := int64(-5), 0
	for range 6 + g.IntN(12) {
		var st scriptStep
		switch g.pick(5, 3, 3) {
		case 0:
			for _, key := range []string{"x", "y", "z"}[:1+g.pick(5, 2, 1)] {
				ts := wm + g.Int64N(25)
				var cmds []string
				for range 1 + g.IntN(3) {
					value++
					at := ts + g.Int64N(max(last(ts)-ts+1, 1))
					tag := g.pickOne("a", "b", "d")
					cmds = append(cmds, g.pickOne(fmt.Sprint("bag+", value), "read", "clearbag", fmt.Sprint("emit:", value),
						fmt.Sprintf("et:%s=%d", tag, at), fmt.Sprintf("et:%s=%d/out=%d", tag, at, ts+g.Int64N(at-ts+1)),
						"et:"+tag+"=clear", fmt.Sprintf("pt:%s=+%d", tag, 1+g.IntN(6)), "pt:"+tag+"=clear"))
				}
				st.Add = append(st.Add, element{key, strings.Join(cmds, ";"), ts})
			}
		case 1:
			wm += g.Int64N(15)
			at := wm
			st.Watermark = &at
		case 2:
			st.Clock = 1 + g.Int64N(6)
		}
		sc.Script = append(sc.Script, st)
	}
	sc.Script = append(sc.Script, scriptStep{End: true})
	return sc
}

func (g generator) pickOne(of ...string) string { return of[g.IntN(len(of))] }

// generator draws parts of scenarios.
type generator struct{ *rand.Rand }

// pick draws an index by weight.
func (g generator) pick(weights ...int) int {
	all := 0
	for _, w := range weights {
		all += w
	}
	n := g.IntN(all)
	for i, w := range weights {
		if n -= w; n < 0 {
			return i
		}
	}
	panic("BUG: conformance: no weights")
}

func (g generator) windowing() (w windowing) {
	switch g.pick(4, 2, 4, 2) {
	case 0:
		w.Fixed = 10
	case 1:
		w.Sliding = []int64{10, 5}
	case 2:
		w.Sessions = 6
	}
	w.Lateness = []int64{0, 5, 20}[g.IntN(3)]
	w.Mode = []string{"discarding", "accumulating"}[g.IntN(2)]
	w.Combiner = []string{"end", "earliest", "latest"}[g.pick(3, 1, 1)]
	w.Closing = []string{"non_empty", "always"}[g.pick(3, 1)]
	w.OnTime = []string{"always", "non_empty"}[g.IntN(2)]
	if g.pick(1, 3) == 1 {
		w.Trigger = g.trigger(2)
	}
	return w
}

func (g generator) trigger(depth int) any {
	if depth == 0 {
		switch g.pick(4, 3, 2, 1) {
		case 0:
			return map[string]any{"count": 1 + g.IntN(3)}
		case 1:
			return map[string]any{"processing_time": 2 + g.IntN(6)}
		case 2:
			return "after_watermark"
		}
		return "never"
	}
	list := func() (ts []any) {
		for range 2 + g.pick(3, 1) {
			ts = append(ts, g.trigger(depth-1))
		}
		return ts
	}
	switch g.pick(4, 5, 2, 2, 2, 2, 1) {
	case 0:
		return map[string]any{"repeat": g.trigger(depth - 1)}
	case 1:
		parts := map[string]any{}
		for _, p := range []string{"early", "late"} {
			if g.IntN(3) > 0 {
				parts[p] = g.firing()
			}
		}
		return map[string]any{"after_watermark": parts}
	case 2:
		return map[string]any{"any": list()}
	case 3:
		return map[string]any{"all": list()}
	case 4:
		return map[string]any{"each": list()}
	case 5:
		return map[string]any{"or_finally": []any{g.trigger(depth - 1), g.trigger(depth - 1)}}
	}
	return g.trigger(0)
}

// firing is a trigger that may stand before or behind the end of a window.
func (g generator) firing() any {
	one := func() any {
		if g.IntN(2) == 0 {
			return map[string]any{"count": 1 + g.IntN(3)}
		}
		return map[string]any{"processing_time": 2 + g.IntN(6)}
	}
	if g.IntN(3) > 0 {
		return one()
	}
	return map[string]any{[]string{"any", "all"}[g.IntN(2)]: []any{one(), one()}}
}

// String is the scenario as it would stand in the data.
func (sc scenario) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", sc.ID)
	for _, st := range sc.Stages {
		fmt.Fprintf(&b, "  %s", st.kind)
		if st.kind == "window" {
			w := st.window
			trig, _ := yaml.Marshal(w.Trigger)
			fmt.Fprintf(&b, " fixed=%d sliding=%v sessions=%d lateness=%d %s %s closing=%s on_time=%s trigger=%v",
				w.Fixed, w.Sliding, w.Sessions, w.Lateness, w.Mode, w.Combiner, w.Closing, w.OnTime, strings.TrimSpace(string(trig)))
		}
		if st.kind == "program" {
			fmt.Fprintf(&b, " %v", st.program)
		}
		b.WriteByte('\n')
	}
	for i, st := range sc.Script {
		fmt.Fprintf(&b, "  %02d %s", i, st.Source)
		switch {
		case st.Add != nil:
			for _, e := range st.Add {
				fmt.Fprintf(&b, " %s:%s@%d", e.key, e.value, e.ts)
			}
		case st.Watermark != nil:
			fmt.Fprintf(&b, " watermark %d", *st.Watermark)
		case st.Clock > 0:
			fmt.Fprintf(&b, " clock +%d", st.Clock)
		case st.Idle:
			b.WriteString(" idle")
		default:
			b.WriteString(" end")
		}
		b.WriteByte('\n')
	}
	return b.String()
}
