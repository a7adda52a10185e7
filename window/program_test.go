package window

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var ten = Interval{0, 10}

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// machine drives a program with a script: "e" and "e3" bring elements, "w9" moves
// the watermark, "c5" the clock. After each the trigger is asked, and fires if ready.
type machine struct {
	t   Trigger
	p   *Program
	s   []uint64
	w   Interval
	now Now
}

func newMachine(t Trigger, merging bool) *machine {
	p := Compile(t, merging)
	return &machine{t: t, p: p, s: make([]uint64, p.Words()), w: ten, now: Now{Watermark: MinTime}}
}

// run returns a letter for each word of the script: F fired, X fired and finished,
// - not ready, # closed already.
func (m *machine) run(script string) string {
	var b strings.Builder
	for _, step := range strings.Fields(script) {
		b.WriteByte(m.step(step))
	}
	return b.String()
}

func (m *machine) step(step string) byte {
	if m.p.Finished(m.s) {
		return '#'
	}
	n := int64(1)
	if len(step) > 1 {
		if _, err := fmt.Sscan(step[1:], &n); err != nil {
			panic(err)
		}
	}
	switch step[0] {
	case 'e':
		m.p.OnElements(m.s, n, m.now)
	case 'w':
		m.now.Watermark = n
	case 'c':
		m.now.Clock, m.now.Synchronized = n, n
	case 's':
		m.now.Synchronized = n
	default:
		panic("no such step: " + step)
	}
	return m.ask()
}

func (m *machine) ask() byte {
	switch {
	case !m.p.Ready(m.s, m.w, m.now):
		return '-'
	case m.p.OnFire(m.s, m.w, m.now):
		return 'X'
	}
	return 'F'
}

// Goal: the rules M50 to M62 one by one. Windows are [0,10).
func TestProgram_rules(t *testing.T) {
	for _, tc := range []struct {
		name    string
		trigger Trigger
		script  string
		want    string
	}{
		{"M50 n is a minimum, and the trigger finishes", AfterCount(2), "e e", "-X"},
		{"M50 a bundle may overshoot", AfterCount(2), "e3", "X"},
		{"M51 at W = last it is not the end yet", AfterWatermark(), "e w9 w10 e", "--X#"},
		{"M51 default fires at the end, then for each late element", Default(), "e w9 w10 e e", "--FFF"},
		{"M51 early is repeated", AfterWatermark().Early(AfterCount(2)), "e e e e w10", "-F-FX"},
		{"M51 late is repeated and never finishes", AfterWatermark().Late(AfterCount(2)), "e e w10 e e e e", "--F-F-F"},
		{"M51 what early counted does not count for late", AfterWatermark().Early(AfterCount(2)).Late(AfterCount(2)), "e w10 e e", "-F-F"},
		{"M51 a composite early part is reset as a whole", AfterWatermark().Early(AfterAny(AfterCount(3), AfterProcessingTime(ms(5)))), "e3 e e c6 e c9 c12", "F--F--F"},
		{"M52 repeat starts anew", Repeat(AfterCount(2)), "e e e e", "-F-F"},
		{"M52 repeat of the watermark is the default", Repeat(AfterWatermark()), "e w10 e", "-FF"},
		{"M55 past the first element's arrival plus 5", Repeat(AfterProcessingTime(ms(5))), "c1 e c3 e c6 c7 c20 e c25 c26", "-----F---F"},
		{"M55 a deadline left from the early phase does nothing", AfterWatermark().Early(AfterProcessingTime(ms(5))).Late(AfterCount(1)), "e w10 c9 e", "-F-F"},
		{"M55 aligned deadlines move up to the next multiple", Repeat(AfterProcessingTime(0).AlignedTo(ms(10), ms(2))), "c3 e c12 c13 e c22 c23", "---F--F"},
		{"M55 aligned: an instant on the grid stays", Repeat(AfterProcessingTime(ms(2)).AlignedTo(ms(10), 0)), "c8 e c10 c11", "---F"},
		{"M56 never", Never(), "e9 w10 c1000", "---"},
		{"M56 always is repeat(count 1)", Always(), "e e", "FF"},
		{"M57 any: the first part wins and the whole finishes", AfterAny(AfterCount(3), AfterWatermark()), "e w10 e", "-X#"},
		{"M57 any in repeat: the other part starts anew", Repeat(AfterAny(AfterCount(2), AfterProcessingTime(ms(5)))), "e c3 e c4 e c7 c9 c10", "--F----F"},
		{"M58 all: ready parts wait for the others", AfterAll(AfterCount(1), AfterProcessingTime(ms(5)), AfterWatermark()), "e c6 w10", "--X"},
		{"M58 all with never never fires", AfterAll(AfterCount(1), Never()), "e9 w10", "--"},
		{"M59 each: the second counts from when the first is over", Repeat(AfterEach(AfterCount(1), AfterCount(2))), "e e e e e e", "F-FF-F"},
		{"M59 each finishes with its last part", AfterEach(AfterCount(2), AfterWatermark()), "w10 e e e", "--FX"},
		{"M59 a part that never finishes keeps its turn", AfterEach(Always(), AfterWatermark()), "e w10 e", "F-F"},
		{"M60 until sees the elements that fired too", OrFinally(Always(), AfterCount(3)), "e e e e", "FFX#"},
		{"M60 until the watermark", OrFinally(Repeat(AfterCount(2)), AfterWatermark()), "e w10 e", "-X#"},
		{"M60 the whole finishes when the first part does", OrFinally(AfterCount(2), AfterCount(5)), "e e e", "-X#"},
		{"M60 in a repeat all begins anew", Repeat(OrFinally(Repeat(AfterCount(2)), AfterCount(3))), "e e e e e e", "-FF-FF"},
		{"M62 synchronised time: at once if nothing is upstream", Repeat(AfterSynchronizedProcessingTime()), "c5 e e", "-FF"},
		{"M62 synchronised time: after what is upstream", Repeat(AfterSynchronizedProcessingTime()), "c5 s3 e s4 s5", "----F"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.NoError(t, validate(tc.trigger.node()))
			assert.Equal(t, tc.want, newMachine(tc.trigger, false).run(tc.script), "%v", tc.trigger)
			// Windows that could merge but don't must not behave differently.
			assert.Equal(t, tc.want, newMachine(tc.trigger, true).run(tc.script), "%v, merging", tc.trigger)
		})
	}
}

