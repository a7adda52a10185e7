package main

import (
	"context"
	"encoding/binary"
	"encoding/gob"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners"
	_ "github.com/millrace/millrace/runners/distributed"
)

// taskVar is the variable by which a process knows that it belongs to the job: what it
// holds is a task.
const taskVar = "MILLRACE_RECOVERY_TASK"

// task is what all processes of the job have to know.
type task struct {
	Sources uint64
	Keys    uint64
	Value   int       // bytes of state of each key
	Fill    uint64    // so many events come at once
	Began   time.Time // from when on events come at their rate
	Rate    float64   // events a second of each split
	End     string    // file that says how many events there are, when there are to be no more
	Screen  string    // socket of who looks at what is shown
}

// beJob runs the job that this process was started for, if it was, and does not return.
func beJob() {
	text := os.Getenv(taskVar)
	if text == "" {
		return
	}
	var t task
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", taskVar, err)
		os.Exit(1)
	}
	flag.CommandLine = flag.NewFlagSet("recovery", flag.ExitOnError)
	runners.Main(t.build)
	os.Exit(0)
}

// count is the nth event of a key.
type count struct{ Key, N uint64 }

func (t task) build(p *pipeline.Pipeline) {
	keys := pipeline.KeyBy(pipeline.Read[uint64](p, "recovery.Keys", &source{t}), func(k uint64) uint64 { return k })
	counts := pipeline.Stateful(keys, "count", func(s *pipeline.Setup[uint64, count]) pipeline.Process[uint64, uint64, count] {
		n := pipeline.ValueState[uint64](s, "n")
		blob := pipeline.ValueState[[]byte](s, "blob")
		return func(c *pipeline.Ctx[uint64], _ uint64, emit pipeline.Emit[count]) error {
			n.Set(c, n.Get(c)+1)
			if n.Get(c) == 1 && t.Value > 0 {
				b := make([]byte, t.Value)
				r := rand.NewPCG(c.Key(), 1)
				for i := 0; i+8 <= len(b); i += 8 { // so that nothing can make it smaller
					binary.LittleEndian.PutUint64(b[i:], r.Uint64())
				}
				blob.Set(c, b)
			}
			emit(count{c.Key(), n.Get(c)})
			return nil
		}
	})
	pipeline.Write[count](counts, "recovery.Screen", screen(t.Screen))
}

// source is keys in turn.
type source struct{ task }

func (*source) Bounded() bool { return false }

func (s *source) Splits(context.Context, int) (out []pipeline.Split[uint64], _ error) {
	for i := range s.Sources {
		out = append(out, &split{s, i})
	}
	return out, nil
}

// split is the events whose number is first modulo the number of splits.
type split struct {
	*source
	first uint64
}

func (s *split) ID() string  { return fmt.Sprint("keys-", s.first) }
func (s *split) Size() int64 { return 0 }

func (s *split) Open(_ context.Context, position []byte) (pipeline.Reader[uint64], error) {
	r := &reader{split: s, next: s.first}
	if position != nil {
		if len(position) != 8 {
			return nil, fmt.Errorf("a position of %d bytes", len(position))
		}
		r.next = binary.BigEndian.Uint64(position)
	}
	return r, nil
}

type reader struct {
	*split
	next   uint64
	end    uint64    // 0: not known
	looked time.Time // for the end
}

func (r *reader) Read(max int, out *pipeline.Output[uint64]) (pipeline.ReadState, error) {
	if r.end == 0 && time.Since(r.looked) > 50*time.Millisecond {
		r.looked = time.Now()
		if b, err := os.ReadFile(r.End); err == nil {
			if r.end, err = strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64); err != nil {
				return pipeline.Idle, err
			}
		}
	}
	due := r.Fill
	if d := time.Since(r.Began); d > 0 {
		due += uint64(d.Seconds()*r.Rate) * r.Sources
	}
	if r.end > 0 {
		due = min(due, r.end)
	}
	state := pipeline.Idle
	for ; max > 0 && r.next < due; max-- {
		out.Emit(r.next % r.Keys)
		r.next += r.Sources
		state = pipeline.More
	}
	if r.end > 0 && r.next >= r.end {
		return pipeline.Done, nil
	}
	return state, nil
}

func (r *reader) Position(b []byte) []byte { return binary.BigEndian.AppendUint64(b, r.next) }
func (r *reader) Where() string            { return fmt.Sprint("event ", r.next) }
func (r *reader) Progress() int64          { return int64(r.next / r.Sources) }
func (r *reader) Close() error             { return nil }

// screen is a sink: a socket at which somebody looks, and remembers what was shown.
type screen string

// page is what is shown at once. Pages of a lane lie behind each other.
type page struct {
	Lane, Pid int
	Opens     bool   // this is who writes on the lane from now on
	From      uint64 // counts of the lane before this page
	Counts    []count
}

var errFenced = errors.New("another process writes on this lane")

func (s screen) Open(_ context.Context, lane, _ int, state []byte) (pipeline.Writer[count], error) {
	c, err := net.Dial("unix", string(s))
	if err != nil {
		return nil, err
	}
	w := &writer{c: c, to: gob.NewEncoder(c)}
	w.open.Lane, w.open.Pid = lane, os.Getpid()
	w.last = w.open
	if state != nil {
		if err := json.Unmarshal(state, &w.last); err != nil {
			return nil, err
		}
		w.last.Pid = w.open.Pid
		w.open.From = w.last.From + uint64(len(w.last.Counts))
	}
	w.last.Opens = true
	err = w.Commit()
	w.last.Opens = false
	return w, err
}

type writer struct {
	c          net.Conn
	to         *gob.Encoder
	open, last page
}

func (w *writer) Write(c count) error {
	w.open.Counts = append(w.open.Counts, c)
	return nil
}

func (w *writer) Prepare() ([]byte, error) {
	w.last = w.open
	w.open.From, w.open.Counts = w.last.From+uint64(len(w.last.Counts)), nil
	return json.Marshal(w.last)
}

// Commit shows what was prepared, and returns when it was seen.
func (w *writer) Commit() error {
	if err := w.to.Encode(&w.last); err != nil {
		return err
	}
	var seen [1]byte
	if _, err := w.c.Read(seen[:]); err != nil {
		return err
	}
	if seen[0] == refused {
		return errFenced
	}
	return nil
}

func (w *writer) Finish() error { return w.c.Close() }
func (w *writer) Abort(bool)    { w.c.Close() }
