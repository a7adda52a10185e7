package main

import (
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/millrace/millrace/pipeline"
)

// marks is a sink that writes nothing but says, at once, where in the cycle of
// checkpoints the process is. Its lines go to a pipe, which outlives the process.
//
//	open              lane 0 is open: state has been read
//	prepare           a lane has begun to make the epoch's files durable
//	commit            a lane shows them: the epoch is durable
type marks struct {
	mu sync.Mutex // guards out
	to *os.File   // nil: nobody wants to know
}

func (m *marks) say(what string) {
	if m.to == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	fmt.Fprintln(m.to, what)
}

func (m *marks) Open(_ context.Context, lane, _ int, _ []byte) (pipeline.Writer[string], error) {
	if lane == 0 {
		m.say("open")
	}
	return &mark{m}, nil
}

type mark struct{ of *marks }

func (m *mark) Write(string) error { return nil }
func (m *mark) Prepare() ([]byte, error) {
	m.of.say("prepare")
	return []byte{}, nil
}
func (m *mark) Commit() error { m.of.say("commit"); return nil }
func (m *mark) Finish() error { return nil }
func (m *mark) Abort(bool)    {}
