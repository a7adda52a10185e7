// Package spawn keeps processes of this program running as children: they are told what
// they are for by their environment, what they say is shown, one that dies is started
// again, and none outlives its parent.
package spawn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Config configures a [Group]. Zero fields mean the default.
type Config struct {
	N    int      // children to begin with, numbered from 1
	Path string   // of the program; default this one
	Args []string // of its command line, for all to see

	// Ticket is what child n is told, as JSON that only it can read; see [Inherited].
	Ticket func(n int) (any, error)

	// Stdout gets what children write to standard output, whole lines as they are: that is
	// the pipeline's. Stderr gets what they say to people, each line behind "worker 2 | ".
	// Nil: it is dropped.
	Stdout, Stderr io.Writer
	Logs           string                   // a folder for what each of them says, in files worker-2.log; "": none
	Heard          func(n int, line string) // is told of what child n says; may be nil

	// Ended is told of each child that has ended before its time, and says what to do; default
	// [Policy.Next] of a Policy for each.
	Ended func(e Exit) Decision

	Grace time.Duration // most between SIGTERM and SIGKILL; default 10s
}

// Exit is how a child has ended that should not have.
type Exit struct {
	Number, Pid int
	Status      string        // "exit status 1", "signal: killed"
	Code        int           // -1 if a signal ended it
	Ran         time.Duration // for how long
}

func (e *Exit) String() string {
	return fmt.Sprintf("worker %d (pid %d) ended after %v: %s", e.Number, e.Pid, e.Ran.Round(time.Millisecond), e.Status)
}

// Decision is what to do about an [Exit].
type Decision struct {
	Again bool
	After time.Duration // how long to wait before that
	Err   error         // if not nil, all children are ended, and Run fails with it
}

// Policy starts a child again, after a time that doubles with each failure in a row, and
// gives up when they are too many. The zero value means the defaults.
type Policy struct {
	Least, Most time.Duration // to wait; default 100ms and 10s
	Calm        time.Duration // who ran for so long has not failed in a row; default 1m
	Tries       int           // failures in a row that are too many; default 10

	failed int
}

// Next decides about an exit.
func (p *Policy) Next(e Exit) Decision {
	least, most, calm, tries := p.Least, p.Most, p.Calm, p.Tries
	if least == 0 {
		least = 100 * time.Millisecond
	}
	if most == 0 {
		most = 10 * time.Second
	}
	if calm == 0 {
		calm = time.Minute
	}
	if tries == 0 {
		tries = 10
	}
	if e.Ran >= calm {
		p.failed = 0
	}
	if p.failed++; p.failed >= tries {
		return Decision{Err: fmt.Errorf("%s; that is %d times in a row", e.String(), p.failed)}
	}
	return Decision{Again: true, After: min(least<<min(p.failed-1, 30), most)}
}

// Group is the children of one run.
type Group struct {
	cfg Config

	mu       sync.Mutex // guards what follows
	children map[int]*os.Process
	kept     map[int]bool // children that are kept running, also while one is to be started again
	more     func(n int)  // keeps another one; nil while none is kept
}

// New returns a group; it starts nothing.
func New(cfg Config) *Group {
	if cfg.Grace == 0 {
		cfg.Grace = 10 * time.Second
	}
	return &Group{cfg: cfg, children: map[int]*os.Process{}, kept: map[int]bool{}}
}

// Run starts the children and returns when all have ended well, also those that were started
// meanwhile. When ctx ends, or a child
// can't be had, it tells all to end (SIGTERM), kills those that do not, and returns why.
// No child is left when it returns.
func (g *Group) Run(ctx context.Context) error {
	path := g.cfg.Path
	if path == "" {
		var err error
		if path, err = os.Executable(); err != nil {
			return fmt.Errorf("start workers: %w", err)
		}
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	shared := &outputs{}
	more := func(n int) {
		g.kept[n] = true
		wg.Go(func() {
			defer g.release(n)
			if err := g.keep(ctx, n, path, shared); err != nil {
				stop(err)
			}
		})
	}
	g.mu.Lock()
	if g.cfg.N > 0 {
		g.more = more
	}
	for n := 1; n <= g.cfg.N; n++ {
		more(n)
	}
	g.mu.Unlock()
	wg.Wait()
	return context.Cause(ctx)
}

// Kept are the numbers of the children that are kept running, in order.
func (g *Group) Kept() []int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Sorted(maps.Keys(g.kept))
}

// Start lets one child more run, of the lowest number that is free, beside those that Run
// keeps running. It does nothing when Run keeps none.
func (g *Group) Start() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.more == nil {
		return
	}
	n := 1
	for g.kept[n] {
		n++
	}
	g.more(n)
}

// release notes that child n is not kept any more. Behind the last one there is no other.
func (g *Group) release(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if delete(g.kept, n); len(g.kept) == 0 {
		g.more = nil
	}
}

