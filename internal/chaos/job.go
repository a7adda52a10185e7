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
	ended chan struct{} // closed when the program has ended, and is not started again
	over  chan struct{} // closed when it is not to be started again

	mu      sync.Mutex // guards what follows
	cmd     *exec.Cmd  // the program as it was started last
	away    *absence   // nil: it runs, or has ended
	began   time.Time  // that start
	belongs bool       // to its job, since then

	// excuse reports that the program could not begin that was started then, as NATS was
	// not there; nil: there is no excuse.
	excuse func(began time.Time) bool

	workers map[int]int // numbers and process IDs of workers that are at work
	says    []Line
	news    chan struct{} // closed, and replaced, when there is more of says
	err     error         // how the program has ended
}

// absence is from when a program that was killed has ended, by which begun is closed, until
// it may start again, by which over is.
type absence struct{ begun, over chan struct{} }

// Line is what was said to people, and when.
type Line struct {
	At   time.Time
	Text string
	Host int // of the worker that has said it; 0: the program, or a worker that it has started
}

// Start starts cmd, which is one with -runner=distributed, and takes its standard error.
// The caller has to Wait for it, or to Kill it.
func Start(cmd *exec.Cmd) (*Job, error) {
	j := &Job{ended: make(chan struct{}), over: make(chan struct{}), workers: map[int]int{}, news: make(chan struct{})}
	out, err := j.start(cmd)
	if err != nil {
		return nil, err
	}
	go j.run(cmd, out)
	return j, nil
}

func (j *Job) start(cmd *exec.Cmd) (out io.Reader, err error) {
	if out, err = cmd.StderrPipe(); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if isClosed(j.over) {
		return nil, errors.New("it is not to be started again")
	}
	j.cmd, j.began, j.belongs = cmd, time.Now(), false
	if err = cmd.Start(); err == nil && j.away != nil { // it was killed before it was there
		err = cmd.Process.Kill()
	}
	return out, err
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// run reads what the program says until it ends, and then each time that it is submitted
// again.
func (j *Job) run(cmd *exec.Cmd, out io.Reader) {
	defer close(j.ended)
	for {
		s := bufio.NewScanner(out)
		for s.Scan() {
			j.note(0, s.Text())
		}
		_, _ = io.Copy(io.Discard, out) // behind a line that is too long
		err := cmd.Wait()
		if !j.awaitAgain(err, cmd.ProcessState.Exited()) {
			return
		}
		cmd = again(cmd)
		if out, err = j.start(cmd); err != nil {
			j.mu.Lock()
			defer j.mu.Unlock()
			j.err = err
			return
		}
	}
}

// awaitAgain waits until the program is to be started again, which has ended, by itself or
// not; false if it is not to be.
func (j *Job) awaitAgain(err error, byItself bool) bool {
	j.mu.Lock()
	away := j.away
	j.err = err
	excused := away == nil && err != nil && !j.belongs && j.excuse != nil && j.excuse(j.began)
	j.mu.Unlock()
	later := make(chan struct{})
	switch {
	case excused:
		defer time.AfterFunc(200*time.Millisecond, func() { close(later) }).Stop()
	case away == nil || byItself:
		return false
	default:
		close(away.begun)
		later = away.over
	}
	select {
	case <-later:
		return true
	case <-j.over:
		return false
	}
}

// again is the same command.
func again(cmd *exec.Cmd) *exec.Cmd {
	return &exec.Cmd{Path: cmd.Path, Args: cmd.Args, Env: cmd.Env, Dir: cmd.Dir}
}

// The sentences of the runner by which workers are known.
var (
	isHere = regexp.MustCompile(`^worker (\d+) \(.*, pid (\d+)\) is here$`)
	isGone = regexp.MustCompile(`^worker (\d+) is gone: |^worker (\d+) \(pid \d+\) ended after `)
)

// note takes a sentence; who leads the job, if it is not the program, is a worker of some
// host.
func (j *Job) note(host int, line string) {
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
	j.belongs = j.belongs || host == 0 && belongs.MatchString(line)
	j.says = append(j.says, Line{time.Now(), line, host})
	close(j.news)
	j.news = make(chan struct{})
}

// Says is all that the program has said so far, and workers that have joined.
func (j *Job) Says() []Line {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.says)
}

// Text is what the program has said, for people.
func (j *Job) Text() string {
	var b strings.Builder
	for _, l := range j.Says() {
		if l.Host > 0 {
			continue
		}
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

// excuses lets a program begin again that could not, as excuse reports.
func (j *Job) excuses(excuse func(began time.Time) bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.excuse = excuse
}

// belongs says that the program has a job, or works for one.
var belongs = regexp.MustCompile(`^the job .* runs already: this process works for it$|^the job goes on with what it has kept$|^all are here: `)

// KillSubmitter ends the program at once (kill -9), and with it the workers that it has
// started. The job has not ended until the program has ended by itself, after Resubmit. done
// is false if it has, or is not there.
func (j *Job) KillSubmitter() (done bool) {
	j.mu.Lock()
	if j.away != nil {
		j.mu.Unlock()
		return false
	}
	away := &absence{make(chan struct{}), make(chan struct{})}
	j.away = away
	_ = j.cmd.Process.Kill() // it may have ended
	j.mu.Unlock()
	select {
	case <-away.begun:
		return true
	case <-j.ended:
		return false
	}
}

// Resubmit starts the program again by the same command, after KillSubmitter, and returns
// when it belongs to its job, or has ended.
func (j *Job) Resubmit(ctx context.Context) {
	from := len(j.Says())
	j.mu.Lock()
	close(j.away.over)
	j.away = nil
	j.mu.Unlock()
	_, _, _ = j.Await(ctx, from, belongs) // Wait says how it has ended
}

// conclude ends the job well that is over, while the program is not there.
func (j *Job) conclude() {
	j.mu.Lock()
	j.err = nil
	if !isClosed(j.over) {
		close(j.over)
	}
	j.mu.Unlock()
	<-j.ended
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
	j.mu.Lock()
	if !isClosed(j.over) {
		close(j.over)
	}
	_ = j.cmd.Process.Kill() // it may have ended
	j.mu.Unlock()
	<-j.ended
}
