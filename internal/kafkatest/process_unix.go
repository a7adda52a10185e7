//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package kafkatest

import (
	"os"
	"os/exec"
	"syscall"
)

// ownGroup keeps signals of the terminal from cmd.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// freeze stops a process where it is, or lets it go on.
func freeze(p *os.Process, on bool) error {
	if on {
		return p.Signal(syscall.SIGSTOP)
	}
	return p.Signal(syscall.SIGCONT)
}

// lockFile waits until f is this opening's.
func lockFile(f *os.File) error {
	for {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != syscall.EINTR {
			return err
		}
	}
}
