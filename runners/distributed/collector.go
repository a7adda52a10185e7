package distributed

import (
	"math"
	"runtime/debug"

	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/internal/hugepages"
)

// growLarge has the heap of this process, one of so many workers on the machine, grow into huge
// pages as long as it has less than half of its share of the memory: a state that is taken over
// is there sooner then.
func growLarge(workers int) { hugepages.Reserve(engine.Memory() / int64(max(workers, 1)) / 2) }

// collectLess makes Go's garbage collector run less often in this process, one of so many
// workers on the machine: what moves frames makes much garbage and keeps little. The
// memory limit brings it back where much is kept. GOGC and GOMEMLIMIT, where set, stand.
func collectLess(env func(string) string, workers int) {
	if env("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if env("GOMEMLIMIT") == "" && debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(engine.Memory() / int64(max(workers, 1)) / 4 * 3)
	}
}
