package main

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// schedule is a run with kills.
type schedule struct {
	Kills      int
	Power      int // so many power losses instead
	Full       int // or the disk with the state is full so many times
	OutFull    int // or that with the output
	State      string
	Lanes      int
	Rescale    bool // another number of lanes at each start
	Seed       uint64
	Users      uint64
	Memory     int64 // bytes that state may take which is on disk; 0: the default
	Checkpoint time.Duration
	Rate       float64       // events a second while there are kills
	Longest    time.Duration // that a child lives
}

// report is the line that is printed.
type report struct {
	Engine     string        `json:"engine"`
	Mode       string        `json:"mode"`
	State      string        `json:"state"`
	Users      uint64        `json:"users"`
	Seed       uint64        `json:"seed"`
	Kills      int           `json:"kills"`
	Restarts   int           `json:"restarts"`
	Epochs     int           `json:"epochs"` // committed
	Events     uint64        `json:"events"`
	Lines      int           `json:"lines"` // of output
	Files      int           `json:"files"`
	Lost       int           `json:"lost"`
	Duplicated int           `json:"duplicated"`
	Equal      bool          `json:"equal"`
	Phases     map[phase]int `json:"killed_while"`
	Recovery50 float64       `json:"recovery_ms_p50"` // from a start to the first committed epoch
	Recovery99 float64       `json:"recovery_ms_p99"`
	Open50     float64       `json:"open_ms_p50"` // from a start to state being read
	Open99     float64       `json:"open_ms_p99"`
	Seconds    float64       `json:"seconds"`

	recovery, opening []float64
}

// delay is log-uniform between 1 ms and longest, so that short lives are as frequent as
// long ones.
func delay(r *rand.Rand, longest time.Duration) time.Duration {
	lo, hi := math.Log(1e-3), math.Log(longest.Seconds())
	return time.Duration(math.Exp(lo+r.Float64()*(hi-lo)) * float64(time.Second))
}

// task is that of the job with state and output in these folders.
func (s schedule) task(state, out string) task {
	return task{StateDir: state, Out: out, State: s.State, Lanes: s.Lanes, Users: s.Users, Memory: s.Memory, Checkpoint: s.Checkpoint, Rate: s.Rate}
}

// run kills a job again and again, lets it end, and compares what it has written with
// what one has written that nobody disturbed. dir is an empty folder.
func (s schedule) run(dir string) (*report, error) {
	begun := time.Now()
	r := rand.New(rand.NewPCG(s.Seed, 5))
	res := &report{Engine: "millrace", Mode: "kill", State: s.State, Users: s.Users, Seed: s.Seed, Phases: map[phase]int{}}
	t := s.task(filepath.Join(dir, "state"), filepath.Join(dir, "out"))
	var shown map[string]int64
	for res.Kills < s.Kills {
		if s.Rescale {
			t.Lanes = 1 + r.IntN(4)
		}
		life := delay(r, s.Longest)
		fromStart := r.IntN(5) == 0 // aim at what goes on before it is open
		t.Limit += uint64(life.Seconds()*s.Rate) + splits
		p, err := start(t)
		if err != nil {
			return res, err
		}
		if !fromStart {
			select {
			case <-p.isOpen:
			case <-p.ended:
			}
		}
		select {
		case <-time.After(life):
		case <-p.ended:
		}
		at, err := p.kill()
		if err != nil {
			return res, fmt.Errorf("start %d: %w", res.Kills, err)
		}
		res.Kills++
		res.Phases[at]++
		res.add(p)
		now, err := shownFiles(t.Out)
		if err == nil {
			err = stillThere(shown, now)
		}
		if err != nil {
			return res, fmt.Errorf("behind kill %d: %w", res.Kills, err)
		}
		shown = now
	}
	if s.Rescale {
		t.Lanes = 1 + r.IntN(4)
	}
	t.Ends, t.Rate = true, 0
	p, err := start(t)
	if err != nil {
		return res, err
	}
	if err := p.wait(); err != nil {
		return res, err
	}
	res.add(p)
	res.Restarts = res.Kills
	res.Events = t.Limit
	if err := res.compare(dir, t, shown); err != nil {
		return res, err
	}
	res.Seconds = time.Since(begun).Seconds()
	return res, nil
}

// add takes in what is known of a child that has ended.
func (r *report) add(p *process) {
	r.Epochs += p.epochs()
	if !p.recovered.IsZero() {
		r.recovery = append(r.recovery, p.recovered.Sub(p.began).Seconds()*1e3)
	}
	if p.open {
		r.opening = append(r.opening, p.opened.Sub(p.began).Seconds()*1e3)
	}
	r.Recovery50, r.Recovery99 = quantile(r.recovery, 0.5), quantile(r.recovery, 0.99)
	r.Open50, r.Open99 = quantile(r.opening, 0.5), quantile(r.opening, 0.99)
}

// compare runs the same job undisturbed, and compares. shown is what was there already
// before the end; dir is for the other run.
func (r *report) compare(dir string, t task, shown map[string]int64) error {
	ref := t
	ref.StateDir, ref.Out = "", filepath.Join(dir, "undisturbed")
	if err := os.RemoveAll(ref.Out); err != nil {
		return err
	}
	p, err := start(ref)
	if err != nil {
		return err
	}
	if err := p.wait(); err != nil {
		return fmt.Errorf("undisturbed: %w", err)
	}
	now, err := shownFiles(t.Out)
	if err != nil {
		return err
	}
	if err := stillThere(shown, now); err != nil {
		return err
	}
	got, err := readOutput(t.Out)
	if err != nil {
		return err
	}
	want, err := readOutput(ref.Out)
	if err != nil {
		return err
	}
	r.Files, r.Lines = len(now), len(want.users)
	r.Lost, r.Duplicated = got.difference(want)
	r.Equal = got.equal(want)
	if n, err := unfinishedIn(t.Out); err != nil || n > 0 {
		return errors.Join(err, fmt.Errorf("%d unfinished files are left", n))
	}
	return nil
}

// check says what is not as it should be.
func (r *report) check(all bool) error {
	switch {
	case r.Lost > 0 || r.Duplicated > 0 || !r.Equal:
		return fmt.Errorf("the output is not that of an undisturbed run: %d lines lost, %d too many (seed %d)", r.Lost, r.Duplicated, r.Seed)
	case r.Epochs == 0 || r.Lines == 0:
		return errors.New("nothing was tested: no epoch was committed, or nothing written")
	}
	if !all {
		return nil
	}
	for _, p := range phases {
		if r.Phases[p] == 0 {
			return fmt.Errorf("no kill fell while %s: more kills are needed", p)
		}
	}
	return nil
}

func quantile(of []float64, q float64) float64 {
	if len(of) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(of))
	return math.Round(s[min(int(q*float64(len(s))), len(s)-1)]*10) / 10
}
