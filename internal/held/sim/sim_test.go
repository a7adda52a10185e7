package sim

import (
	"bufio"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "run this seed alone, and tell all that happens")
	seedsFlag = flag.Int("seeds", 200, "how many seeds to run")
	fromFlag  = flag.Uint64("from", 1, "the first of them")
	forFlag   = flag.Duration("for", 0, "run seeds nobody has seen for so long")
	freshFlag = flag.Int("fresh", 0, "run so many seeds that nobody has seen")
	leastFlag = flag.Int("least", 0, "with -for and -fresh: pass over seeds with fewer faults")
	planFlag  = flag.String("plan", "", "run this plan alone, written as in testdata/seeds.txt, and tell all that happens")
	smallFlag = flag.Bool("small", true, "make a plan that fails small")
)

// TestSim runs seeds. When one fails, the command to run it again is printed, then its
// plan, made as small as it can be, and what happens in that.
func TestSim(t *testing.T) {
	if *seedFlag != 0 || *planFlag != "" {
		p := NewPlan(*seedFlag)
		if *planFlag != "" {
			require.NoError(t, json.Unmarshal([]byte(*planFlag), &p))
		}
		t.Logf("%v", p)
		res := Run(p, func(line string) { t.Log(line) })
		t.Logf("%v", res.Count)
		require.NoError(t, res.Err)
		return
	}
	begun := time.Now()
	plans := make(chan Plan)
	failed := museum(t)
	go func() {
		defer close(plans)
		for _, p := range failed {
			plans <- p
		}
		if *forFlag > 0 || *freshFlag > 0 {
			for n := 0; (n < *freshFlag || time.Since(begun) < *forFlag) && !t.Failed(); {
				if p := NewPlan(rand.Uint64()); p.Wrong() >= *leastFlag {
					plans <- p
					n++
				}
			}
			return
		}
		for i := range uint64(short(*seedsFlag, 60)) {
			if t.Failed() {
				return
			}
			plans <- NewPlan(*fromFlag + i)
		}
	}()
	n, all := runAll(t, plans)
	t.Logf("%d seeds, %.0f a second\n%v", n, float64(n)/time.Since(begun).Seconds(), all)
}

// runAll runs plans on all cores, and explains the first that fails.
func runAll(t *testing.T, plans <-chan Plan) (n int, all Counters) {
	var mu sync.Mutex // guards n, all and what t is told
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for p := range plans {
				res := Run(p, nil)
				mu.Lock()
				n++
				all.Add(res.Count)
				if res.Err != nil && !t.Failed() {
					explain(t, p, res.Err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return n, all
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
	if *smallFlag {
		p = Shrink(p)
	}
	var trace []string
	res := Run(p, func(line string) { trace = append(trace, line) })
	if len(trace) > 200 {
		trace = append([]string{"..."}, trace[len(trace)-200:]...)
	}
	line, _ := json.Marshal(p)
	t.Errorf("seed %d: %v\n\tgo test ./internal/held/sim -run 'TestSim$' -seed=%d -v\n\nas small as it gets, for testdata/seeds.txt: %v\n%s\n\n%v%s",
		p.Seed, err, p.Seed, res.Err, line, p, strings.Join(trace, "\n"))
}

// Goal: a seed is a run, bit for bit. Method: twice each.
func TestSim_isTheSameTwice(t *testing.T) {
	for seed := uint64(1); seed <= uint64(short(20, 5)); seed++ {
		a, b := Run(NewPlan(seed), nil), Run(NewPlan(seed), func(string) {})
		require.Equal(t, a, b, "seed %d", seed)
	}
}

// Goal: runs go where things can go wrong. Method: counters.
func TestSim_goesEverywhere(t *testing.T) {
	var c Counters
	for seed := range uint64(short(90, 40)) {
		c.Add(Run(NewPlan(seed+1), nil).Count)
	}
	for k := range Kinds {
		assert.Greater(t, c.Faults[k], 10, "%v", k)
	}
	for what, n := range map[string]int{
		"takeovers": c.Takeovers, "takeovers behind a cut": c.FromCut, "leaders": c.Leaders, "cuts": c.Cuts, "cuts at rest": c.Rested, "cuts of drained jobs": c.Drained, "rollbacks": c.Rollbacks,
		"void tags": c.Voids, "copies": c.Copies, "epochs sent again": c.Resent, "registers read": c.Peeks, "ends told": c.Mourned, "ends of all": c.Doomed, "lost messages": c.Lost,
		"assignments": c.Assigned, "groups given": c.Given, "groups adopted": c.Adopted, "elements replayed": c.Replayed, "acceptors replaced": c.Replaced,
	} {
		assert.Greater(t, n, short(10, 3), what)
	}
	t.Logf("\n%v", c)
}
