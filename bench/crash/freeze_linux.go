package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// freeze stops a child, so that it asks for nothing more to be written. What it has
// asked for the kernel still does: it returns when no thread waits in it.
func (p *process) freeze() error {
	pid := p.cmd.Process.Pid
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); time.Sleep(time.Millisecond) {
		stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil {
			return err
		}
		rest := true
		for _, name := range stats {
			b, err := os.ReadFile(name)
			if err != nil {
				continue // the thread has ended
			}
			state := b[bytes.LastIndexByte(b, ')')+1:]
			rest = rest && len(state) > 1 && state[1] == 'T'
		}
		if rest && len(stats) > 0 {
			return nil
		}
	}
	return fmt.Errorf("process %d does not stop", pid)
}
