package engine

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/require"
)

// The pure cores are tested by transcripts: a script goes in, a step a line, and
// the full trace comes out. testdata holds both: the script's lines, and behind
// each ---- what was answered. -update rewrites the answers; read that diff as code.
var update = flag.Bool("update", false, "rewrite the transcripts' answers")

// transcript runs the script of testdata/name through step.
func transcript(t *testing.T, name string, step func(words []string) string) {
	path := filepath.Join("testdata", name)
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	var out strings.Builder
	answer := false
	for s := bufio.NewScanner(f); s.Scan(); {
		line := s.Text()
		switch {
		case line == "----":
			answer = true
		case line == "" || strings.HasPrefix(line, "#"):
			answer = false
			out.WriteString(line + "\n")
		case !answer:
			got := step(strings.Fields(line))
			fmt.Fprintf(&out, "%s\n----\n%s\n", line, strings.TrimRight(got, "\n"))
		}
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(out.String()), 0o644))
		return
	}
	require.Equal(t, string(want), out.String(), "%s (-update rewrites it)", path)
}

// typ is a collection type of which only the name matters here.
type typ struct{ graph.Type }

func (typ) String() string { return "int" }

// shape builds the graphs of the transcripts.
func shape(name string) *graph.Graph {
	g := &graph.Graph{}
	add := func(kind string, in ...graph.In) graph.Ref {
		n := &graph.Node{Kind: kind, In: in, Out: []graph.Type{typ{}}}
		if len(in) == 0 {
			n.Src = noSource{}
		}
		n.DeadLetter = kind == "DeadLetters"
		return graph.Ref{Node: g.Add(n, "")}
	}
	fwd := func(r graph.Ref) graph.In { return graph.In{Ref: r} }
	by := func(r graph.Ref, k graph.EdgeKind) graph.In { return graph.In{Ref: r, Kind: k} }
	src := add("Source")
	switch name {
	case "chain":
		add("ForEach", fwd(add("Map", fwd(src))))
	case "shuffle":
		add("ForEach", fwd(add("Combine", by(add("Lift", fwd(add("EventTime", fwd(src)))), graph.ByKey))))
	case "diamond":
		a, b := add("Map", fwd(src)), add("Reshuffle", by(src, graph.Rebalance))
		add("Combine", by(add("Flatten", fwd(a), fwd(b)), graph.ByKey))
	case "panes":
		view := add("View", fwd(add("Group", by(add("Source"), graph.ByKey))))
		view.Node.View = 1
		add("Write", by(add("ParDo", fwd(add("Gate", fwd(src), graph.In{Ref: view, Kind: graph.Broadcast, Signal: true}))), graph.Gather))
	case "side":
		view := add("View", by(add("Source"), graph.Gather))
		view.Node.View = 1
		add("ParDo", fwd(add("Gate", fwd(src), graph.In{Ref: view, Kind: graph.Broadcast, Signal: true})))
	case "clocks":
		add("EventTime", fwd(add("EventTime", fwd(src))))
	case "tee":
		add("ForEach", fwd(src))
		add("Filter", fwd(add("Map", fwd(src))))
		add("Reshuffle", by(src, graph.Rebalance))
	case "letters":
		add("Map", fwd(src))
		add("Write", by(add("DeadLetters"), graph.Gather))
	}
	return g
}

type noSource struct{}

func (noSource) Splits(*graph.Run, int) ([]graph.Split, error) { return nil, nil }
func (noSource) Bounded() bool                                 { return true }

func TestPlan(t *testing.T) {
	transcript(t, "plan.txt", func(w []string) string { // GRAPH lanes N [unfused] [slots N]
		n, err := strconv.Atoi(w[2])
		require.NoError(t, err)
		cfg := Config{Lanes: n, NoFusion: slices.Contains(w, "unfused")}
		if i := slices.Index(w, "slots"); i > 0 {
			cfg.Slots, err = strconv.Atoi(w[i+1])
			require.NoError(t, err)
		}
		return newPlan(shape(w[0]), cfg).String()
	})
}

func wmText(wm int64) string {
	switch wm {
	case window.MinTime:
		return "min"
	case window.MaxTime:
		return "max"
	}
	return fmt.Sprint(wm)
}

