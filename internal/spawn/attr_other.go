//go:build !unix

package spawn

import "syscall"

func attributes() *syscall.SysProcAttr { return nil }
