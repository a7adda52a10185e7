package main

import (
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/millrace/millrace/pipeline"
)

// marks is a sink that writes nothing but says, at once, where in the cycle of
// checkpoints the process is. Its lines go to a pipe, which outlives the process. There
// is one before all other sinks of a lane and one behind them: they say
//
//	open              lane 0 is open: state has been read
//	prepare prepared  a lane begins, and ends, to make the epoch's files durable
//	commit shown      the epoch is durable: a lane begins, and ends, to show them
type marks struct {
	behind bool // all other sinks
	to     *voice
}

// voice is what all marks of a process say it by.
type voice struct {
	mu  sync.Mutex // guards out
	out *os.File
}

func (v *voice) say(what string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Fprintln(v.out, what)
}

func (m *marks) Open(_ context.Context, lane, _ int, _ []byte) (pipeline.Writer[event], error) {
	if lane == 0 && m.behind {
		m.to.say("open")
	}
	return &mark{m}, nil
}

type mark struct{ of *marks }

func (m *mark) Write(event) error { return nil }
func (m *mark) Prepare() ([]byte, error) {
	m.of.to.say(m.which("prepare", "prepared"))
	return nil, nil
}
func (m *mark) Commit() error { m.of.to.say(m.which("commit", "shown")); return nil }
func (m *mark) Finish() error { return nil }
func (m *mark) Abort(bool)    {}

func (m *mark) which(before, behind string) string {
	if m.of.behind {
		return behind
	}
	return before
}
