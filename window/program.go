package window

import (
	"fmt"
	"math"
	"math/bits"
)

// Now is the time at a stage when a trigger is asked.
type Now struct {
	Watermark int64 // of the stage's input (W_in of M13), not of its output
	Clock     int64 // processing time, Unix ms
	// Synchronized is the processing time below which nothing is under way
	// upstream, at most Clock (M22). A stage whose upstream has no timers on the
	// clock passes Clock.
	Synchronized int64
}

// Program is a trigger compiled to a flat state machine. It is immutable and safe
// for concurrent use.
//
// What it remembers for one (key, window) is a slice of [Program.Words] words that
// the caller owns; all zero is the beginning. The layout depends on
// the trigger's String alone, so words may be kept in columns, saved and restored.
//
// The operator calls [Program.OnElements] for what arrives, then asks
// [Program.Ready]: after every element (trap 5 of the rules), when the watermark
// passes the end of the window, when the clock passes [Program.Deadline], and after
// a merge. If ready it calls [Program.OnFire] and emits the pane where
// [Strategy.Emits] says so. A trigger that OnFire reports finished closes the
// window: its contents go, a closed bit stays until the window expires, and what
// arrives is dropped and counted (M53).
type Program struct {
	code    []inst
	words   int
	merging bool
	counts  bool // elements matter
	clocks  bool // processing time matters
}

// inst is one trigger. Its subtree is code[i:end]; the first kid is i+1 and each
// next kid begins where the one before ends.
type inst struct {
	op          op
	bit         int8  // finished bit in word 0 (for opWatermark with late: the late phase); -1 has none
	early, late int16 // kids of opWatermark, -1 for none
	word        int16 // counter or deadline; 0 has none, as word 0 holds the bits
	end         int16
	n           int64
	align, from int64
}

// Compile returns the state machine of t for windows that merge or do not. t must
// be valid: see [Strategy.Validate]. A merging program remembers more: parts whose
// turn has not come or has passed follow the elements too, as a merge may bring
// them back (M10).
func Compile(t Trigger, merging bool) *Program {
	n := t.node()
	if err := validate(n); err != nil {
		panic("BUG: window: compile an invalid trigger: " + err.Error())
	}
	p := &Program{merging: merging}
	nbits := 0
	p.add(n, &nbits)
	for i := range p.code {
		in := &p.code[i]
		if in.op == opCount || in.op == opProcessing || in.op == opSynchronized {
			p.counts = true
			p.clocks = p.clocks || in.op != opCount
		}
	}
	return p
}

// Compile returns the state machine of the strategy's trigger.
func (s Strategy) Compile() *Program { return Compile(s.trigger(), s.Fn.Merging()) }

func (p *Program) add(n *node, nbits *int) int16 {
	i := len(p.code)
	p.code = append(p.code, inst{op: n.op, bit: -1, early: -1, late: -1, n: n.n, align: n.align, from: n.from})
	if n.op != opDefault && n.op != opNever && n.op != opRepeat {
		p.code[i].bit = int8(*nbits)
		*nbits++
		p.words = max(p.words, 1)
	}
	if n.op == opCount || n.op == opProcessing || n.op == opSynchronized {
		p.code[i].word = int16(p.words)
		p.words++
	}
	for k, kid := range n.kids {
		if kid == nil {
			continue
		}
		at := p.add(kid, nbits)
		if n.op == opWatermark && k == 0 {
			p.code[i].early = at
		} else if n.op == opWatermark {
			p.code[i].late = at
		}
	}
	p.code[i].end = int16(len(p.code))
	return int16(i)
}

// Words returns how many words of state a (key, window) needs: 0 for triggers that
// remember nothing, such as the default.
func (p *Program) Words() int { return p.words }

// CountsElements tells whether OnElements does anything.
func (p *Program) CountsElements() bool { return p.counts }

// UsesClock tells whether processing time can make the trigger ready.
func (p *Program) UsesClock() bool { return p.clocks }

// FiresAtEnd tells whether the trigger is ready whenever the watermark passes the
// end of the window, so that data on time never waits beyond it.
func (p *Program) FiresAtEnd() bool {
	return p.code[0].op == opDefault || p.code[0].op == opWatermark
}

// OnElements tells the trigger that n elements arrived for the window.
func (p *Program) OnElements(s []uint64, n int64, now Now) {
	if p.counts && n > 0 {
		p.elements(s, 0, n, now)
	}
}

