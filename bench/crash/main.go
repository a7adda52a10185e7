// Command crash kills a job again and again and looks whether anybody can tell: a
// streaming pipeline, with shuffles, windows, timers and files that appear at
// checkpoints, runs in a process of its own, with its state in a folder; it is ended
// by kill -9 at random moments and started again. What it has written in the end has
// to be, byte for byte, what an undisturbed run writes.
//
//	go run ./bench/crash -kills 200 -state memory -rescale
//	go run ./bench/crash -kills 200 -state pebble
//
// With -power it is the disk under the job that fails: state and output are on a file
// system of their own, whose medium is copied at a random moment, as it is, and goes
// on being used in the copy.
//
//	go run ./bench/crash -power 30 -state pebble
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
	flag.IntVar(&s.Power, "power", 0, "instead of killing the job, how often the disk under it loses power (as root, on Linux)")
	flag.IntVar(&s.Full, "full", 0, "instead of killing the job, how often the disk with its state is full for a while (as root, on Linux); every other time it is killed as well")
	flag.IntVar(&s.OutFull, "outfull", 0, "the same for the disk with its output, which ends the job with an error")
	flag.StringVar(&s.State, "state", "memory", "what keeps the state: memory or pebble")
	flag.IntVar(&s.Lanes, "parallelism", 2, "lanes")
	flag.Uint64Var(&s.Users, "users", 50, "keys: state grows with them")
	flag.Int64Var(&s.Memory, "state-memory", 0, "bytes that state may take which is on disk, too; default that of the runner")
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
	var res any
	var err error
	switch {
	case s.Power > 0:
		s.Kills = s.Power
		var r *powerReport
		if r, err = s.losePower(dir); err == nil {
			err = r.check(false)
		}
		res = r
	case s.Full > 0:
		s.Kills = s.Full
		var r *report
		if r, err = s.fillDisk(dir); err == nil {
			err = r.check(false)
		}
		res = r
	case s.OutFull > 0:
		s.Kills = s.OutFull
		var r *report
		if r, err = s.fillOutput(dir); err == nil {
			err = r.check(false)
		}
		res = r
	default:
		var r *report
		if r, err = s.run(dir); err == nil {
			err = r.check(s.Kills >= 100)
		}
		res = r
	}
	if line, e := json.Marshal(res); e == nil {
		fmt.Println(string(line))
	}
	if err != nil {
		return fmt.Errorf("%w (state and output are in %s)", err, dir)
	}
	if keep {
		return nil
	}
	return os.RemoveAll(dir)
}
