package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

// marks is a sink that writes nothing but says, at once, where in the cycle of
// checkpoints the process is. Its lines go to a pipe, which outlives the process. There
// is one before all other sinks of a lane and one behind them: they say
//
//	open              lane 0 is open: state has been read
//	prepare prepared  a lane begins, and ends, to make the epoch's files durable
//	commit shown      the epoch is durable: a lane begins, and ends, to show them
//	durable N         so it is, and this is its number over the life of the job
//	file NAME SIZE    this one has been shown, and is durable by its name
type marks struct {
	behind bool // all other sinks
	to     *voice
}

// voice is what all marks of a process say it by.
type voice struct {
	mu  sync.Mutex // guards out
	out *os.File

	files string // folder whose files are to be told; "": none
	told  map[string]bool
	seen  atomic.Pointer[local.Observer]
}

func (v *voice) say(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Fprintf(v.out, format+"\n", args...)
}

// sayFiles names the files that have been shown since the last time. It is for moments
// at which no sink shows any: when an epoch is prepared all before are shown.
func (v *voice) sayFiles() error {
	if v.files == "" {
		return nil
	}
	now, err := shownFiles(v.files)
	for name, size := range now {
		if !v.told[name] {
			v.told[name] = true
			v.say("file %s %d", name, size)
		}
	}
	return err
}

func (m *marks) Open(_ context.Context, lane, _ int, _ []byte) (pipeline.Writer[event], error) {
	if lane == 0 && m.behind {
		m.to.say("open")
	}
	return &mark{m, lane}, nil
}

type mark struct {
	of   *marks
	lane int
}

func (m *mark) Write(event) error { return nil }
func (m *mark) Prepare() ([]byte, error) {
	if m.lane == 0 && !m.of.behind {
		if err := m.of.to.sayFiles(); err != nil {
			return nil, err
		}
	}
	m.of.to.say(m.which("prepare", "prepared"))
	return nil, nil
}
func (m *mark) Commit() error {
	m.of.to.say(m.which("commit", "shown"))
	if o := m.of.to.seen.Load(); o != nil && m.lane == 0 && !m.of.behind {
		m.of.to.say("durable %d", o.Checkpoint().Epoch)
	}
	return nil
}
func (m *mark) Finish() error { return nil }
func (m *mark) Abort(bool)    {}

func (m *mark) which(before, behind string) string {
	if m.of.behind {
		return behind
	}
	return before
}
