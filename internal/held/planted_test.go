//go:build planted

package held

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/millrace/millrace/internal/held/plant"
)

// Goal: TestRegister is worth its time. Method: bugs of the register are planted one by
// one, and each has to be found.
func TestRegister_findsPlantedBugs(t *testing.T) {
	defer plant.Set(plant.None)
	for _, b := range []plant.Bug{plant.UnknownIsOK, plant.NotFenced, plant.FencedInTime, plant.AdoptAny, plant.OneIsEnough, plant.NewVotes, plant.VoteTooSoon} {
		plant.Set(b)
		how, seed := "", uint64(0)
		for ; how == "" && seed < 20000; seed++ {
			_, how = benchRun(seed, 3, 2+int(seed%3), 400)
		}
		t.Logf("%-60s seed %3d: %s", b, seed, how)
		assert.NotEmpty(t, how, "%q is not found", b)
	}
}
