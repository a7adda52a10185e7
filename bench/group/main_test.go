package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Goal: data four times the budget is grouped, and all of it comes out.
func TestRun_fourTimesTheBudget(t *testing.T) {
	r, err := run(48, 12, 2)
	require.NoError(t, err)
	require.Greater(t, r.SpilledMB, int64(24), "most is spilled")
	require.Equal(t, int64(48<<20/valueSize), r.Values)
}
