package connector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/flow"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/window"
)

// input is a source that was asked for its pieces, as an engine does it.
type input[T any] struct {
	of      Source[T]
	node    *graph.Node
	run     *graph.Run
	bounded bool
	splits  []graph.Split
}

func (s Source[T]) open(ctx context.Context, lanes int) (*input[T], error) {
	p := pipeline.New()
	s.Read(p)
	if err := p.Err(); err != nil {
		return nil, err
	}
	nodes := p.Graph().Nodes
	if len(nodes) != 1 || nodes[0].Src == nil {
		return nil, errors.New("read has to add just the source: what pipeline.Read returns, with nothing behind it")
	}
	in := &input[T]{of: s, node: nodes[0], bounded: nodes[0].Src.Bounded()}
	in.run = &graph.Run{Context: ctx, Nodes: nodes, Metrics: &graph.Metrics{}, Letters: &graph.Letters{},
		Clock: func() int64 { return time.Now().UnixMilli() }}
	var err error
	if in.splits, err = nodes[0].Src.Splits(in.run, lanes); err != nil {
		return nil, fmt.Errorf("ask for pieces: %w", err)
	}
	return in, nil
}

// reading is a reader and what it has emitted. Its methods' errors are broken
// promises.
type reading[T any] struct {
	in       *input[T]
	split    graph.Split
	c        *graph.Ctx
	r        graph.Reader
	got      []T
	text     []string // of got, as it was when it was emitted
	times    []int64
	progress int64
	wm       int64
	state    graph.ReadState
	onEmit   func()
	problem  error // the first, seen while emitting
}

// begin opens a piece behind pos.
func (in *input[T]) begin(sp graph.Split, pos []byte) (*reading[T], error) {
	r := &reading[T]{in: in, split: sp, wm: window.MinTime,
		c: &graph.Ctx{TS: window.MinTime, WM: window.MinTime, Win: window.Global, Lanes: 1, Run: in.run}}
	handed := bytes.Clone(pos)
	var err error
	r.r, err = sp.Open(r.c, flow.Recv[T](r.take), handed)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", sp.ID(), err)
	}
	for i := range handed { // it is the engine's
		handed[i] ^= 0xff
	}
	r.progress = r.r.Progress()
	r.wm = r.r.Watermark()
	return r, nil
}

func (r *reading[T]) take(c *graph.Ctx, v T) {
	r.got = append(r.got, v)
	r.text = append(r.text, text(v))
	r.times = append(r.times, c.TS)
	if r.problem == nil && r.r.Where() == "" {
		r.problem = fmt.Errorf("the reader's Where is empty while %s is emitted", text(v))
	}
	if wm := r.r.Watermark(); r.problem == nil && wm > window.MinTime && c.TS < wm-r.in.of.Late.Milliseconds() {
		r.problem = fmt.Errorf("%s has time %d, behind the watermark %d by more than %v", text(v), c.TS, wm, r.in.of.Late)
	}
	if r.onEmit != nil {
		r.onEmit()
	}
}

