package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
	_ "github.com/millrace/millrace/runners/local/pebble" // -state=pebble
)

// childVar is the variable by which a process knows that it is the job, not the rig:
// what it holds is a task.
const childVar = "MILLRACE_CRASH_CHILD"

// task is what a child has to do.
type task struct {
	StateDir   string // "": without checkpoints
	Out        string // folder of the output
	State      string
	Lanes      int
	Users      uint64
	Memory     int64 // bytes that state may take which is on disk; 0: the default
	Checkpoint time.Duration
	Limit      uint64 // how much input there is
	Ends       bool   // there will be no more
	Rate       float64
	Tell       bool // say what is durable
}

// beChild does the task that this process was started for, if it was.
func beChild() {
	line := os.Getenv(childVar)
	if line == "" {
		return
	}
	var t task
	err := json.Unmarshal([]byte(line), &t)
	if err == nil {
		err = t.run(context.Background(), os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("done")
	os.Exit(0)
}

func (t task) run(ctx context.Context, says *os.File) error {
	if err := os.MkdirAll(t.Out, 0o777); err != nil {
		return err
	}
	p := pipeline.New()
	v := &voice{out: says, told: map[string]bool{}}
	build(p, &events{t.Limit, t.Ends, t.Rate, t.Users}, t.Out, v)
	cfg := local.Config{Parallelism: t.Lanes, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	if t.Tell {
		v.files = t.Out
		cfg.Progress = func(o *local.Observer) { v.seen.Store(o) }
	}
	if t.StateDir != "" {
		cfg.StateDir, cfg.State, cfg.Checkpoint, cfg.StateMemory = t.StateDir, t.State, t.Checkpoint, t.Memory
	}
	_, err := local.Run(ctx, p, cfg)
	return err
}

// outputs are the patterns of the files that a job writes.
func outputs(dir string) []string {
	return []string{filepath.Join(dir, "windows-*.txt"), filepath.Join(dir, "users-*.txt")}
}
