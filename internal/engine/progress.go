package engine

import (
	"fmt"
	"math"

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
	idle    bool // nothing says anything about time: others need not wait
	clock   bool
	clockWM int64
	resting bool // the clock is idle
	aligned int  // the newest barrier that has passed
	in      []inputProgress
}

type inputProgress struct {
	wm      int64
	idle    bool // all its senders are
	aside   bool // says nothing about the stage's time
	senders []senderProgress
}

type senderProgress struct {
	lane    int
	wm      int64
	idle    bool
	barrier int
}

// newProgress is the progress of one lane at its start. A root has one input,
// with itself as the only sender. Other slots are senders that send no barriers.
func newProgress(p *plan, lane int) *progress {
	pr := &progress{}
	for _, s := range p.stages {
		sp := stageProgress{wm: window.MinTime, clock: s.clock, clockWM: window.MinTime}
		for _, in := range s.inputs {
			ip := inputProgress{wm: window.MinTime, aside: in.in.Aside}
			for _, from := range in.senders(lane, p.at) {
				ip.senders = append(ip.senders, senderProgress{lane: from, wm: window.MinTime})
			}
			for _, from := range in.slots(lane, p.at) {
				ip.senders = append(ip.senders, senderProgress{lane: from, wm: window.MinTime, barrier: math.MaxInt})
			}
			sp.in = append(sp.in, ip)
		}
		if s.root() {
			sp.in = []inputProgress{{wm: window.MinTime, senders: []senderProgress{{lane: lane, wm: window.MinTime}}}}
		}
		pr.stages = append(pr.stages, sp)
	}
	return pr
}

// watermark notes that sender from of an input is at wm, or idle (idleWM). It
// answers the input's watermark and whether it rose, and whether the stage's
// changes: then the lane calls raise and lets the stage fire.
func (p *progress) watermark(stage, input, from int, wm int64) (inWM int64, inRose, changes bool) {
	s := &p.stages[stage]
	in := &s.in[input]
	low, idle := int64(window.MaxTime), false
	for i := range in.senders {
		x := &in.senders[i]
		if x.lane == from {
			if x.idle = wm == idleWM; !x.idle {
				if wm < x.wm {
					panic(fmt.Sprintf("BUG: engine: watermark of stage %d input %d from lane %d falls from %d to %d", stage, input, from, x.wm, wm))
				}
				x.wm = wm
			}
		}
		if idle = idle || x.idle; !x.idle {
			low = min(low, x.wm)
		}
	}
	idle = idle && low == window.MaxTime // those that have ended say nothing for one that is idle
	in.idle = idle
	if idle || low < in.wm { // the latter: a sender that was idle is behind the others
		low = in.wm
	}
	inRose = low > in.wm
	in.wm = low
	return low, inRose, s.changes()
}

// tick notes that the stage's own clock is at wm, and whether it is idle; answers
// whether the stage's watermark changes.
func (p *progress) tick(stage int, wm int64, idle bool) (changes bool) {
	s := &p.stages[stage]
	s.clockWM, s.resting = max(s.clockWM, wm), idle
	return s.changes()
}

func (s *stageProgress) changes() bool {
	wm, idle := s.next()
	return wm > s.wm || idle != s.idle
}

// next is what the stage's watermark may be now.
func (s *stageProgress) next() (wm int64, idle bool) {
	low, idle := int64(window.MaxTime), false
	for i := range s.in {
		x := &s.in[i]
		if x.aside {
			continue
		}
		if idle = idle || x.idle; !x.idle {
			low = min(low, x.wm)
		}
	}
	idle = idle && low == window.MaxTime
	switch {
	case s.clock && (idle || low < window.MaxTime):
		return max(s.wm, s.clockWM), s.resting || idle
	case idle:
		return s.wm, true
	}
	return max(s.wm, low), false
}

// raise makes the stage's watermark what it may be.
func (p *progress) raise(stage int) {
	s := &p.stages[stage]
	s.wm, s.idle = s.next()
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

// sender is what a sender of an input has said; nil if it is none.
func (p *progress) sender(stage, input, from int) *senderProgress {
	s := p.stages[stage].in[input].senders
	for i := range s {
		if s[i].lane == from {
			return &s[i]
		}
	}
	return nil
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