// poll reads at most quantum elements, and checks what is to be seen of a read.
func (r *reading[T]) poll(quantum int) (graph.ReadState, error) {
	before := len(r.got)
	state, err := r.r.Poll(r.c, quantum)
	n := len(r.got) - before
	switch wm, progress := r.r.Watermark(), r.r.Progress(); {
	case err != nil:
		return state, fmt.Errorf("read %s: %w", r.split.ID(), err)
	case r.problem != nil:
		return state, fmt.Errorf("read %s: %w", r.split.ID(), r.problem)
	case n > quantum:
		return state, fmt.Errorf("read %s: asked for at most %d elements it emitted %d", r.split.ID(), quantum, n)
	case wm < r.wm:
		return state, fmt.Errorf("read %s: the watermark fell from %d to %d", r.split.ID(), r.wm, wm)
	case progress < r.progress:
		return state, fmt.Errorf("read %s: Progress fell from %d to %d", r.split.ID(), r.progress, progress)
	case r.split.Size() > 0 && progress > r.split.Size():
		return state, fmt.Errorf("read %s: Progress %d of Size %d", r.split.ID(), progress, r.split.Size())
	case state == graph.Done && r.c.Err() == nil && r.in.run.Context.Err() == nil && r.split.Size() > 0 && progress != r.split.Size():
		return state, fmt.Errorf("read %s: at the end Progress is %d of Size %d", r.split.ID(), progress, r.split.Size())
	case state == graph.Idle && n > 0:
		return state, fmt.Errorf("read %s: it emitted %d elements and says that it is Idle", r.split.ID(), n)
	case state > graph.Done:
		return state, fmt.Errorf("read %s: there is no state %d", r.split.ID(), state)
	case r.state == graph.Done && (state != graph.Done || n > 0):
		return state, fmt.Errorf("read %s: it went on behind Done", r.split.ID())
	default:
		r.wm, r.progress = wm, progress
	}
	r.state = state
	return state, nil
}

// position asks for the place to go on from, twice.
func (r *reading[T]) position() ([]byte, error) {
	pos := r.r.Position([]byte{})
	again := r.r.Position([]byte("x"))
	if string(again) != "x"+string(pos) {
		return nil, fmt.Errorf("%s: Position appends % x to nothing and makes % x of 78", r.split.ID(), pos, again)
	}
	return pos, nil
}

// toEnd reads until the piece has ended, or, if it never does, until it has
// emitted most and then been idle thrice.
func (r *reading[T]) toEnd(most, quantum int) error {
	return untilEnd(r.in, []*reading[T]{r}, most, quantum)
}

// untilEnd reads pieces in turn until all have ended, or, if they never do, until
// they have emitted most and then been idle for a while.
func untilEnd[T any](in *input[T], rs []*reading[T], most, quantum int) error {
	until := time.Now().Add(in.of.Wait)
	quiet := 0
	for {
		n, open, busy := 0, 0, false
		for _, r := range rs {
			if r.state != graph.Done {
				state, err := r.poll(quantum)
				if err != nil {
					return err
				}
				busy = busy || state != graph.Idle
			}
			if r.state != graph.Done {
				open++
			}
			n += len(r.got)
		}
		switch {
		case open == 0:
			return nil
		case n > most:
			return fmt.Errorf("%d elements where there are %d: %s", n, most, surplus(rs))
		case busy:
			quiet = 0
			if !in.bounded && time.Now().After(until) {
				return fmt.Errorf("it is still busy, with %d of %d elements read", n, most)
			}
			continue
		case n == most && !in.bounded:
			if quiet++; quiet > 3 {
				return nil
			}
		case time.Now().After(until):
			return fmt.Errorf("it has nothing more after %d of %d elements", n, most)
		}
		<-time.After(time.Millisecond) // as an engine does it
	}
}

func surplus[T any](rs []*reading[T]) string {
	for _, r := range rs {
		if len(r.text) > 0 {
			return "the last is " + r.text[len(r.text)-1]
		}
	}
	return ""
}

// close ends the reader, and checks that nobody has written to what was emitted.
func (r *reading[T]) close() error {
	if err := r.r.Close(); err != nil {
		return fmt.Errorf("close %s: %w", r.split.ID(), err)
	}
	for i, v := range r.got {
		if now := text(v); now != r.text[i] {
			return fmt.Errorf("read %s: element %d was emitted as %s and became %s: its memory was used again", r.split.ID(), i, r.text[i], now)
		}
	}
	return nil
}