// Goal: M10, what becomes of trigger state when windows merge. Each row runs
// two windows at one clock and watermark, merges them, and goes on.
func TestProgram_merge(t *testing.T) {
	for _, tc := range []struct {
		name    string
		trigger Trigger
		before  string // both windows
		a, b    string // then each
		into    Interval
		after   string
		want    string // asked at the merge, then after each step
	}{
		{"counts add up", Repeat(AfterCount(3)), "", "e", "e e", ten, "", "F"},
		{"counts add up, and go on", Repeat(AfterCount(3)), "", "e", "e", ten, "e e", "-F-"},
		{"the earliest deadline wins", Repeat(AfterProcessingTime(ms(5))), "c2", "e c4", "c4 e", Interval{0, 20}, "c7 c8", "--F"},
		{"a window without a deadline does not clear it", Repeat(AfterProcessingTime(ms(5))), "c2", "e", "", Interval{0, 20}, "c7 c8", "--F"},
		{"both late and the merged end has passed: late goes on", AfterWatermark().Late(AfterCount(2)), "e w10", "e", "", Interval{0, 10}, "e", "-F"},
		{"both late but the merged end is ahead: on time again", AfterWatermark().Late(AfterCount(2)), "e w10", "e", "", Interval{0, 20}, "e e w20", "---F"},
		{"both late but the end is ahead: early firings again", AfterWatermark().Early(AfterCount(2)).Late(AfterCount(9)), "e w10", "", "", Interval{0, 20}, "e e w20 e", "--FF-"},
		{"only one late: on time again, at once if the end has passed", AfterWatermark().Late(AfterCount(9)), "", "e w10", "e", ten, "e", "F-"},
		{"each: a part finished in one only is back, the next begins anew", Repeat(AfterEach(AfterCount(2), AfterCount(5))), "", "e e e", "e", ten, "e e3 e2", "-F-F"},
		{"each: finished in both stays finished", Repeat(AfterEach(AfterCount(1), AfterCount(2))), "e", "e", "", ten, "e", "-F"},
		{"any: the parts merge", Repeat(AfterAny(AfterCount(4), AfterProcessingTime(ms(9)))), "", "e e", "e", ten, "e", "-F"},
		{"all: a part ready in one is ready", Repeat(AfterAll(AfterCount(2), AfterProcessingTime(ms(5)))), "", "e", "", ten, "c6 e", "--F"},
		{"orFinally: until counts all elements of both", Repeat(OrFinally(Always(), AfterCount(4))), "", "e e", "e", ten, "e e", "-FF"},
		{"nothing to remember", Default(), "e w10", "", "", Interval{0, 20}, "w20", "-F"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, swap := range []bool{false, true} {
				a, b := newMachine(tc.trigger, true), newMachine(tc.trigger, true)
				a.run(tc.before + " " + tc.a)
				b.run(tc.before + " " + tc.b)
				now := a.now
				if swap {
					a, b = b, a
				}
				a.now, a.w = now, tc.into
				a.p.Merge(a.s, b.s)
				a.p.OnMerged(a.s, a.w, a.now)
				require.NoError(t, a.p.Check(a.s))
				got := string(a.ask()) + a.run(tc.after)
				assert.Equal(t, tc.want, got, "swapped: %v", swap)
			}
		})
	}
}

