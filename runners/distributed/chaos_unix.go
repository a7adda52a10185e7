//go:build unix

package distributed

import (
	"os"
	"syscall"
)

const canPause = true

var stopSignal, continueSignal os.Signal = syscall.SIGSTOP, syscall.SIGCONT
