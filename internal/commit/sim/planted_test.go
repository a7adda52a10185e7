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
		seed, err := uint64(0), error(nil)
		for err == nil && seed < seeds {
			seed++
			err = Run(NewPlan(seed), openLog, nil).Err
		}
		t.Logf("%-85s seed %3d: %v", b, seed, err)
		assert.Error(t, err, "%q is not found", b)
	}
}