func TestProgress(t *testing.T) {
	var p *progress
	num := func(s string) int64 {
		switch s {
		case "max":
			return window.MaxTime
		case "min":
			return window.MinTime
		}
		n, err := strconv.ParseInt(s, 10, 64)
		require.NoError(t, err)
		return n
	}
	step := func(w []string) (out string) {
		defer func() {
			if r := recover(); r != nil {
				out = fmt.Sprint("panic: ", r)
			}
		}()
		arg := func(i int) int { return int(num(w[i])) }
		switch w[0] {
		case "begin": // begin GRAPH lane L of N [slot S of N]
			cfg := Config{Lanes: arg(5)}
			if len(w) > 6 {
				cfg.Slot, cfg.Slots = arg(7), arg(9)
			}
			p = newProgress(newPlan(shape(w[1]), cfg), arg(3))
			for i, s := range p.stages {
				out += fmt.Sprintf("stage %d hears", i)
				for _, in := range s.in {
					var lanes []int
					for _, x := range in.senders {
						lanes = append(lanes, x.lane)
					}
					out += fmt.Sprint(" ", lanes)
				}
				out += "\n"
			}
			return out
		case "watermark": // watermark STAGE INPUT FROM WM
			wm := int64(idleWM)
			if w[4] != "idle" {
				wm = num(w[4])
			}
			inWM, inRose, changes := p.watermark(arg(1), arg(2), arg(3), wm)
			if inRose {
				out = fmt.Sprintf("input at %s\n", wmText(inWM))
			}
			return out + p.risen(arg(1), changes)
		case "tick": // tick STAGE WM [idle]
			return p.risen(arg(1), p.tick(arg(1), num(w[2]), len(w) > 3))
		case "barrier": // barrier STAGE INPUT FROM N
			if p.barrier(arg(1), arg(2), arg(3), arg(4)) {
				return fmt.Sprintf("stage %d passes barrier %d; all have: %v", arg(1), arg(4), p.allAligned(arg(4)))
			}
			return "waits"
		}
		return "no such step"
	}
	transcript(t, "progress.txt", step)
}

// risen raises the stage as a lane does, and says so.
func (p *progress) risen(stage int, changes bool) string {
	if !changes {
		return "nothing rises"
	}
	p.raise(stage)
	s := fmt.Sprintf("stage %d is at %s", stage, wmText(p.stages[stage].wm))
	if p.stages[stage].idle {
		s += ", idle"
	}
	if p.ended(stage) {
		s += ", its end"
	}
	return s
}

func TestPool(t *testing.T) {
	var p *pool
	transcript(t, "pool.txt", func(w []string) string {
		num := func(i int) int {
			n, err := strconv.Atoi(w[i])
			require.NoError(t, err)
			return n
		}
		switch w[0] {
		case "begin": // begin bounded|unbounded|growing LANES ID...
			kind := map[string]rootKind{"bounded": bounded, "unbounded": unbounded, "growing": growing}[w[1]]
			p = newPool(w[3:], len(w[3:]), kind, num(2), nil)
		case "found": // found ID
			p.add(w[1])
		case "restore": // restore LANES: from what save says now, positions being "at <index>"
			at := map[int][]byte{}
			for i, s := range p.splits {
				if s.state == splitOpen {
					at[i] = fmt.Appendf(nil, "at %d", i)
				}
			}
			var ids []string
			for _, s := range p.splits {
				ids = append(ids, s.id)
			}
			p = newPool(ids, len(ids), p.kind, num(1), p.save(at))
		case "take": // take LANE
			return fmt.Sprint("opens ", p.take(num(1)), ", waiting ", p.waiting)
		case "finish": // finish INDEX
			p.finish(num(1))
		}
		out := fmt.Sprint("waiting ", p.waiting, ":")
		for _, s := range p.splits {
			out += fmt.Sprintf(" %s %s%q", s.id, [...]string{"waits", "is open", "is done"}[s.state], s.pos)
			if s.fresh {
				out += " fresh"
			}
		}
		return out
	})
}

// The lost wake-up: a lane that waits for room takes the token that announced
// input for a stage it may not drain there. Back in its loop it must look again.
func TestWaker_tokenTakenBelow(t *testing.T) {
	var w waker
	require.False(t, w.lookAgain())
	w.tokenTakenBelow()
	require.True(t, w.lookAgain(), "once")
	require.False(t, w.lookAgain(), "and then it may sleep")
	w.sentToSelf()
	require.True(t, w.lookAgain(), "nobody else wakes it")
}
