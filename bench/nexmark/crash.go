package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/millrace/millrace/runners/local"
)

// crashAt is the variable that tells a process to kill itself with -9 when that
// many hundredths of the events were read, and a checkpoint was taken.
const crashAt = "NEXMARK_CRASH_AT"

// crashOnce runs this program again with a state folder, has it killed in the
// middle, and runs it once more to its end. The second run's line is the result.
func crashOnce(args []string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	for _, at := range []string{"50", ""} {
		c := exec.Command(program, args...)
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		c.Env = append(os.Environ(), crashAt+"="+at)
		err := c.Run()
		var exit *exec.ExitError
		switch {
		case at != "" && errors.As(err, &exit) && exit.ExitCode() == -1: // by a signal
		case at != "" && err == nil:
			return errors.New("the run ended before it could be killed: give it more events or a shorter checkpoint interval")
		case err != nil:
			return err
		}
	}
	return nil
}

// killer kills this process when its time has come.
func killer(ctx context.Context, o *local.Observer, hundredths int64) {
	t := time.NewTicker(time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		if at := o.Progress(); o.Checkpoint().Epoch > 0 && at.Total > 0 && at.Read*100 >= at.Total*hundredths {
			p, err := os.FindProcess(os.Getpid())
			if err == nil {
				err = p.Kill()
			}
			fmt.Fprintln(os.Stderr, "nexmark: can't kill this process:", err)
			return
		}
	}
}
