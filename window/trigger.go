package window

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Trigger describes when a window emits panes. It is immutable and may be shared;
// only this package makes triggers. [Compile] turns one into a state machine.
// Wrong arguments are reported by [Strategy.Validate].
type Trigger interface {
	// String returns the canonical form, part of the graph's hash.
	String() string

	node() *node
}

type op uint8

const (
	opDefault      op = iota
	opWatermark       // kids: early, late; nil where there is none
	opCount           // n elements
	opProcessing      // n ms after the first element
	opSynchronized    // when synchronised processing time reaches the first element's arrival
	opNever
	opRepeat
	opAny
	opAll
	opEach
	opOrFinally // kids: the trigger, its end
)

var opNames = [...]string{"default", "after_watermark", "count", "processing_time", "synchronized_processing_time", "never", "repeat", "any", "all", "each", "or_finally"}

// node is one trigger of a tree.
type node struct {
	op    op
	n     int64 // count, or delay in ms
	align int64 // ms: deadlines move up to the next align*k + from; 0 does not
	from  int64 // ms
	kids  []*node
	err   error // what was wrong with the constructor's arguments
}

func (n *node) node() *node { return n }

// Default fires when the watermark passes the end of the window and then for each
// late element. It never finishes (M51).
func Default() Trigger { return &node{op: opDefault} }

// Never does not fire: what the window holds comes in one pane when it is
// collected (M56).
func Never() Trigger { return &node{op: opNever} }

// AfterCount fires once at least n elements have come since it started, and
// finishes (M50).
func AfterCount(n int) Trigger {
	c := &node{op: opCount, n: int64(n)}
	if n < 1 {
		c.err = fmt.Errorf("trigger waits for %d elements, want at least 1", n)
	}
	return c
}

// Always fires for each element; it is Repeat(AfterCount(1)) (M56).
func Always() Trigger { return Repeat(AfterCount(1)) }

// WatermarkTrigger is the trigger [AfterWatermark].
type WatermarkTrigger struct{ n *node }

// AfterWatermark fires when the watermark passes the end of the window. Without
// [WatermarkTrigger.Late] it then finishes (M51).
func AfterWatermark() WatermarkTrigger {
	return WatermarkTrigger{&node{op: opWatermark, kids: []*node{nil, nil}}}
}

// Early adds firings before the end of the window: t, repeated (M51).
func (w WatermarkTrigger) Early(t Trigger) WatermarkTrigger { return w.with(0, "early", t) }

// Late adds firings after the end of the window: t, repeated, so that the trigger
// never finishes (M51).
func (w WatermarkTrigger) Late(t Trigger) WatermarkTrigger { return w.with(1, "late", t) }

func (w WatermarkTrigger) with(part int, name string, t Trigger) WatermarkTrigger {
	c := *w.node()
	c.kids = []*node{c.kids[0], c.kids[1]}
	c.kids[part] = nodeOf(name+" part of AfterWatermark", t)
	return WatermarkTrigger{&c}
}

// String implements [Trigger].
func (w WatermarkTrigger) String() string { return w.node().String() }

func (w WatermarkTrigger) node() *node {
	if w.n == nil { // the zero WatermarkTrigger
		return AfterWatermark().n
	}
	return w.n
}

// ProcessingTimeTrigger is the trigger [AfterProcessingTime].
type ProcessingTimeTrigger struct{ n *node }

// AfterProcessingTime fires once the clock is past the arrival of the pane's first
// element plus d, and finishes (M55). d must be whole milliseconds, not negative.
func AfterProcessingTime(d time.Duration) ProcessingTimeTrigger {
	c := &node{op: opProcessing, n: d.Milliseconds()}
	if d < 0 || d%time.Millisecond != 0 {
		c.err = fmt.Errorf("trigger waits for %v of processing time, want whole milliseconds, not negative", d)
	}
	return ProcessingTimeTrigger{c}
}

// AlignedTo moves each deadline up to the next multiple of period since the Unix
// epoch plus offset, so that the windows of all keys fire together.
func (p ProcessingTimeTrigger) AlignedTo(period, offset time.Duration) ProcessingTimeTrigger {
	c := *p.node()
	c.align, c.from = period.Milliseconds(), offset.Milliseconds()
	if err := wholeMillis("alignment of a processing time trigger", period); err != nil {
		c.err = errors.Join(c.err, err)
	} else if offset < 0 || offset >= period || offset%time.Millisecond != 0 {
		c.err = errors.Join(c.err, fmt.Errorf("alignment offset of a processing time trigger is %v, want whole milliseconds in [0, %v)", offset, period))
	}
	return ProcessingTimeTrigger{&c}
}

// String implements [Trigger].
func (p ProcessingTimeTrigger) String() string { return p.node().String() }

func (p ProcessingTimeTrigger) node() *node {
	if p.n == nil { // the zero ProcessingTimeTrigger
		return &node{op: opProcessing}
	}
	return p.n
}

// AfterSynchronizedProcessingTime fires when the processing time of all that
// happens upstream has reached the arrival of the pane's first element (M62). It
// is what processing-time triggers continue as; pipelines seldom name it.
func AfterSynchronizedProcessingTime() Trigger { return &node{op: opSynchronized} }

