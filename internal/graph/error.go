package graph

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
)

// UserError is a failure of user code while running: it names the transform, the
// input and the cause. Retrying the run helps only if the cause is outside.
type UserError struct {
	Node  *Node
	Where string // input position, or ""
	Err   error
}

func (e *UserError) Error() string {
	var b strings.Builder
	if e.Node != nil {
		fmt.Fprintf(&b, "%s (%s)", e.Node.Name, e.Node.Pos)
	}
	if e.Where != "" {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "at input %s", e.Where)
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	b.WriteString(e.Err.Error())
	return b.String()
}

func (e *UserError) Unwrap() error { return e.Err }

// ErrStopped is what unwinds a lane whose run is over while it waits for room, by
// a panic, because user code that emits has no other way out. Whoever recovers
// user panics passes it on.
var ErrStopped = errors.New("the run is over")

// PanicError is a panic of user code: its value and the user's own frames.
type PanicError struct {
	Value any
	Stack string // "main.parse\n\tmain.go:31\n…", innermost first; "" when no user frame was found
}

func (e *PanicError) Error() string {
	s := fmt.Sprintf("panic: %v", e.Value)
	if e.Stack != "" {
		s += "\n" + strings.TrimRight(e.Stack, "\n")
	}
	return s
}

func (e *PanicError) Unwrap() error { err, _ := e.Value.(error); return err }

// Recovered turns what recover returned into an error with the user's own frames
// of the panicking stack. Call it from the deferred function itself.
func Recovered(v any) *PanicError {
	var pc [256]uintptr
	frames := runtime.CallersFrames(pc[:runtime.Callers(3, pc[:])])
	var b strings.Builder
	for {
		f, more := frames.Next()
		switch {
		case f.Function == "", strings.HasPrefix(f.Function, "runtime."), Ours(f.Function, f.File):
		case strings.HasPrefix(f.Function, "testing."):
		default:
			fmt.Fprintf(&b, "\t%s\n\t\t%s:%d\n", f.Function, f.File, f.Line)
		}
		if !more {
			return &PanicError{Value: v, Stack: b.String()}
		}
	}
}

// Letters is the failures that wait for the dead-letter collection. It belongs
// to a run; an epoch that is rolled back takes what it brought with it, because
// the run is then opened anew.
type Letters struct {
	mu sync.Mutex // guards in
	in []*Failure
}

// Put adds a failure.
func (l *Letters) Put(f *Failure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.in = append(l.in, f)
}

// Take removes and returns all failures.
func (l *Letters) Take() []*Failure {
	l.mu.Lock()
	defer l.mu.Unlock()
	in := l.in
	l.in = nil
	return in
}