// readAll opens all pieces at once, and reads them.
func (in *input[T]) readAll(quantum int) (rs []*reading[T], err error) {
	defer func() {
		for _, r := range rs {
			if e := r.close(); e != nil && err == nil {
				err = e
			}
		}
	}()
	for _, sp := range in.splits {
		r, err := in.begin(sp, nil)
		if err != nil {
			return rs, err
		}
		rs = append(rs, r)
	}
	fed := make(chan error, 1)
	if in.of.Feed != nil {
		go func() { fed <- in.of.Feed(in.run.Context) }()
	} else {
		fed <- nil
	}
	if err := untilEnd(in, rs, len(in.of.Want), quantum); err != nil {
		return rs, err
	}
	for _, r := range rs {
		if r.state == graph.Done { // which is final
			if _, err := r.poll(quantum); err != nil {
				return rs, err
			}
		}
	}
	if err := <-fed; err != nil {
		return rs, fmt.Errorf("feed the source: %w", err)
	}
	return rs, nil
}

// compare checks that the readings together are the input.
func (s Source[T]) compare(rs ...*reading[T]) error {
	var got, want []string
	for _, r := range rs {
		for i, v := range r.text {
			if s.Times != nil {
				v = fmt.Sprintf("%s at %d", v, r.times[i])
			}
			got = append(got, v)
		}
	}
	for i, v := range s.Want {
		w := text(v)
		if s.Times != nil {
			w = fmt.Sprintf("%s at %d", w, s.Times[i])
		}
		want = append(want, w)
	}
	return same(want, got)
}

// same compares as multisets.
func same(want, got []string) error {
	missing, extra := difference(want, got)
	if len(missing)+len(extra) == 0 {
		return nil
	}
	return fmt.Errorf("of %d elements %d are missing: %s; %d are too many: %s", len(want), len(missing), some(missing), len(extra), some(extra))
}

func difference(want, got []string) (missing, extra []string) {
	n := map[string]int{}
	for _, g := range got {
		n[g]++
	}
	for _, w := range want {
		if n[w] > 0 {
			n[w]--
			continue
		}
		missing = append(missing, w)
	}
	for _, g := range got {
		if n[g] > 0 {
			n[g]--
			extra = append(extra, g)
		}
	}
	return missing, extra
}

func some(vs []string) string {
	if len(vs) == 0 {
		return "none"
	}
	vs = slices.Sorted(slices.Values(vs))
	more := ""
	if len(vs) > 5 {
		vs, more = vs[:5], ", ..."
	}
	return strings.Join(vs, ", ") + more
}

func text(v any) string { return fmt.Sprintf("%+v", v) }

func texts[T any](vs []T) (out []string) {
	for _, v := range vs {
		out = append(out, text(v))
	}
	return out
}

// held is what a process holds that a reader or writer might not give back.
type held struct{ goroutines, files int }

func resources() held {
	h := held{goroutines: runtime.NumGoroutine()}
	if files, err := os.ReadDir("/proc/self/fd"); err == nil { // where there is such a thing
		h.files = len(files)
	}
	return h
}

// leftError says that more is held than before.
type leftError struct {
	before, now held
	stacks      strings.Builder
}

func (e *leftError) Error() string {
	return fmt.Sprintf("closed readers hold something: %d goroutines where %d were, %d open files where %d were\n%s",
		e.now.goroutines, e.before.goroutines, e.now.files, e.before.files, e.stacks.String())
}

// twice does f again when that leaves something behind. A reader or writer that does so does
// it each time; a goroutine of a broker beside it, say, that was not there for a moment when f
// began, is there now.
func twice(f func() error) error {
	err := f()
	if _, left := errors.AsType[*leftError](err); left {
		return f()
	}
	return err
}

// await waits until no more is held than before.
func (h held) await(most time.Duration) error {
	until := time.Now().Add(min(most, 5*time.Second))
	for {
		now := resources()
		if now.goroutines <= h.goroutines && now.files <= h.files {
			return nil
		}
		if time.Now().After(until) {
			left := &leftError{before: h, now: now}
			_ = pprof.Lookup("goroutine").WriteTo(&left.stacks, 1)
			return left
		}
		<-time.After(time.Millisecond)
	}
}
