package spawn

import "syscall"

// attributes lets the kernel kill a child when its parent dies, and keeps Ctrl-C, which a
// terminal sends to all in its group, for the parent to hand on.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
