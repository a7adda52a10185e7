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

// WindowingOf is how the elements of c are windowed: for libraries of transforms
// that work in some windows only.
func WindowingOf(c Signal) window.Strategy { return c.signal().windowing }

// NameOf is the name that [Named] gives among opts, or otherwise: for libraries of
// transforms that take options and keep state by [Stateful].
func NameOf(opts []Option, otherwise string) string {
	if name := nameOf(opts); name != "" {
		return name
	}
	return otherwise
}
