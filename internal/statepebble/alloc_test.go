//go:build !race

package statepebble

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Under the race detector pools forget at random what they were given.
func TestGetDoesNotAllocate(t *testing.T) {
	s := openMem(t)
	commitRows(t, s, "a 1 0 k")
	key, absent, buf := []byte("k"), []byte("l"), make([]byte, 0, 64)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		_, ok, err := s.Get("a", 1, key, buf)
		if !ok || err != nil {
			t.Fail()
		}
		if _, ok, _ = s.Get("a", 1, absent, buf); ok {
			t.Fail()
		}
	}))
	_, _, err := s.Get("a", -1, key, buf)
	require.ErrorContains(t, err, "one by one")
}
