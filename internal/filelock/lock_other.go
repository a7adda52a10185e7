//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package filelock

import (
	"errors"
	"os"
	"runtime"
)

// Lock refuses: without a lock that ends with its process two processes could write
// to one folder.
func Lock(*os.File) (bool, error) {
	return false, errors.New("files can't be locked on " + runtime.GOOS)
}
