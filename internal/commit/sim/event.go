package sim

import (
	"fmt"

	"github.com/millrace/millrace/internal/commit"
)

// event is one thing that happened, as the trace has it.
type eventKind uint8

const (
	evBarrier eventKind = iota
	evNotice
	evRead
	evFold
	evReport
	evObey
	evDecision
	evRefused
	evDurable
	evFault
	evIO
	evOpened
	evFellBack
	evTorn
	evUnopened
	evExit
)

// event takes something that happened into the hash, and into the trace.
func (s *sim) event(k eventKind, a, b uint64) {
	const prime = 1099511628211
	s.hash = (s.hash ^ uint64(k)) * prime
	s.hash = (s.hash ^ a) * prime
	s.hash = (s.hash ^ b) * prime
	if s.trace == nil {
		return
	}
	switch k {
	case evBarrier:
		s.note("lane %d: barrier of lane %d", a, b)
	case evNotice:
		s.note("lane %d: sees cut %d", a, b)
	case evRead:
		s.note("read %d/%d", a, b)
	case evFold:
		s.note("key %d is %d", a, int64(b))
	case evReport:
		s.note("lane %d: reports cut %d", a, b)
	case evObey:
		s.note("lane %d: does %v", a, commit.Decision(b))
	case evDecision:
		s.note("cut %d: %v", b, commit.Decision(a))
	case evRefused:
		s.note("epoch %d: refused", a)
	case evDurable:
		s.note("epoch %d: durable", a)
	case evFault:
		s.note("*** %v at %q", Kind(a), Point(b).String())
	case evOpened:
		s.note("open at epoch %d with %d lanes", a, b)
	case evFellBack:
		s.note("the store has fallen back to epoch %d", a)
	case evTorn:
		s.note("lanes are torn down")
	case evExit:
		s.note("the process ends")
	case evUnopened:
		s.note("the store refuses to open")
	}
}

func (s *sim) note(format string, args ...any) {
	if s.trace != nil {
		s.trace(fmt.Sprintf("%5d %s", s.steps, fmt.Sprintf(format, args...)))
	}
}
