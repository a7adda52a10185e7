//go:build planted

package kafka

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/kafka/internal/plant"
)

// Goal: the simulation finds bugs. Method: it is run with each of those that can be
// planted, until it fails.
func TestExactlyOnce_findsPlantedBugs(t *testing.T) {
	defer plant.Set(plant.None)
	for _, bug := range plant.All {
		plant.Set(bug)
		found := false
		for seed := uint64(0); seed < 20_000 && !found; seed++ {
			if err := simulate(seed); err != nil {
				t.Logf("%s: %v", bug, err)
				found = true
			}
		}
		require.True(t, found, "%s is not found", bug)
	}
}
