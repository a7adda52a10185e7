//go:build planted

package sim

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/millrace/millrace/internal/commit/plant"
)

// Goal: the simulation is worth its time. Method: bugs are planted one by one, and
// each has to be found within a thousand seeds.
func TestSim_findsPlantedBugs(t *testing.T) {
	defer plant.Set(plant.None)
	const seeds = 1000
	for _, b := range plant.All {
		plant.Set(b)
		found := 0
		var first error
		at := uint64(0)
		for seed := uint64(1); seed <= seeds; seed++ {
			if res := Run(NewPlan(seed), openLog, nil); res.Err != nil {
				if found++; first == nil {
					first, at = res.Err, seed
				}
			}
		}
		t.Logf("%-70s seed %3d, %3d of %d: %v", b, at, found, seeds, first)
		assert.NotZero(t, found, "%q is not found", b)
	}
}
