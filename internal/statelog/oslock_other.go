//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package statelog

import (
	"errors"
	"os"
	"runtime"
)

// lockFile refuses: without a lock that ends with its process two jobs could write
// to one folder.
func lockFile(*os.File) (bool, error) {
	return false, errors.New("files can't be locked on " + runtime.GOOS)
}
