package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/millrace/millrace/bench/internal/meter"
)

// childVar is the variable by which a process knows that it is a worker: what it holds is
// its task.
const childVar = "MILLRACE_SHUFFLE_CHILD"

// task is what a worker has to do.
type task struct {
	Way     string
	Worker  int
	Records uint64 // of this worker
	Size    int
	Keys    int
	Lanes   int
	Epoch   time.Duration
	Volume  int     // bytes of an epoch
	Rate    float64 // of this worker; 0: as fast as it goes
	Server  string  // NATS
	Profile string  // file
	Encrypt bool    // frames from worker to worker
}

// child is a worker.
type child struct {
	task
	in  *json.Decoder
	out *json.Encoder
	cpu time.Duration // at the start
}

// hello says that a worker is ready, and where it is.
type hello struct{ Addr string }

// report is what a worker has to say in the end.
type report struct {
	First   int64 // when its first record was emitted, in ns since 1970
	CPU     time.Duration
	Taken   taker
	Counted uint64 // records, by key
	Commits uint64
	Ready   time.Duration // of commits: means
	Put     time.Duration
}

// beChild does the task that this process was started for, if it was.
func beChild() {
	line := os.Getenv(childVar)
	if line == "" {
		return
	}
	c := &child{in: json.NewDecoder(bufio.NewReader(os.Stdin)), out: json.NewEncoder(os.Stdout)}
	err := json.Unmarshal([]byte(line), &c.task)
	if err == nil {
		err = c.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (c *child) run() error {
	collectLess()
	stop, err := profile(c.Profile)
	if err != nil {
		return err
	}
	defer stop()
	return bodies[c.Size](context.Background(), c)
}

// collectLess makes the collector run as often as in a worker of the distributed runner.
// GOGC, where set, stands.
func collectLess() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// meet says where this worker is, and returns where all are once all are ready.
func (c *child) meet(addr string) (all []string, err error) {
	if err := c.out.Encode(hello{addr}); err != nil {
		return nil, err
	}
	err = c.in.Decode(&all)
	c.cpu = meter.CPU()
	return all, err
}

// finish reports, and waits until all have.
func (c *child) finish(r report) error {
	r.CPU = meter.CPU() - c.cpu
	if err := c.out.Encode(r); err != nil {
		return err
	}
	if err := c.in.Decode(new(bool)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the bench says something, and not that all is over: %w", err)
	}
	return nil
}

// other is the other worker.
func (c *child) other() int { return (c.Worker + 1) % workers }

// isJob reports that a way is a job, inBlocks that it is the one of blocks, and isLoose that
// a way is the pipeline of records without guarantees.
func isJob(way string) bool    { return strings.HasPrefix(way, "millrace-") || inBlocks(way) }
func inBlocks(way string) bool { return strings.HasPrefix(way, "blocks-") }
func isLoose(way string) bool  { return strings.HasPrefix(way, "pipeline-") }

// commits reports that a way is by hand and commits, overTCP that it has frames over TCP and
// is no job.
func commits(way string) bool { return strings.HasPrefix(way, "committed-") }
func overTCP(way string) bool { return way == "tcp" || !isJob(way) && strings.HasSuffix(way, "-tcp") }

// plane is over what the frames of a job go.
func plane(way string) string { return way[strings.Index(way, "-")+1:] }

// profileName is the file for a profile of what, a worker or the servers.
func profileName(folder, way string, rate float64, what any) string {
	if folder == "" {
		return ""
	}
	if rate > 0 {
		way += "-timed"
	}
	return filepath.Join(folder, fmt.Sprintf("%s-%v.pprof", way, what))
}

// profile writes a CPU profile of this process to a file until stop; "" is none.
func profile(file string) (stop func(), err error) {
	if file == "" {
		return func() {}, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		f.Close()
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
	}, nil
}
