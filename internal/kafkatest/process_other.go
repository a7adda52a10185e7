//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package kafkatest

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
)

var errSystem = errors.New("not on " + runtime.GOOS)

func ownGroup(*exec.Cmd) {}

func freeze(*os.Process, bool) error { return errSystem }

// lockFile refuses, and so there are no real brokers.
func lockFile(*os.File) error { return errSystem }