// Goal: Deadline names the instant that must be passed, of the parts whose turn it
// is, and never one that is gone, which would wake an operator for ever.
func TestProgram_deadline(t *testing.T) {
	pt := AfterProcessingTime
	for _, tc := range []struct {
		name    string
		trigger Trigger
		script  string
		want    int64 // -1 for none
	}{
		{"nothing arrived", Repeat(pt(ms(5))), "c2", -1},
		{"from the first element", Repeat(pt(ms(5))), "c2 e c3 e", 7},
		{"still due at its own instant", Repeat(pt(ms(5))), "c2 e c7", 7},
		{"gone when fired", Repeat(pt(ms(5))), "c2 e c8", -1},
		{"the earlier of two", Repeat(AfterAll(pt(ms(9)), pt(ms(5)))), "e", 5},
		{"the other once one has passed", Repeat(AfterAll(pt(ms(9)), pt(ms(5)))), "e c6", 9},
		{"of the early part", AfterWatermark().Early(pt(ms(5))), "e", 5},
		{"not of the early part after the end", AfterWatermark().Early(pt(ms(5))).Late(Always()), "e w10", -1},
		{"not of a part whose turn has not come", AfterEach(AfterCount(9), pt(ms(5))), "e", -1},
		{"no clock in it", AfterCount(9), "e", -1},
		{"the clock may be negative", Repeat(pt(ms(5))), "c-9 e", -4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, merging := range []bool{false, true} {
				m := newMachine(tc.trigger, merging)
				m.run(tc.script)
				at, ok := m.p.Deadline(m.s, m.now.Clock)
				assert.Equal(t, tc.want != -1, ok)
				if ok {
					assert.Equal(t, tc.want, at)
				}
			}
		})
	}
}

func TestProgram_memory(t *testing.T) {
	for _, tc := range []struct {
		trigger       Trigger
		words         int
		counts, clock bool
	}{
		{Default(), 0, false, false},
		{Never(), 0, false, false},
		{Repeat(Default()), 0, false, false},
		{AfterWatermark(), 1, false, false},
		{Always(), 2, true, false},
		{AfterWatermark().Early(AfterProcessingTime(time.Minute)).Late(AfterCount(1)), 3, true, true},
		{AfterSynchronizedProcessingTime(), 2, true, true},
	} {
		p := Compile(tc.trigger, false)
		assert.Equal(t, tc.words, p.Words(), "%v", tc.trigger)
		assert.Equal(t, tc.counts, p.CountsElements(), "%v", tc.trigger)
		assert.Equal(t, tc.clock, p.UsesClock(), "%v", tc.trigger)
	}
}

