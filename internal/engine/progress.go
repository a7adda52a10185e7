package engine

import (
	"fmt"

	"github.com/millrace/millrace/window"
)

// progress is how far each stage of one lane is: a pure core. The lane tells it
// what came in a queue, and does what it answers.
//
// Invariant: no watermark ever falls: of a sender, of an input, of a stage.
// Invariant: input = least over its senders; stage = least over its inputs, or
// the clock's own until all inputs have ended.
type progress struct{ stages []stageProgress }

type stageProgress struct {
	wm      int64
	clock   bool
	clockWM int64
	aligned int // the newest barrier that has passed
	in      []inputProgress
}

type inputProgress struct {
	wm      int64
	senders []senderProgress
}

type senderProgress struct {
	lane    int
	wm      int64
	barrier int
}

// newProgress is the progress of one lane at its start. A root has one input,
// with itself as the only sender.
func newProgress(p *plan, lane, lanes int) *progress {
	pr := &progress{}
	for _, s := range p.stages {
		sp := stageProgress{wm: window.MinTime, clock: s.clock, clockWM: window.MinTime}
		for _, in := range s.inputs {
			ip := inputProgress{wm: window.MinTime}
			for _, from := range in.senders(lane, lanes) {
				ip.senders = append(ip.senders, senderProgress{lane: from, wm: window.MinTime})
			}
			sp.in = append(sp.in, ip)
		}
		if s.root() {
			sp.in = []inputProgress{{window.MinTime, []senderProgress{{lane: lane, wm: window.MinTime}}}}
		}
		pr.stages = append(pr.stages, sp)
	}
	return pr
}

// watermark notes that sender from of an input is at wm. It answers the input's
// watermark and whether it rose, and the stage's and whether that rises: then
// the lane fires it and calls raise.
func (p *progress) watermark(stage, input, from int, wm int64) (inWM int64, inRose bool, stageWM int64, rises bool) {
	s := &p.stages[stage]
	in := &s.in[input]
	low := int64(window.MaxTime)
	for i := range in.senders {
		x := &in.senders[i]
		if x.lane == from {
			if wm < x.wm {
				panic(fmt.Sprintf("BUG: engine: watermark of stage %d input %d from lane %d falls from %d to %d", stage, input, from, x.wm, wm))
			}
			x.wm = wm
		}
		low = min(low, x.wm)
	}
	inRose = low > in.wm
	in.wm = low
	stageWM = s.next()
	return low, inRose, stageWM, stageWM > s.wm
}

// tick notes that the stage's own clock is at wm; answers as watermark does for the stage.
func (p *progress) tick(stage int, wm int64) (stageWM int64, rises bool) {
	s := &p.stages[stage]
	s.clockWM = max(s.clockWM, wm)
	stageWM = s.next()
	return stageWM, stageWM > s.wm
}

// next is what the stage's watermark may be now.
func (s *stageProgress) next() int64 {
	low := int64(window.MaxTime)
	for i := range s.in {
		low = min(low, s.in[i].wm)
	}
	if s.clock && low < window.MaxTime {
		return s.clockWM
	}
	return low
}

// raise sets the stage's watermark, once everything that it fires has been fired.
func (p *progress) raise(stage int, wm int64) {
	s := &p.stages[stage]
	if wm < s.wm {
		panic(fmt.Sprintf("BUG: engine: watermark of stage %d falls from %d to %d", stage, s.wm, wm))
	}
	s.wm = wm
}

// barrier notes that sender from of an input has nothing more before barrier n,
// and answers whether all senders of all inputs say so: then the lane passes the
// barrier on and the stage counts as aligned.
func (p *progress) barrier(stage, input, from, n int) (aligned bool) {
	s := &p.stages[stage]
	aligned = s.aligned < n
	for i := range s.in {
		for j := range s.in[i].senders {
			x := &s.in[i].senders[j]
			if i == input && x.lane == from {
				x.barrier = n
			}
			aligned = aligned && x.barrier >= n
		}
	}
	if aligned {
		s.aligned = n
	}
	return aligned
}

// allAligned reports that every stage has passed barrier n.
func (p *progress) allAligned(n int) bool {
	for i := range p.stages {
		if p.stages[i].aligned < n {
			return false
		}
	}
	return true
}

// ended reports that the stage's input has ended and all is fired.
func (p *progress) ended(stage int) bool { return p.stages[stage].wm == window.MaxTime }
