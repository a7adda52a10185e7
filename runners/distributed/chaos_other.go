//go:build !unix

package distributed

import "os"

const canPause = false

var stopSignal, continueSignal os.Signal
