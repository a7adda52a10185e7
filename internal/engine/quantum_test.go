package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// How many elements a reader is asked for, poll after poll, where each element
// takes so long.
func TestNextQuantum(t *testing.T) {
	for name, tc := range map[string]struct {
		start int
		each  time.Duration
		want  []int
	}{
		"quick ones":                {1024, time.Microsecond, []int{1024, 1024}},
		"slow ones":                 {1024, time.Millisecond, []int{10, 10}},
		"very slow ones":            {1024, time.Hour, []int{1, 1}},
		"quick again":               {1, time.Microsecond, []int{2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1024}},
		"in between, no to and fro": {64, 100 * time.Microsecond, []int{64, 64}},
	} {
		n := tc.start
		for _, want := range tc.want {
			n = nextQuantum(n, 1024, time.Duration(n)*tc.each)
			assert.Equal(t, want, n, name)
		}
	}
}
