package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// schedule is a run with kills.
type schedule struct {
	Brokers    []string
	Kills      int
	Lanes      int
	Rescale    bool
	Seed       uint64
	Checkpoint time.Duration
	Rate       int
	Longest    time.Duration
}

// report is the line that is printed.
type report struct {
	Engine     string  `json:"engine"`
	Kills      int     `json:"kills"`
	Ran        int     `json:"killed_while_running"` // the others while they started
	Seed       uint64  `json:"seed"`
	Input      int     `json:"input"`
	Output     int     `json:"output"`
	Lost       int     `json:"lost"`
	Duplicated int     `json:"duplicated"`
	Unordered  int     `json:"unordered"` // totals that come before an earlier one of their user
	Seconds    float64 `json:"seconds"`
}

func (r *report) check() error {
	if r.Lost+r.Duplicated+r.Unordered > 0 {
		return fmt.Errorf("%d records are lost, %d are there again, %d are out of order", r.Lost, r.Duplicated, r.Unordered)
	}
	return nil
}

// run feeds a job and kills it again and again, and then compares what it has written
// with what follows from the input. dir is an empty folder.
func (s schedule) run(ctx context.Context, dir string) (*report, error) {
	begun := time.Now()
	r := rand.New(rand.NewPCG(s.Seed, 5))
	res := &report{Engine: "millrace", Seed: s.Seed}
	t := task{Brokers: s.Brokers, Name: fmt.Sprintf("kafkacrash-%d", begun.UnixNano()), StateDir: filepath.Join(dir, "state"), Lanes: s.Lanes, Checkpoint: s.Checkpoint}
	k, err := dial(t)
	if err != nil {
		return res, err
	}
	defer k.close()
	if err := k.createTopics(ctx); err != nil {
		return res, err
	}
	feeding, stop := context.WithCancel(ctx)
	defer stop()
	fed := make(chan error, 1)
	in := &input{sums: map[string]int64{}, counts: map[string]int64{}, totals: map[string]int64{}}
	go func() { fed <- k.feed(feeding, in, s.Rate) }()
	for res.Kills < s.Kills && ctx.Err() == nil {
		ran, err := s.killOne(t, r)
		if err != nil {
			return res, err
		}
		res.Kills++
		if ran {
			res.Ran++
		}
	}
	stop()
	if err := errors.Join(<-fed, ctx.Err()); err != nil {
		return res, err
	}
	res.Input = in.n
	if err := s.last(ctx, t, k, in); err != nil {
		return res, err
	}
	if err := k.compare(ctx, in, res); err != nil {
		return res, err
	}
	res.Seconds = time.Since(begun).Seconds()
	return res, nil
}

// killOne starts a process and kills it after a while; ran says that it had begun to
// work.
func (s schedule) killOne(t task, r *rand.Rand) (ran bool, err error) {
	if s.Rescale {
		t.Lanes = 1 + r.IntN(3)
	}
	life := delay(r, s.Longest)
	p, err := start(t)
	if err != nil {
		return false, err
	}
	if r.IntN(5) > 0 { // else aim at what goes on before it works
		select {
		case <-p.runs:
		case <-p.ended:
		case <-time.After(time.Minute):
		}
	}
	select {
	case <-time.After(life):
	case <-p.ended:
	}
	return p.kill()
}

// last lets a process run until all is written, and kills it as well: the job has no
// end.
func (s schedule) last(ctx context.Context, t task, k *kafkaClient, in *input) error {
	if err := k.bringTime(ctx, in); err != nil {
		return err
	}
	p, err := start(t)
	if err != nil {
		return err
	}
	err = k.awaitOutput(ctx, in.outputs(), p.ended)
	if err == nil {
		select { // what is there too often may be still to come
		case <-time.After(500 * time.Millisecond):
		case <-p.ended:
		}
	}
	_, killed := p.kill()
	return errors.Join(err, killed)
}

// delay is log-uniform between 1 ms and longest, so that short lives are as frequent as
// long ones.
func delay(r *rand.Rand, longest time.Duration) time.Duration {
	lo, hi := math.Log(1e-3), math.Log(longest.Seconds())
	return time.Duration(math.Exp(lo+r.Float64()*(hi-lo)) * float64(time.Second))
}

// process is a child.
type process struct {
	cmd   *exec.Cmd
	log   bytes.Buffer // what it says to people; read it behind ended
	runs  chan struct{}
	ended chan struct{}
}

func start(t task) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	line, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(self), runs: make(chan struct{}), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), childVar+"="+string(line))
	p.cmd.Stderr = &p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		works := sync.OnceFunc(func() { close(p.runs) })
		for s := bufio.NewScanner(out); s.Scan(); {
			works()
		}
		_ = p.cmd.Wait() // it is killed; what else there is to say is in the log
		close(p.ended)
	}()
	return p, nil
}

// kill ends the child at once; ran says that it had begun to work. That it had ended by
// itself is an error.
func (p *process) kill() (ran bool, err error) {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return false, err
	}
	<-p.ended
	if p.cmd.ProcessState.Exited() {
		return false, fmt.Errorf("the job has failed:\n%s", p.log.String())
	}
	select {
	case <-p.runs:
		return true, nil
	default:
		return false, nil
	}
}
