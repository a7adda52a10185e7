//go:build planted

package shuffletest

import (
	"testing"

	"github.com/millrace/millrace/internal/commit/plant"
	"github.com/stretchr/testify/assert"
)

// Goal: TestSinks_onCuts is worth its time. Method: bugs are planted one by one, and each
// has to be found within its seeds.
func TestSinks_findsPlantedBugs(t *testing.T) {
	defer plant.Set(plant.None)
	want := outcomes(t)
	for _, b := range plant.OnCuts {
		plant.Set(b)
		seed, err := uint64(0), error(nil)
		for err == nil && seed < 60 {
			_, _, err = sinksOnCuts(t.Context(), seed, want)
			seed++
		}
		t.Logf("%-85s seed %3d: %.200v", b, seed-1, err)
		assert.Error(t, err, "%q is not found", b)
	}
}
