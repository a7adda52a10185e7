package chaos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Job is a program that has submitted a job on the distributed runner, with workers of
// its own. Its methods may be called from many goroutines.
type Job struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when the program has ended

	mu      sync.Mutex  // guards what follows
	workers map[int]int // numbers and process IDs of workers that are at work
	says    []Line
	news    chan struct{} // closed, and replaced, when there is more of says
	err     error         // how the program has ended
}

// Line is what the program has said to people, and when.
type Line struct {
	At   time.Time
	Text string
}

// Start starts cmd, which is one with -runner=distributed, and takes its standard error.
// The caller has to Wait for it, or to Kill it.
func Start(cmd *exec.Cmd) (*Job, error) {
	out, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	j := &Job{cmd: cmd, ended: make(chan struct{}), workers: map[int]int{}, news: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go j.listen(out)
	return j, nil
}

// listen reads what the program says until it ends.
func (j *Job) listen(out io.Reader) {
	s := bufio.NewScanner(out)
	for s.Scan() {
		j.note(s.Text())
	}
	_, _ = io.Copy(io.Discard, out) // behind a line that is too long
	err := j.cmd.Wait()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.err = err
	close(j.ended)
}

// The sentences of the runner by which workers are known.
var (
	isHere = regexp.MustCompile(`^worker (\d+) \(.*, pid (\d+)\) is here$`)
	isGone = regexp.MustCompile(`^worker (\d+) is gone: |^worker (\d+) \(pid \d+\) ended after `)
)

func (j *Job) note(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if m := isHere.FindStringSubmatch(line); m != nil {
		n, _ := strconv.Atoi(m[1])
		j.workers[n], _ = strconv.Atoi(m[2])
	}
	if m := isGone.FindStringSubmatch(line); m != nil {
		n, _ := strconv.Atoi(m[1] + m[2])
		delete(j.workers, n)
	}
	j.says = append(j.says, Line{time.Now(), line})
	close(j.news)
	j.news = make(chan struct{})
}

// Says is all that the program has said so far.
func (j *Job) Says() []Line {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.says)
}

// Text is what the program has said, for people.
func (j *Job) Text() string {
	var b strings.Builder
	for _, l := range j.Says() {
		fmt.Fprintf(&b, "%s %s\n", l.At.Format("15:04:05.000"), l.Text)
	}
	return b.String()
}

// Await returns the first line from number from on that matches, and the number of the
// next one. It fails when the program has ended, or ctx.
func (j *Job) Await(ctx context.Context, from int, pattern *regexp.Regexp) (Line, int, error) {
	for {
		j.mu.Lock()
		says, news := j.says, j.news
		j.mu.Unlock()
		for ; from < len(says); from++ {
			if pattern.MatchString(says[from].Text) {
				return says[from], from + 1, nil
			}
		}
		select {
		case <-news:
		case <-j.ended:
			if len(j.Says()) == from {
				return Line{}, from, fmt.Errorf("the job has ended (%v), and never said %s", j.err, pattern)
			}
		case <-ctx.Done():
			return Line{}, from, fmt.Errorf("the job has not said %s: %w", pattern, context.Cause(ctx))
		}
	}
}

// Workers are the numbers of the workers that are at work, in order. One that is stopped
// is among them until the job has missed it.
func (j *Job) Workers() []int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Sorted(maps.Keys(j.workers))
}

// Pid is the process of a worker, 0 if it is not at work.
func (j *Job) Pid(worker int) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.workers[worker]
}

// Kill ends a worker at once (kill -9); done is false if it is not at work.
func (j *Job) Kill(worker int) (done bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	pid, ok := j.workers[worker]
	if !ok {
		return false, nil
	}
	delete(j.workers, worker)
	return signal(pid, syscall.SIGKILL)
}

// Stop lets a worker stand still until resume is called: its connections stay, and nothing
// moves. done is false if it is not at work.
func (j *Job) Stop(worker int) (resume func() error, done bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	pid, ok := j.workers[worker]
	if !ok {
		return nil, false, nil
	}
	done, err = signal(pid, syscall.SIGSTOP)
	return func() error { _, err := signal(pid, syscall.SIGCONT); return err }, done, err
}

func signal(pid int, s syscall.Signal) (done bool, err error) {
	err = syscall.Kill(pid, s)
	if errors.Is(err, syscall.ESRCH) { // it has died, and nobody has said so yet
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("signal %v to process %d: %w", s, pid, err)
	}
	return true, nil
}

// Ended is closed when the program has ended.
func (j *Job) Ended() <-chan struct{} { return j.ended }

// Wait returns how the program has ended: nil if well. When ctx ends before, the program is
// killed, and its workers with it.
func (j *Job) Wait(ctx context.Context) error {
	select {
	case <-j.ended:
		if j.err != nil {
			return fmt.Errorf("the job has failed: %w", j.err)
		}
		return nil
	case <-ctx.Done():
		j.End()
		return fmt.Errorf("the job does not end: %w", context.Cause(ctx))
	}
}

// End kills the program, and its workers with it, and returns when it is gone.
func (j *Job) End() {
	_ = j.cmd.Process.Kill() // it may have ended
	<-j.ended
}
