// Package meter is what benchmarks measure of their own process.
package meter

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// CPU is the processor time that the process has used so far, start-up included.
func CPU() time.Duration {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// PeakRSS is the peak of the process's resident memory in MiB; -1 where the system does
// not say.
func PeakRSS() int {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return -1
	}
	for l := range strings.Lines(string(b)) {
		if strings.HasPrefix(l, "VmHWM:") {
			if kb, err := strconv.Atoi(strings.Fields(l)[1]); err == nil {
				return kb / 1024
			}
		}
	}
	return -1
}
