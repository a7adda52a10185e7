package distributed

import (
	"math"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/engine"
)

// Goal: a worker collects less often within its share of the memory, unless the user has
// said how often.
func TestCollectLess(t *testing.T) {
	limit, percent := debug.SetMemoryLimit(-1), debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetMemoryLimit(limit); debug.SetGCPercent(percent) })
	debug.SetMemoryLimit(math.MaxInt64)
	collectLess(func(string) string { return "as the user wants" }, 2)
	require.Equal(t, int64(math.MaxInt64), debug.SetMemoryLimit(-1))
	require.Equal(t, 100, debug.SetGCPercent(100))

	all := engine.Memory()
	collectLess(func(string) string { return "" }, 2)
	require.Equal(t, 400, debug.SetGCPercent(100))
	require.InDelta(t, all*3/8, debug.SetMemoryLimit(-1), 8)
}