// keep keeps child n running until it ends well.
func (g *Group) keep(ctx context.Context, n int, path string, shared *outputs) error {
	// The kernel kills a child when the thread ends that has started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var file io.Writer
	if g.cfg.Logs != "" {
		if err := os.MkdirAll(g.cfg.Logs, 0o755); err != nil {
			return fmt.Errorf("make the folder of logs: %w", err)
		}
		f, err := os.OpenFile(filepath.Join(g.cfg.Logs, fmt.Sprintf("worker-%d.log", n)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return fmt.Errorf("the log of worker %d: %w", n, err)
		}
		defer f.Close()
		file = f
	}
	ended := g.cfg.Ended
	if ended == nil {
		ended = new(Policy).Next
	}
	for {
		begun := time.Now()
		cmd, err := g.start(ctx, n, path, shared, file)
		if err != nil {
			return fmt.Errorf("start worker %d: %w", n, err)
		}
		err = cmd.wait()
		g.note(n, nil)
		if ctx.Err() != nil || err == nil {
			return nil
		}
		e := Exit{Number: n, Pid: cmd.Process.Pid, Status: err.Error(), Code: cmd.ProcessState.ExitCode(), Ran: time.Since(begun)}
		d := ended(e)
		if d.Err != nil || !d.Again {
			return d.Err
		}
		select {
		case <-time.After(d.After):
		case <-ctx.Done():
			return nil
		}
	}
}

// child is a process with what is held for it.
type child struct {
	*exec.Cmd
	stdin io.Closer // it ends with this process
	lines []*lines
}

func (g *Group) start(ctx context.Context, n int, path string, shared *outputs, file io.Writer) (*child, error) {
	var ticket any
	if g.cfg.Ticket != nil {
		var err error
		if ticket, err = g.cfg.Ticket(n); err != nil {
			return nil, err
		}
	}
	env, err := variableFor(n, ticket)
	if err != nil {
		return nil, err
	}
	c := &child{Cmd: exec.CommandContext(ctx, path, g.cfg.Args...)}
	stdin, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	c.stdin = stdin
	c.Env = append(os.Environ(), env)
	c.SysProcAttr = attributes()
	c.WaitDelay = g.cfg.Grace
	c.Cancel = func() error {
		if err := c.Process.Signal(syscall.SIGTERM); err != nil {
			return c.stdin.Close() // where there are no signals, this is one
		}
		return nil
	}
	out := &lines{shared: shared, to: g.cfg.Stdout}
	says := &lines{shared: shared, prefix: fmt.Sprintf("worker %d | ", n), to: g.cfg.Stderr, plain: file}
	if g.cfg.Heard != nil {
		says.heard = func(line string) { g.cfg.Heard(n, line) }
	}
	c.Stdout, c.Stderr, c.lines = out, says, []*lines{out, says}
	if err := c.Start(); err != nil {
		return nil, err
	}
	g.note(n, c.Process)
	return c, nil
}

// wait returns how the child has ended, when all that it said is shown.
func (c *child) wait() error {
	err := c.Wait()
	for _, l := range c.lines {
		l.flush()
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		return nil // it has ended well, and left its output to a process of its own
	}
	return err
}

func (g *Group) note(n int, p *os.Process) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p == nil {
		delete(g.children, n)
		return
	}
	g.children[n] = p
}

// Signal sends a signal to child n; it fails if that does not run.
func (g *Group) Signal(n int, s os.Signal) error {
	g.mu.Lock()
	p := g.children[n]
	g.mu.Unlock()
	if p == nil {
		return fmt.Errorf("worker %d: %w", n, os.ErrProcessDone)
	}
	return p.Signal(s)
}

// variable is what a child is told by: the environment is for its user alone, a command
// line for all of the machine.
const variable = "MILLRACE_WORKER"

// inherited is what is in the variable.
type inherited struct {
	Number int             `json:"number"`
	Ticket json.RawMessage `json:"ticket"`
}

func variableFor(n int, ticket any) (string, error) {
	b, err := json.Marshal(ticket)
	if err == nil {
		b, err = json.Marshal(inherited{n, b})
	}
	return variable + "=" + string(b), err
}

// Inherited reads into ticket what this process was told by its parent, and returns its
// number: 0 if it is nobody's child. It takes that out of the environment, so that it is
// told once, and no process that this one starts knows it.
func Inherited(ticket any) (number int, err error) {
	text, ok := os.LookupEnv(variable)
	if !ok {
		return 0, nil
	}
	if err := os.Unsetenv(variable); err != nil {
		return 0, err
	}
	var in inherited
	if err = json.Unmarshal([]byte(text), &in); err == nil {
		err = json.Unmarshal(in.Ticket, ticket)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", variable, err)
	}
	return in.Number, nil
}

// EndWithParent ends this process, a child, when its parent has gone: its standard input
// ends then. On Linux the kernel does so without being asked.
func EndWithParent() {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(statusOrphaned)
	}()
}

// statusOrphaned is the status of a process whose parent has gone.
const statusOrphaned = 4
