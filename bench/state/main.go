// Command state fills a job's state with keys and goes on updating them, has the
// process killed with -9, and measures how long another one takes to go on:
//
//	go run ./bench/state -keys 10000000 -value 100 -state memory
//	go run ./bench/state -keys 10000000 -value 16 -state pebble -updates 50000000
//
// It prints one JSON line: rates, memory, what lies on disk over time, and the time
// from the start of the second process's run to its first element.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"
	"time"

	"github.com/millrace/millrace/bench/internal/meter"
	"github.com/millrace/millrace/runners/local"
	_ "github.com/millrace/millrace/runners/local/pebble"
)

// setting is what is to be done.
type setting struct {
	keys, updates uint64
	value         int // bytes
	state, dir    string
	stateMemory   int64
	lanes         int
	interval      time.Duration
}

// filled is what the first process says.
type filled struct {
	Keys        uint64  `json:"keys"`
	ValueBytes  int     `json:"value_bytes"`
	State       string  `json:"state"`
	Par         int     `json:"par"`
	FillPerS    float64 `json:"fill_per_s"`    // first writes of keys
	UpdatesPerS float64 `json:"updates_per_s"` // behind them
	Checkpoints uint64  `json:"checkpoints"`
	RSSMB       int     `json:"rss_mb"`  // the peak
	DiskMB      []int   `json:"disk_mb"` // at tenths of the updates
}

// restored is what the second one says.
type restored struct {
	RestoreS     float64 `json:"restore_s"`
	RestoreRSSMB int     `json:"restore_rss_mb"`
	Intact       bool    `json:"intact"` // the first element found the state of its key
}

// phaseVar is the variable that tells a process of the two which one it is.
const phaseVar = "STATE_PHASE"

func main() {
	s := setting{}
	flag.Uint64Var(&s.keys, "keys", 1_000_000, "keys")
	flag.Uint64Var(&s.updates, "updates", 0, "updates behind the first write of each key; 0: twice as many as keys")
	flag.IntVar(&s.value, "value", 100, "bytes of each key's state")
	flag.StringVar(&s.state, "state", "memory", "what keeps state: memory, pebble")
	flag.StringVar(&s.dir, "state-dir", "", "folder for it; default one that is removed")
	flag.Int64Var(&s.stateMemory, "state-memory", 0, "bytes that state may take which is on disk, too; 0: the default")
	flag.IntVar(&s.lanes, "parallelism", 2, "lanes")
	flag.DurationVar(&s.interval, "checkpoint-interval", time.Second, "time between checkpoints")
	profile := flag.String("cpuprofile", "", "write a CPU profile of the second process here")
	flag.Parse()
	if s.updates == 0 {
		s.updates = 2 * s.keys
	}
	var err error
	switch os.Getenv(phaseVar) {
	case "fill":
		err = fill(s)
	case "restore":
		err = profiled(*profile, func() error { return restore(s) })
	default:
		err = both(s, os.Args[1:], os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "state:", err)
		os.Exit(1)
	}
}

// profiled runs f, under a profile if there is to be one.
func profiled(path string, f func() error) error {
	if path == "" {
		return f()
	}
	to, err := os.Create(path)
	if err != nil {
		return err
	}
	defer to.Close()
	if err := pprof.StartCPUProfile(to); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return f()
}

// both runs the two processes and puts together what they say.
func both(s setting, args []string, out io.Writer) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "state-*")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		args = append(args, "-state-dir="+dir)
	}
	line := map[string]any{}
	for _, phase := range []string{"fill", "restore"} {
		c := exec.Command(program, args...)
		c.Env = append(os.Environ(), phaseVar+"="+phase)
		c.Stderr = os.Stderr
		b, err := c.Output()
		var exit *exec.ExitError
		if killed := errors.As(err, &exit) && exit.ExitCode() == -1; err != nil && (phase != "fill" || !killed) {
			return fmt.Errorf("%s: %w", phase, err)
		}
		if err := json.NewDecoder(bytes.NewReader(b)).Decode(&line); err != nil {
			return fmt.Errorf("%s: %w in %q", phase, err, b)
		}
	}
	return json.NewEncoder(out).Encode(line)
}

// fill writes the keys, goes on updating them, and kills its process with -9 behind
// the checkpoint after that.
func fill(s setting) error {
	debug.SetGCPercent(100)
	m := newLoad(s)
	res := filled{Keys: s.keys, ValueBytes: s.value, State: s.state, Par: s.lanes}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- m.run(ctx, false) }()
	var full time.Time
	var last uint64 // checkpoint when the last update was done
	done := false
	start := time.Now()
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case err := <-ended:
			return fmt.Errorf("the run ended: %w", err)
		case <-t.C:
		}
		now := m.seen.Load()
		if now == nil {
			continue
		}
		at := uint64(now.Progress().Elements)
		switch {
		case full.IsZero() && at >= s.keys:
			full = time.Now()
			res.FillPerS = perSecond(at, full.Sub(start))
		case !full.IsZero() && at >= s.keys+uint64(len(res.DiskMB)+1)*s.updates/10 && len(res.DiskMB) < 10:
			res.DiskMB = append(res.DiskMB, diskMB(s.dir))
			if len(res.DiskMB) == 10 {
				res.UpdatesPerS = perSecond(at-s.keys, time.Since(full))
				last, done = now.Checkpoint().Epoch, true
			}
		}
		if done && now.Checkpoint().Epoch > last {
			break
		}
	}
	res.Checkpoints, res.RSSMB = m.seen.Load().Checkpoint().Epoch, meter.PeakRSS()
	if err := json.NewEncoder(os.Stdout).Encode(res); err != nil {
		return err
	}
	p, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = p.Kill()
	}
	return err
}

// restore goes on, and stops at its first elements.
func restore(s setting) error {
	m := newLoad(s)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	start := time.Now()
	go func() { ended <- m.run(ctx, true) }()
	var res restored
	select {
	case err := <-ended:
		return fmt.Errorf("the run ended: %w", err)
	case res.Intact = <-m.first:
	}
	res.RestoreS = time.Since(start).Seconds()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		return err
	}
	res.RestoreRSSMB = meter.PeakRSS()
	return json.NewEncoder(os.Stdout).Encode(res)
}

func perSecond(n uint64, d time.Duration) float64 { return float64(int64(float64(n) / d.Seconds())) }

func diskMB(dir string) int {
	var sum int64
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil { // else it is gone
				sum += info.Size()
			}
		}
		return nil
	})
	return int(sum >> 20)
}

// config is that of the run.
func (s setting) config() local.Config {
	return local.Config{Parallelism: s.lanes, Checkpoint: s.interval, StateDir: s.dir, State: s.state, StateMemory: s.stateMemory}
}
