package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// phase is where in its life a process was when it was killed.
type phase string

const (
	starting   phase = "starting"   // state is opened and read
	first      phase = "first"      // open, but no epoch has been cut
	running    phase = "running"    // between epochs
	preparing  phase = "preparing"  // sinks make their part of an epoch durable
	persisting phase = "persisting" // they have, and the epoch is not known to be durable
	showing    phase = "showing"    // it is, and sinks show what it brought
)

var phases = []phase{starting, first, running, preparing, persisting, showing}

// process is a child.
type process struct {
	cmd   *exec.Cmd
	began time.Time
	logs  logBuffer // what it says to people
	ended chan struct{}
	err   error // how it has ended

	mu           sync.Mutex // guards what follows
	said         map[string]int
	files        map[string]int64 // that are durable
	durable      uint64           // the newest epoch that is
	firstDurable uint64           // the first of this process
	lanes        int
	open, done   bool
	opened       time.Time
	recovered    time.Time // its first epoch was committed
	isOpen       chan struct{}
	committed    chan struct{} // cap 1: poked at each commit
}

// logBuffer is written by the child's output and read by the rig.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// awaitLog waits until the child has said text.
func (p *process) awaitLog(text string, most time.Duration) error {
	t := time.NewTicker(2 * time.Millisecond)
	defer t.Stop()
	for until := time.Now().Add(most); !strings.Contains(p.logs.String(), text); {
		select {
		case <-t.C:
		case <-p.ended:
			if !strings.Contains(p.logs.String(), text) {
				return fmt.Errorf("the job has ended without %q: %w\n%s", text, p.err, p.logs.String())
			}
			return nil
		}
		if time.Now().After(until) {
			return fmt.Errorf("the job has not said %q within %v:\n%s", text, most, p.logs.String())
		}
	}
	return nil
}

// awaitCommits waits until lanes have said n times that an epoch is shown.
func (p *process) awaitCommits(n int, most time.Duration) error {
	late := time.After(most)
	for p.commitsNow() < n {
		select {
		case <-p.committed:
		case <-p.ended:
			return fmt.Errorf("the job has ended: %w\n%s", p.err, p.logs.String())
		case <-late:
			return fmt.Errorf("nothing was committed within %v:\n%s", most, p.logs.String())
		}
	}
	return nil
}

// commitsNow is how many times lanes have said that an epoch is shown.
func (p *process) commitsNow() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said["shown"]
}

// start starts a child.
func start(t task) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	line, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(self), began: time.Now(), ended: make(chan struct{}), lanes: t.Lanes, said: map[string]int{}, files: map[string]int64{}, isOpen: make(chan struct{}), committed: make(chan struct{}, 1)}
	p.cmd.Env = append(os.Environ(), childVar+"="+string(line))
	p.cmd.Stderr = &p.logs
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s := bufio.NewScanner(out)
		for s.Scan() {
			p.note(s.Text())
		}
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// note takes in what the child says.
func (p *process) note(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said[line]++
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "durable":
		if n, err := strconv.ParseUint(rest, 10, 64); err == nil {
			p.durable = n
			if p.firstDurable == 0 {
				p.firstDurable = n
			}
		}
	case "file":
		name, size, _ := strings.Cut(rest, " ")
		if n, err := strconv.ParseInt(size, 10, 64); err == nil {
			p.files[name] = n
		}
	case "open":
		if !p.open {
			p.open, p.opened = true, time.Now()
			close(p.isOpen)
		}
	case "shown":
		if p.recovered.IsZero() {
			p.recovered = time.Now()
		}
		select {
		case p.committed <- struct{}{}:
		default:
		}
	case "done":
		p.done = true
	}
}

// kill ends the child at once, and says where it was.
func (p *process) kill() (phase, error) {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return "", err
	}
	<-p.ended
	if p.done {
		return "", errEnded
	}
	if s := p.cmd.ProcessState; s.Exited() {
		return "", fmt.Errorf("the job has failed: %w\n%s", p.err, p.logs.String())
	}
	return p.phase(), nil
}

var errEnded = errors.New("the job had ended")

func (p *process) phase() phase {
	switch n := p.said; {
	case !p.open:
		return starting
	case n["prepare"] == 0:
		return first
	case n["prepare"] > n["prepared"]:
		return preparing
	case n["commit"] > n["shown"]:
		return showing
	case n["prepared"] > n["commit"]:
		return persisting
	}
	return running
}

// epochs is how many were committed on all lanes.
func (p *process) epochs() int { return p.said["shown"] / p.lanes }

// wait waits for the end of a child that is left alone.
func (p *process) wait() error {
	<-p.ended
	if p.err != nil || !p.done {
		return fmt.Errorf("the job has failed: %w\n%s", p.err, strings.TrimSpace(p.logs.String()))
	}
	return nil
}
