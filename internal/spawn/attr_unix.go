//go:build unix && !linux

package spawn

import "syscall"

// attributes keeps Ctrl-C, which a terminal sends to all in its group, for the parent to
// hand on.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
