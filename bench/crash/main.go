// Command crash kills a job again and again and looks whether anybody can tell: a
// streaming pipeline, with shuffles, windows, timers and files that appear at
// checkpoints, runs in a process of its own, with its state in a folder; it is ended
// by kill -9 at random moments and started again. What it has written in the end has
// to be, byte for byte, what an undisturbed run writes.
//
//	go run ./bench/crash -kills 200 -state memory -rescale
//	go run ./bench/crash -kills 200 -state pebble
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"
)

func main() {
	beChild()
	var s schedule
	flag.IntVar(&s.Kills, "kills", 200, "how often the job is killed")
	flag.StringVar(&s.State, "state", "memory", "what keeps the state: memory or pebble")
	flag.IntVar(&s.Lanes, "parallelism", 2, "lanes")
	flag.BoolVar(&s.Rescale, "rescale", false, "another number of lanes, 1 to 4, at each start")
	flag.Uint64Var(&s.Seed, "seed", 1, "of the moments")
	flag.DurationVar(&s.Checkpoint, "checkpoint", 20*time.Millisecond, "time between checkpoints")
	flag.Float64Var(&s.Rate, "rate", 50_000, "events a second")
	flag.DurationVar(&s.Longest, "longest", time.Second, "that a child lives: lives are log-uniform from 1 ms")
	dir := flag.String("dir", "", "where state and output go; default: a new folder, which is removed when all is well")
	flag.Parse()
	if err := run(s, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
}

func run(s schedule, dir string) error {
	keep := dir != ""
	if !keep {
		var err error
		if dir, err = os.MkdirTemp("", "crash-*"); err != nil {
			return err
		}
	}
	res, err := s.run(dir)
	if line, e := json.Marshal(res); e == nil {
		fmt.Println(string(line))
	}
	if err == nil {
		err = res.check(s.Kills >= 100)
	}
	if err != nil {
		return fmt.Errorf("%w (state and output are in %s)", err, dir)
	}
	if keep {
		return nil
	}
	return os.RemoveAll(dir)
}
