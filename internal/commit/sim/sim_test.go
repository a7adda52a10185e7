package sim

import (
	"bufio"
	"encoding/json"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/commit"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "run this seed alone, and tell all that happens")
	seedsFlag = flag.Int("seeds", 5000, "how many seeds to run, from 1 on")
	forFlag   = flag.Duration("for", 0, "run seeds nobody has seen for so long")
)

// TestSim runs seeds. When one fails, the command to run it again is printed, then
// its plan, made as small as it can be, and what happens in that.
func TestSim(t *testing.T) {
	if *seedFlag != 0 {
		p := NewPlan(*seedFlag)
		t.Logf("%v", p)
		res := Run(p, openLog, func(line string) { t.Log(line) })
		t.Logf("%v", res.Count)
		require.NoError(t, res.Err)
		return
	}
	begun := time.Now()
	var all Counters
	n := 0
	run := func(p Plan) {
		res := Run(p, openLog, nil)
		if res.Err != nil {
			explain(t, p, res.Err)
		}
		all.Add(res.Count)
		n++
	}
	for _, p := range museum(t) {
		run(p)
	}
	switch {
	case *forFlag > 0:
		for time.Since(begun) < *forFlag {
			run(NewPlan(rand.Uint64()))
		}
	default:
		for seed := range min(*seedsFlag, short(math.MaxInt, 500)) {
			run(NewPlan(uint64(seed + 1)))
		}
	}
	t.Logf("%d seeds, %.0f a second\n%v", n, float64(n)/time.Since(begun).Seconds(), all)
}

// short is n, or less of it where tests are to be short.
func short(n, less int) int {
	if testing.Short() {
		return less
	}
	return n
}

// museum is what has failed once: seeds, and plans that were made small.
func museum(t *testing.T) (plans []Plan) {
	f, err := os.Open("testdata/seeds.txt")
	require.NoError(t, err)
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		switch line := s.Text(); {
		case line == "" || line[0] == '#':
		case line[0] == '{':
			var p Plan
			require.NoError(t, json.Unmarshal([]byte(line), &p), line)
			plans = append(plans, p)
		default:
			seed, err := strconv.ParseUint(strings.Fields(line)[0], 10, 64)
			require.NoError(t, err)
			plans = append(plans, NewPlan(seed))
		}
	}
	return plans
}

// explain fails the test with the least plan that fails, and its trace.
func explain(t *testing.T, p Plan, err error) {
	t.Helper()
	p = Shrink(p, openLog)
	var trace []string
	res := Run(p, openLog, func(line string) {
		w := strings.Fields(line)
		if len(w) < 2 || w[1] != "read" && w[1] != "open" && w[1] != "key" {
			trace = append(trace, line)
		}
	})
	if len(trace) > 300 {
		trace = append([]string{"..."}, trace[len(trace)-300:]...)
	}
	line, _ := json.Marshal(p)
	t.Fatalf("seed %d: %v\n\tgo test ./internal/commit/sim -run 'TestSim$' -seed=%d -v\n\nas small as it gets, for testdata/seeds.txt: %v\n%s\n\n%v%s",
		p.Seed, err, p.Seed, res.Err, line, p, strings.Join(trace, "\n"))
}

// Goal: a seed is a run, bit for bit. Method: twice each.
func TestSim_isTheSameTwice(t *testing.T) {
	for seed := uint64(1); seed <= uint64(short(300, 50)); seed++ {
		a, b := Run(NewPlan(seed), openLog, nil), Run(NewPlan(seed), openLog, func(string) {})
		require.Equal(t, a, b, "seed %d", seed)
	}
}

// Goal: runs go where things can go wrong. Method: counters over a thousand seeds.
func TestSim_goesEverywhere(t *testing.T) {
	var c Counters
	share := short(1, 3)
	for seed := uint64(1); seed <= uint64(1000/share); seed++ {
		c.Add(Run(NewPlan(seed), openLog, nil).Count)
	}
	for p := range Points {
		assert.Greater(t, c.Crashes(p), 20/share, "crashes %v", p)
		for k := range Kinds {
			assert.Greater(t, c.Faults[k][p], 3/share-1, "%v %v", k, p)
		}
	}
	for what, n := range map[string]int{
		"whole epochs": c.Whole, "epochs of another number of lanes": c.Relaned, "refused epochs": c.Refused,
		"ends of processes behind a failure": c.Exits, "restarts by the cycle": c.Restarts, "other numbers of lanes": c.Rescaled,
		"flipped bytes": c.Flips, "epochs fallen back": c.FellBack, "stores not opened": c.Unopened, "waits for room": c.Waits,
	} {
		assert.Greater(t, n, 15/share-1, what)
	}
	t.Logf("\n%v", c)
}

// Goal: the disk holds the state, not its history. Method: hundreds of epochs of a state
// that does not grow, and crashes; in the end there is no more than at the beginning.
func TestSim_diskDoesNotGrow(t *testing.T) {
	for seed := uint64(1); seed <= uint64(short(20, 4)); seed++ {
		r := rand.New(rand.NewPCG(seed, 4))
		p := Plan{Seed: seed, Lanes: 1 + r.IntN(3), Keys: 6, Splits: []int{800, 800}, Ahead: seed%2 == 0, CutOdds: 8, Bases: 2000}
		for range 12 {
			p.Faults = append(p.Faults, Fault{Kind: Kind(r.IntN(2)), At: Point(r.IntN(int(Points))), N: 1 + r.IntN(200), Seed: r.Uint64()})
		}
		res := Run(p, openLog, nil)
		require.NoError(t, res.Err, "seed %d", seed)
		assert.Greater(t, res.Count.Epochs, 20, "seed %d", seed)
		assert.Less(t, res.Count.BytesMax, 30000, "seed %d", seed)
		assert.LessOrEqual(t, res.Count.FilesMax, 12, "seed %d", seed)
		if testing.Verbose() {
			t.Logf("%d epochs, %d bytes in %d files", res.Count.Epochs, res.Count.BytesMax, res.Count.FilesMax)
		}
	}
}

// Goal: the store in memory keeps the contract, too. Method: runs in which no process
// dies.
func TestSim_memory(t *testing.T) {
	for seed := uint64(1); seed <= uint64(short(500, 100)); seed++ {
		p := NewPlan(seed)
		store := commit.NewMemory()
		p.Faults = slices.DeleteFunc(p.Faults, func(f Fault) bool { return f.Kind != Failure || f.After > 0 })
		for i := range p.Faults {
			p.Faults[i].Seed = 1 // the process goes on
		}
		res := Run(p, func(Env) (commit.Store, error) { return store, nil }, nil)
		require.NoError(t, res.Err, "%v", p)
	}
}

// Goal: a failure is told by few words. Method: a store that forgets.
func TestShrink(t *testing.T) {
	p := NewPlan(1)
	for seed := uint64(1); len(p.Faults) < 5 || Run(p, openForgetful, nil).Err == nil; seed++ {
		p = NewPlan(seed)
	}
	small := Shrink(p, openForgetful)
	require.Error(t, Run(small, openForgetful, nil).Err)
	assert.LessOrEqual(t, len(small.Faults), 1, "%v", small)
}
