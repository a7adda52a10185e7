package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"

	"github.com/millrace/millrace/runners/local"
)

// crashVar is the variable that tells a process to kill itself with -9 when it has
// read half of the events, and a checkpoint was taken.
const crashVar = "NEXMARK_CRASH"

// crashOnce runs a program with a state folder, has it kill itself in the middle, and
// runs it once more to its end. What the second run prints goes to out.
func crashOnce(program string, args []string, out io.Writer) error {
	for _, crash := range []bool{true, false} {
		c := exec.Command(program, args...)
		c.Stdout, c.Stderr = out, os.Stderr
		c.Env = append(os.Environ(), crashVar+"="+strconv.FormatBool(crash))
		err := c.Run()
		var exit *exec.ExitError
		switch {
		case crash && errors.As(err, &exit) && exit.ExitCode() == -1: // by a signal
		case crash && err == nil:
			return errors.New("the run ended before it was killed: is there a source of its own, that knows no crash?")
		case err != nil:
			return err
		}
	}
	return nil
}

// killer kills the process in the middle of a run.
type killer struct {
	seen atomic.Pointer[local.Observer]
}

// holds reports that a source at event i of n must not go on for now: half has been
// read, and there is no checkpoint yet. When there is one, it does not return.
func (k *killer) holds(i, n uint64) bool {
	if k == nil || i < n/2 {
		return false
	}
	o := k.seen.Load()
	if o == nil || o.Checkpoint().Epoch == 0 {
		return true
	}
	p, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "nexmark: can't kill this process:", err)
	}
	return true
}
