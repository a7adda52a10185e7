//go:build planted

package sim

import (
	"flag"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/millrace/millrace/internal/held/plant"
)

// onlyFlag plants one bug alone.
var onlyFlag = flag.String("only", "", "plant this bug alone")

// Goal: the simulation is worth its time. Method: bugs are planted one by one, and
// each has to be found by what has failed once, or within a thousand seeds.
func TestSim_findsPlantedBugs(t *testing.T) {
	defer plant.Set(plant.None)
	const seeds = 1000
	for _, b := range plant.All {
		if b == plant.FencedInTime || b == plant.VoteTooSoon { // too rare here: TestRegister is bent towards it
			continue
		}
		if *onlyFlag != "" && string(b) != *onlyFlag {
			continue
		}
		plant.Set(b)
		seed, err := uint64(0), error(nil)
		for _, p := range museum(t) {
			if err == nil {
				err = Run(p, nil).Err
			}
		}
		for err == nil && seed < seeds {
			seed++
			err = Run(NewPlan(seed), nil).Err
		}
		t.Logf("%-90s seed %3d: %v", b, seed, err)
		assert.Error(t, err, "%q is not found", b)
	}
}
