package chaos

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	BeJob()
	BeServer()
	os.Exit(m.Run())
}

var (
	schedules = flag.Int("schedules", 30, "schedules that a job is to survive")
	seed      = flag.Uint64("seed", 1, "of the first of them; the next have the next seeds")
)

// Goal: whatever happens to workers, one thing at a time, a job loses nothing, shows
// nothing twice, and keeps the order of each key. Method: a job of real processes under
// schedules that follow from seeds.
func TestRun(t *testing.T) { survive(t, *schedules-*schedules/3, false, OfChildren) }

// Goal: the same where workers and NATS are on hosts of their own: also connections are
// cut, and the NATS server is killed.
func TestRun_hosts(t *testing.T) { survive(t, *schedules/3, true, OfHosts) }

func survive(t *testing.T, n int, joined bool, kinds []Kind) {
	program, err := os.Executable()
	require.NoError(t, err)
	brokers, err := StartBrokers("127.0.0.1")
	require.NoError(t, err)
	defer brokers.Close()
	if testing.Short() {
		n = min(n, 2)
	}
	met := 0
	for i := range uint64(max(n, 1)) {
		s := Plan(*seed+i, 3, kinds)
		t.Run(fmt.Sprint("seed ", s.Seed), func(t *testing.T) {
			cfg := Config{Program: program, Brokers: brokers, Dir: t.TempDir(), Workers: 3, Joined: joined, Events: 6000, Rate: 600}
			res, err := Run(t.Context(), cfg, s)
			name, _, _ := strings.Cut(t.Name(), "/")
			require.NoError(t, err, "%v\nagain: go test ./internal/chaos -run '%s$' -schedules 1 -seed %d", s, name, s.Seed)
			met += res.Faults
			t.Logf("%v\n%d lines, %d faults, %.1f s", s, res.Lines, res.Faults, res.Seconds)
		})
	}
	require.Positive(t, met, "nothing was met by any fault")
}

// Goal: a schedule follows from its seed alone, and seeds differ.
func TestPlan(t *testing.T) {
	seen := map[string]bool{}
	count := map[Kind]int{}
	for s := range uint64(100) {
		p := Plan(s, 3, OfHosts)
		require.Equal(t, p, Plan(s, 3, OfHosts))
		seen[p.String()] = true
		for _, f := range p.Faults {
			count[f.Kind]++
			require.Positive(t, f.After)
			require.Equal(t, f.Kind != Kill, f.For > 0)
			require.Equal(t, f.Kind != NATS, f.Worker >= 1 && f.Worker <= 3)
		}
	}
	require.Len(t, seen, 100)
	for _, k := range OfHosts {
		require.Greater(t, count[k], 20, k)
	}
	require.Equal(t, "seed 1, plane nats: 1s later stop worker 2 for 20ms; 2s later nats for 3ms",
		Schedule{1, "nats", []Fault{{Stop, 2, time.Second, 20 * time.Millisecond}, {NATS, 0, 2 * time.Second, 3 * time.Millisecond}}}.String())
}

// Goal: the oracle sees what is lost, doubled or out of order.
func TestCompare(t *testing.T) {
	want := expect(400)
	s := &shown{lines: map[string]int{}}
	for line, n := range want {
		s.lines[line] = n
	}
	v := s.compare(want)
	require.NoError(t, v.Err())
	require.Greater(t, v.Lines, 500)

	delete(s.lines, "totals "+totalLine(0, 1, eventOf(0).Cost))
	s.lines["sessions x"] = 2
	last := map[string]int64{}
	for _, line := range []string{"7 2 0", "8 1 0", "7 1 0"} {
		s.add("totals", line, last)
	}
	v = s.compare(want)
	require.Equal(t, 1, v.Unordered)
	require.GreaterOrEqual(t, v.Duplicated, 4)
	require.ErrorContains(t, v.Err(), "out of order: totals 7 1 0")
}
