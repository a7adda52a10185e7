package chaos

import (
	"context"
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
func TestRun(t *testing.T) {
	survive(t, *schedules-*schedules/6-2*(*schedules/5)-*schedules/10, Config{}, Plan, OfChildren)
}

// Goal: the same where workers and NATS are on hosts of their own: also connections are
// cut, and the NATS server is killed.
func TestRun_hosts(t *testing.T) { survive(t, *schedules/6, Config{Joined: true}, Plan, OfHosts) }

// Goal: the same where things happen at once, so that all goes back to a cut, and where the
// process that has submitted the job is killed, with all that it has started.
func TestRun_over(t *testing.T) { survive(t, *schedules/5, Config{}, PlanOver, OverChildren) }

// Goal: the same where workers and NATS are on hosts of their own, and lead the job without
// who has submitted it.
func TestRun_overHosts(t *testing.T) {
	survive(t, *schedules/5, Config{Joined: true}, PlanOver, OverHosts)
}

// Goal: the same where NATS is a cluster of three servers, of which one is killed at a time.
func TestRun_servers(t *testing.T) {
	survive(t, *schedules/10, Config{Joined: true, Servers: 3}, PlanOver, OverServers)
}

// Goal: a job goes back to a cut, and nobody can tell by what it shows. Method: all workers
// are killed at once, until it has.
func TestRun_goesBack(t *testing.T) {
	program, err := os.Executable()
	require.NoError(t, err)
	brokers, err := StartBrokers("127.0.0.1")
	require.NoError(t, err)
	defer brokers.Close()
	cfg := Config{Program: program, Brokers: brokers, Dir: t.TempDir(), Workers: 3, Plane: planes[*seed%2], Events: 12_000, Rate: 600}
	res, err := cfg.run(t.Context(), 0, func(ctx context.Context, c *Cluster) (n int, err error) {
		kill := Fault{Kind: Kill, Worker: 1, Over: true}
		for met := 3; met == 3 && err == nil && c.goneBack() == 0; n += met {
			met, err = Schedule{Faults: []Fault{{Kind: Kill, Worker: 1, After: time.Second}, kill, kill}}.inflict(ctx, c)
		}
		return n, err
	})
	require.NoError(t, err)
	require.Positive(t, res.Rollbacks)
	t.Logf("%d kills, %d times back to a cut, %.1f s", res.Faults, res.Rollbacks, res.Seconds)
}

func survive(t *testing.T, n int, cfg Config, plan func(seed uint64, workers int, kinds []Kind) Schedule, kinds []Kind) {
	program, err := os.Executable()
	require.NoError(t, err)
	brokers, err := StartBrokers("127.0.0.1")
	require.NoError(t, err)
	defer brokers.Close()
	if testing.Short() {
		n = min(n, 2)
	}
	met, back := 0, 0
	for i := range uint64(max(n, 1)) {
		s := plan(*seed+i, 3, kinds)
		t.Run(fmt.Sprint("seed ", s.Seed), func(t *testing.T) {
			cfg := cfg
			cfg.Program, cfg.Brokers, cfg.Dir, cfg.Workers, cfg.Events, cfg.Rate = program, brokers, t.TempDir(), 3, 6000, 600
			res, err := Run(t.Context(), cfg, s)
			name, _, _ := strings.Cut(t.Name(), "/")
			if err != nil { // by itself: testify cuts long texts off, and this one ends with stacks
				t.Fatalf("%v\n%v\nagain: go test ./internal/chaos -run '%s$' -schedules 1 -seed %d", s, err, name, s.Seed)
			}
			met += res.Faults
			back += res.Rollbacks
			t.Logf("%v\n%d lines, %d faults, %d times back to a cut, %.1f s", s, res.Lines, res.Faults, res.Rollbacks, res.Seconds)
		})
	}
	t.Logf("%d faults, %d times back to a cut", met, back)
	require.Positive(t, met, "nothing was met by any fault")
}

// Goal: a schedule follows from its seed alone, and seeds differ; what is to happen over
// something else does.
func TestPlan(t *testing.T) {
	for _, tc := range []struct {
		name  string
		plan  func(seed uint64, workers int, kinds []Kind) Schedule
		kinds []Kind
		overs bool
	}{{"one at a time", Plan, OfHosts, false}, {"over each other", PlanOver, OverHosts, true}} {
		t.Run(tc.name, func(t *testing.T) {
			seen := map[string]bool{}
			count := map[Kind]int{}
			for s := range uint64(100) {
				p := tc.plan(s, 3, tc.kinds)
				require.Equal(t, p, tc.plan(s, 3, tc.kinds))
				seen[p.String()] = true
				kills, overs := 0, 0
				for i, f := range p.Faults {
					count[f.Kind]++
					if f.Over {
						overs++
					} else {
						require.Positive(t, f.After)
					}
					require.False(t, f.Over && i == 0)
					require.Equal(t, f.Kind != Kill, f.For > 0)
					require.Equal(t, f.Kind != NATS && f.Kind != Lead, f.Worker >= 1 && f.Worker <= 3)
					if f.Kind == Kill {
						kills++
					}
				}
				require.Equal(t, tc.overs, overs > 0)
				require.True(t, kills > 0 || !tc.overs)
			}
			require.Len(t, seen, 100)
			for _, k := range tc.kinds {
				require.Greater(t, count[k], 20, k)
			}
		})
	}
}

// Goal: people can read a schedule.
func TestSchedule_String(t *testing.T) {
	s := Schedule{Seed: 1, Plane: "nats", Slots: 1, Faults: []Fault{{Kind: Stop, Worker: 2, After: time.Second, For: 20 * time.Millisecond}, {Kind: NATS, After: 2 * time.Second, For: 3 * time.Millisecond}}}
	require.Equal(t, "seed 1, plane nats: 1s later stop worker 2 for 20ms; 2s later nats for 3ms", s.String())
	s.Slots, s.Standbys, s.Large, s.Faults[1].Over, s.Faults[1].After = 2, 1, "2KiB", true, 0
	require.Equal(t, "seed 1, plane nats, 2 slots a worker, with standbys, epochs of 2KiB: 1s later stop worker 2 for 20ms; 0s into that nats for 3ms", s.String())
}

// Goal: seeds of schedules without overlaps that people know make what they have made.
func TestPlan_asEver(t *testing.T) {
	require.Equal(t, "seed 3, plane direct: 525ms later stop worker 1 for 707ms; 596ms later kill worker 3; 319ms later kill worker 1", Plan(3, 3, OfChildren).String())
	require.Equal(t, "seed 2, plane nats, epochs of 2KiB: 54ms later cut worker 1 for 315ms; 177ms later stop worker 3 for 609ms", Plan(2, 3, OfHosts).String())
}

// Goal: the oracle sees what is lost, doubled or out of order.
func TestCompare(t *testing.T) {
	want := expect(400)
	s := &shown{lines: map[string]int{}, files: map[string][]string{}}
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
		s.add("totals", "Kafka", line, last)
	}
	v = s.compare(want)
	require.Equal(t, 1, v.Unordered)
	require.GreaterOrEqual(t, v.Duplicated, 4)
	require.ErrorContains(t, v.Err(), "out of order: totals 7 1 0")
}