func TestProgram_checksRestoredState(t *testing.T) {
	p := Compile(AfterWatermark().Late(AfterCount(2)), false) // two bits, one counter
	assert.NoError(t, p.Check([]uint64{3, 7}))
	assert.EqualError(t, p.Check([]uint64{3}), "trigger state has 1 words, want 2")
	assert.EqualError(t, p.Check([]uint64{4, 0}), "trigger state 0x4 marks a part beyond the trigger's 2")
	assert.NoError(t, Compile(Default(), false).Check(nil))
}

func TestCompile_panicsOnWhatValidateRefuses(t *testing.T) {
	assert.PanicsWithValue(t, "BUG: window: compile an invalid trigger: trigger waits for 0 elements, want at least 1",
		func() { Compile(AfterCount(0), false) })
}

// Goal: no sequence of events breaks a machine: only what is ready fires, a
// finished one stays so, the root of a repeat never finishes, a state is always
// one that Check accepts, and merging is symmetric.
func FuzzProgram(f *testing.F) {
	f.Add([]byte{9, 1, 2, 3}, []byte("eeWeCe"), []byte("eeeW"))
	f.Add([]byte{7, 4, 0, 1, 10, 3, 2}, []byte("eCCeWWe"), []byte("eC"))
	f.Fuzz(func(t *testing.T, shape, x, y []byte) {
		if len(x) > 100 || len(y) > 100 {
			return
		}
		trigger, _ := grow(shape, 4)
		for _, merging := range []bool{false, true} {
			a, b := newMachine(trigger, merging), newMachine(trigger, merging)
			a.play(t, x)
			b.play(t, y)
			if !merging || a.p.Finished(a.s) || b.p.Finished(b.s) {
				continue
			}
			ab, ba := append([]uint64(nil), a.s...), append([]uint64(nil), b.s...)
			a.p.Merge(ab, b.s)
			a.p.Merge(ba, a.s)
			assert.Equal(t, ab, ba)
			a.s, a.w = ab, Interval{0, 30}
			a.p.OnMerged(a.s, a.w, a.now)
			require.NoError(t, a.p.Check(a.s))
			a.play(t, y)
		}
	})
}

// grow builds a trigger from bytes: each chooses an operation, parts follow.
func grow(shape []byte, depth int) (Trigger, []byte) {
	if len(shape) == 0 {
		return AfterCount(2), nil
	}
	o := shape[0] % 11
	shape = shape[1:]
	part := func() (t Trigger) {
		t, shape = grow(shape, depth-1)
		return t
	}
	if depth == 0 {
		o %= 5
	}
	switch o {
	case 0:
		return Default(), shape
	case 1:
		return AfterCount(1 + len(shape)%4), shape
	case 2:
		return AfterProcessingTime(ms(int64(len(shape) % 7))), shape
	case 3:
		return Never(), shape
	case 4:
		return AfterSynchronizedProcessingTime(), shape
	case 5:
		return Repeat(part()), shape
	case 6:
		return AfterAny(part(), part()), shape
	case 7:
		return AfterAll(part(), part()), shape
	case 8:
		return AfterEach(part(), part()), shape
	case 9:
		return OrFinally(part(), part()), shape
	}
	return AfterWatermark().Early(part()).Late(part()), shape
}

func (m *machine) play(t *testing.T, events []byte) {
	for i, e := range events {
		was := m.p.Finished(m.s)
		step := "e"
		switch e % 4 {
		case 1:
			step = fmt.Sprintf("w%d", max(m.now.Watermark, 0)+int64(e%5))
		case 2:
			step = fmt.Sprintf("c%d", m.now.Clock+int64(e%6))
		}
		got := m.step(step)
		require.NoError(t, m.p.Check(m.s))
		require.Equal(t, was, got == '#', "event %d", i)
		require.Equal(t, got == 'X', !was && m.p.Finished(m.s), "event %d", i)
		if at, ok := m.p.Deadline(m.s, m.now.Clock); ok {
			require.GreaterOrEqual(t, at, m.now.Clock)
		}
		if !MayFinish(m.t) {
			require.False(t, m.p.Finished(m.s), "a trigger that may not finish did")
		}
	}
}
