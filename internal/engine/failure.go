package engine

import (
	"context"
	"fmt"
	"runtime"
	"strings"

	"github.com/millrace/millrace/internal/graph"
)

// shut lets go of everything; abort says that nothing uncommitted may stay, final
// that nothing unfinished may.
func (l *lane) shut(abort, final bool) (err error) {
	for _, st := range l.stages {
		for _, r := range st.readers {
			l.guard(func() error { return l.blame(st.nodes[0], r.r.Close()) }, &err)
		}
		for _, o := range st.ops {
			if c, ok := o.live.(graph.Committer); ok && abort {
				l.guard(func() error { c.Abort(final); return nil }, &err)
			}
			if c, ok := o.live.(graph.Closer); ok {
				l.c.Op = o.node.ID
				l.guard(func() error { return l.blame(o.node, c.Close(l.c)) }, &err)
			}
		}
	}
	return err
}

// blame says that err, if there is one, is of n's letting go.
func (l *lane) blame(n *graph.Node, err error) error {
	if err == nil {
		return nil
	}
	return &graph.UserError{Node: n, Err: fmt.Errorf("stop: %w", err)}
}

// guard calls f; its error or panic goes to err if nothing is there yet.
func (l *lane) guard(f func() error, err *error) {
	e := func() (e error) {
		defer l.recovered(&e)
		return f()
	}()
	if e != nil && *err == nil {
		*err = e
	}
}

// recovered turns a panic on the lane into an error: user code's names the
// transform and the input, our own says that it is a bug of ours.
func (l *lane) recovered(err *error) {
	r := recover()
	if r == nil {
		return
	}
	if r == error(graph.ErrStopped) {
		if *err = l.c.Err(); *err == nil {
			*err = context.Cause(l.inc.ctx)
		}
		return
	}
	if s, ok := r.(string); ok && strings.HasPrefix(s, "BUG: ") {
		*err = fmt.Errorf("%s (a bug in Millrace: please report it)\n%s", s, stack())
		return
	}
	*err = &graph.UserError{Node: l.c.Node(), Where: l.c.Where(), Err: graph.Recovered(r)}
}

func stack() string {
	b := make([]byte, 16<<10)
	return string(b[:runtime.Stack(b, false)])
}
