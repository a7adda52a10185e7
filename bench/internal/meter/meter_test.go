package meter

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMeter(t *testing.T) {
	began := CPU()
	for x := 1.0; CPU() == began; x *= 1.1 { // it counts up while there is work
	}
	if runtime.GOOS == "linux" {
		before := PeakRSS()
		b := make([]byte, 64<<20)
		for i := 0; i < len(b); i += 1 << 10 {
			b[i] = 1
		}
		require.GreaterOrEqual(t, PeakRSS(), max(before, 60))
		runtime.KeepAlive(b)
	}
}