// Repeat starts t anew each time it has fired and finished (M52).
func Repeat(t Trigger) Trigger { return compose(opRepeat, t) }

// OrFinally fires when t or until is ready. until sees all elements of the window,
// not only those since the last pane; when it is ready at a firing, the whole
// finishes (M60).
func OrFinally(t, until Trigger) Trigger { return compose(opOrFinally, t, until) }

// AfterAny fires when the first of ts is ready, and finishes (M57).
func AfterAny(ts ...Trigger) Trigger { return compose(opAny, ts...) }

// AfterAll fires when all of ts are ready at the same time, and finishes (M58).
func AfterAll(ts ...Trigger) Trigger { return compose(opAll, ts...) }

// AfterEach runs ts one after the other: each begins when the one before has
// finished (M59).
func AfterEach(ts ...Trigger) Trigger { return compose(opEach, ts...) }

func compose(o op, ts ...Trigger) *node {
	n := &node{op: o, kids: make([]*node, len(ts))}
	for i, t := range ts {
		n.kids[i] = nodeOf(fmt.Sprintf("part %d of the trigger %s", i+1, opNames[o]), t)
	}
	if len(ts) == 0 {
		n.err = fmt.Errorf("trigger %s has no parts", opNames[o])
	}
	return n
}

// nodeOf keeps a nil trigger as an error for Validate to report.
func nodeOf(what string, t Trigger) *node {
	if t == nil {
		return &node{op: opNever, err: fmt.Errorf("%s is nil", what)}
	}
	return t.node()
}

// validate returns the first mistake in the tree.
func validate(n *node) error {
	nodes, err := 0, error(nil)
	n.walk(func(n *node) {
		nodes++
		if err == nil {
			err = n.err
		}
	})
	if err == nil && nodes > maxNodes {
		err = fmt.Errorf("trigger has %d parts, want at most %d", nodes, maxNodes)
	}
	return err
}

// walk visits the tree, parents first.
func (n *node) walk(visit func(*node)) {
	if n == nil {
		return
	}
	visit(n)
	for _, k := range n.kids {
		k.walk(visit)
	}
}

// String implements [Trigger].
func (n *node) String() string {
	name := opNames[n.op]
	switch n.op {
	case opDefault, opNever, opSynchronized:
		return name
	case opCount:
		return fmt.Sprintf("%s(%d)", name, n.n)
	case opProcessing:
		if n.align != 0 {
			return fmt.Sprintf("%s(%v,align=%v+%v)", name, millis(n.n), millis(n.align), millis(n.from))
		}
		return fmt.Sprintf("%s(%v)", name, millis(n.n))
	}
	var parts []string
	for i, k := range n.kids {
		switch {
		case n.op != opWatermark:
			parts = append(parts, k.String())
		case k != nil:
			parts = append(parts, [...]string{"early=", "late="}[i]+k.String())
		}
	}
	if len(parts) == 0 {
		return name
	}
	return name + "(" + strings.Join(parts, ",") + ")"
}

// Continuation returns the trigger that the output of a grouping triggered by t
// carries, so that a second grouping passes on what the first fires without
// waiting again (M61).
func Continuation(t Trigger) Trigger { return t.node().continued() }

func (n *node) continued() *node {
	if n == nil {
		return nil
	}
	c := &node{op: n.op, err: n.err}
	switch n.op {
	case opCount:
		c.n = 1
		return c
	case opProcessing:
		c.op = opSynchronized
		return c
	}
	for _, k := range n.kids {
		c.kids = append(c.kids, k.continued())
	}
	if n.op == opEach { // the parts' order says nothing downstream
		c.op = opAny
		return compose(opRepeat, c)
	}
	return c
}

// MayFinish tells whether t can finish before its window is collected, after which
// the window takes no more data (M53). Grouping by such a trigger is refused by
// [Strategy.Validate] unless it is allowed there.
func MayFinish(t Trigger) bool { return t.node().mayFinish() }

func (n *node) mayFinish() bool {
	switch n.op {
	case opDefault, opNever, opRepeat:
		return false
	case opWatermark:
		return n.kids[1] == nil
	case opAny: // finishes with its first firing
		return n.mayFire()
	case opAll:
		return n.mayFire()
	case opEach: // finishes with its last part, if it gets there
		for _, k := range n.kids {
			if !k.mayFinish() {
				return false
			}
		}
		return true
	case opOrFinally:
		return n.kids[0].mayFinish() || n.kids[1].mayFire()
	}
	return true
}

// mayFire tells whether the trigger can ever be ready.
func (n *node) mayFire() bool {
	switch n.op {
	case opNever:
		return false
	case opRepeat, opEach:
		return len(n.kids) > 0 && n.kids[0].mayFire()
	case opAny, opOrFinally:
		for _, k := range n.kids {
			if k.mayFire() {
				return true
			}
		}
		return false
	case opAll:
		for _, k := range n.kids {
			if !k.mayFire() {
				return false
			}
		}
	}
	return true
}

// maxNodes bounds the parts of a trigger: their finished bits share one word.
const maxNodes = 64