func (p *Program) elements(s []uint64, i int16, n int64, now Now) {
	in := &p.code[i]
	if p.finished(s, i) {
		return
	}
	switch in.op {
	case opCount:
		s[in.word] += uint64(n)
	case opProcessing:
		if s[in.word] == 0 {
			s[in.word] = pack(in.deadline(now.Clock))
		}
	case opSynchronized:
		if s[in.word] == 0 {
			s[in.word] = pack(now.Clock)
		}
	case opWatermark, opEach:
		if !p.merging {
			if k := p.active(s, i); k >= 0 {
				p.elements(s, k, n, now)
			}
			return
		}
		for k := i + 1; k < in.end; k = p.code[k].end {
			p.elements(s, k, n, now)
		}
	default:
		for k := i + 1; k < in.end; k = p.code[k].end {
			p.elements(s, k, n, now)
		}
	}
}

// deadline returns the instant that the clock must be past (M55).
func (in *inst) deadline(clock int64) int64 {
	at := clock + in.n
	if in.align > 0 {
		at = Floor(at+in.align-1, in.align, in.from)
	}
	return at
}

// active returns the kid of opWatermark or opEach whose turn it is; -1 for none.
func (p *Program) active(s []uint64, i int16) int16 {
	in := &p.code[i]
	if in.op == opWatermark {
		if p.has(s, i) {
			return in.late
		}
		return in.early
	}
	for k := i + 1; k < in.end; k = p.code[k].end {
		if !p.finished(s, k) {
			return k
		}
	}
	return -1
}

// Ready tells whether the trigger wants to fire for window w (M50-M62). It changes
// nothing. A trigger may be ready with nothing new to emit.
func (p *Program) Ready(s []uint64, w Interval, now Now) bool { return p.ready(s, 0, w, now) }

func (p *Program) ready(s []uint64, i int16, w Interval, now Now) bool {
	in := &p.code[i]
	if p.finished(s, i) {
		return false
	}
	switch in.op {
	case opDefault:
		return w.Passed(now.Watermark)
	case opWatermark:
		k := p.active(s, i)
		if !p.has(s, i) && w.Passed(now.Watermark) {
			return true
		}
		return k >= 0 && p.ready(s, k, w, now)
	case opCount:
		return s[in.word] >= uint64(in.n)
	case opProcessing: // strictly past the deadline, as everywhere (M74)
		return s[in.word] != 0 && now.Clock > unpack(s[in.word])
	case opSynchronized:
		return s[in.word] != 0 && now.Synchronized >= unpack(s[in.word])
	case opEach:
		k := p.active(s, i)
		return k >= 0 && p.ready(s, k, w, now)
	case opAll:
		for k := i + 1; k < in.end; k = p.code[k].end {
			if !p.finished(s, k) && !p.ready(s, k, w, now) {
				return false
			}
		}
		return true
	}
	for k := i + 1; k < in.end; k = p.code[k].end { // repeat, any, orFinally; never has no kids
		if p.ready(s, k, w, now) {
			return true
		}
	}
	return false
}

// OnFire moves a ready trigger on and tells whether it has finished. Call it only
// after Ready with the same window and time.
func (p *Program) OnFire(s []uint64, w Interval, now Now) (finished bool) {
	p.fire(s, 0, w, now)
	return p.Finished(s)
}

// Finished tells whether the trigger has finished and the window is closed (M53).
func (p *Program) Finished(s []uint64) bool { return p.finished(s, 0) }

func (p *Program) fire(s []uint64, i int16, w Interval, now Now) {
	in := &p.code[i]
	switch in.op {
	case opDefault, opNever:
	case opCount, opProcessing, opSynchronized, opAny, opAll:
		p.finish(s, i)
	case opWatermark:
		p.fireWatermark(s, i, w, now)
	case opRepeat:
		p.fireRepeated(s, i+1, w, now)
	case opEach:
		k := p.active(s, i)
		p.fire(s, k, w, now)
		if p.active(s, i) < 0 {
			p.finish(s, i)
		} else {
			p.forgetOthers(s, i, k)
		}
	case opOrFinally:
		actual := i + 1
		if p.ready(s, p.code[actual].end, w, now) {
			p.finish(s, i)
			return
		}
		if p.fire(s, actual, w, now); p.finished(s, actual) {
			p.finish(s, i)
		}
	}
}

func (p *Program) fireWatermark(s []uint64, i int16, w Interval, now Now) {
	in := &p.code[i]
	switch {
	case p.has(s, i):
		p.fireRepeated(s, in.late, w, now)
		p.forgetOthers(s, i, in.late)
	case w.Passed(now.Watermark): // on time: early firings are over (M51, M55)
		p.finish(s, i)
	default:
		p.fireRepeated(s, in.early, w, now)
		p.forgetOthers(s, i, in.early)
	}
}

// fireRepeated fires a part that starts anew when it finishes: its whole subtree is
// reset (M51, M52).
func (p *Program) fireRepeated(s []uint64, i int16, w Interval, now Now) {
	if p.fire(s, i, w, now); p.finished(s, i) {
		p.reset(s, i)
	}
}

