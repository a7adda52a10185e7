package pipeline

import (
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// Fail records a mistake in building p, with the user's file and line before it:
// for connectors and libraries of transforms, which must not panic. %w works.
func Fail(p *Pipeline, format string, args ...any) {
	if p == nil {
		graph.Orphanf(format, args...)
		return
	}
	p.g.Errorf(format, args...)
}

// FailAt is [Fail] in the pipeline that c belongs to.
func FailAt(c Signal, format string, args ...any) {
	if c := c.signal(); c.p != nil {
		c.p.g.Errorf(format, args...)
	}
}

// WindowsOf is the windows of c's elements, for libraries of transforms that do not
// work in all of them.
func WindowsOf(c Signal) window.Fn { return c.signal().windowing.Fn }