// forgetOthers clears what the kids other than the one that fired have gathered:
// it belonged to the pane that has just gone. Only merging programs let kids
// gather out of turn.
func (p *Program) forgetOthers(s []uint64, i, fired int16) {
	if !p.merging {
		return
	}
	for k := i + 1; k < p.code[i].end; k = p.code[k].end {
		if k == fired {
			continue
		}
		for j := k; j < p.code[k].end; j++ {
			if word := p.code[j].word; word != 0 {
				s[word] = 0
			}
		}
	}
}

// finish resets the subtree and marks its root: a finished trigger remembers
// nothing else.
func (p *Program) finish(s []uint64, i int16) {
	p.reset(s, i)
	s[0] |= 1 << p.code[i].bit
}

func (p *Program) reset(s []uint64, i int16) {
	for j := i; j < p.code[i].end; j++ {
		in := &p.code[j]
		if in.bit >= 0 {
			s[0] &^= 1 << in.bit
		}
		if in.word != 0 {
			s[in.word] = 0
		}
	}
}

// has returns the bit of a trigger.
func (p *Program) has(s []uint64, i int16) bool {
	b := p.code[i].bit
	return b >= 0 && s[0]>>b&1 != 0
}

// finished tells whether a trigger is over. The bit of AfterWatermark with late
// firings says only that these have begun.
func (p *Program) finished(s []uint64, i int16) bool {
	return p.has(s, i) && p.code[i].late < 0
}

// Deadline returns the earliest instant not before clock that the clock must be
// past for the trigger to become ready by processing time, and false if there is
// none. When it comes Ready may still say no (M55): ask for the next then.
// Synchronised processing time has no deadline: ask Ready when it moves.
func (p *Program) Deadline(s []uint64, clock int64) (at int64, ok bool) {
	if !p.clocks {
		return 0, false
	}
	at = p.deadline(s, 0, clock)
	return at, at != math.MaxInt64
}

func (p *Program) deadline(s []uint64, i int16, clock int64) int64 {
	in := &p.code[i]
	at := int64(math.MaxInt64)
	if p.finished(s, i) {
		return at
	}
	switch in.op {
	case opProcessing:
		if s[in.word] != 0 && unpack(s[in.word]) >= clock {
			at = unpack(s[in.word])
		}
	case opWatermark, opEach:
		if k := p.active(s, i); k >= 0 {
			at = p.deadline(s, k, clock)
		}
	default:
		for k := i + 1; k < in.end; k = p.code[k].end {
			at = min(at, p.deadline(s, k, clock))
		}
	}
	return at
}

// Merge adds the state of src, another active window of the key, to dst (M10):
// counts add up, the earliest deadline wins, and what is finished stays so only if
// it was in both. Copy the state of the first window that merges, Merge the others
// in any order, then call [Program.OnMerged] once.
//
// Windows whose trigger has finished are no longer active and take no part, nor do
// the new windows of the element that causes the merge.
func (p *Program) Merge(dst, src []uint64) {
	if p.words == 0 {
		return
	}
	dst[0] &= src[0]
	for i := range p.code {
		in := &p.code[i]
		switch {
		case in.word == 0:
		case in.op == opCount:
			dst[in.word] += src[in.word]
		case dst[in.word] == 0 || src[in.word] != 0 && src[in.word] < dst[in.word]:
			dst[in.word] = src[in.word]
		}
	}
}

// OnMerged completes a merge into window w: late firings end if the merged window
// has not passed, and parts of AfterEach behind the one that is on begin anew
// (M10). It is needed even if only one active window took part.
func (p *Program) OnMerged(s []uint64, w Interval, now Now) {
	for i := int16(len(p.code)) - 1; i >= 0; i-- { // kids before their parent
		in := &p.code[i]
		switch in.op {
		case opWatermark:
			if p.has(s, i) && !w.Passed(now.Watermark) {
				s[0] &^= 1 << in.bit
			}
		case opEach:
			on := p.active(s, i)
			for k := i + 1; on >= 0 && k < in.end; k = p.code[k].end {
				if k > on {
					p.reset(s, k)
				}
			}
		}
	}
}

// Check tells whether words can be a state of this program, before it is trusted:
// restored bytes are input.
func (p *Program) Check(s []uint64) error {
	if len(s) != p.words {
		return fmt.Errorf("trigger state has %d words, want %d", len(s), p.words)
	}
	nbits := 0
	for i := range p.code {
		nbits = max(nbits, int(p.code[i].bit)+1)
	}
	if p.words > 0 && bits.Len64(s[0]) > nbits {
		return fmt.Errorf("trigger state %#x marks a part beyond the trigger's %d", s[0], nbits)
	}
	return nil
}

// pack keeps an instant in a word so that 0 means none and words order as instants
// do.
func pack(at int64) uint64 { return uint64(at) ^ 1<<63 }

func unpack(w uint64) int64 { return int64(w ^ 1<<63) }
