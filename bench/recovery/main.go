// Command recovery breaks a job of real processes again and again and measures for how
// long its output is silent: the key groups of the worker that was hit, and those of the
// others, each against the rhythm that they have without a fault. The job reads events at
// a steady rate, counts them by key behind a shuffle, and shows each count once; what is
// shown is looked at, too.
//
//	go run ./bench/recovery -kills 30
//	go run ./bench/recovery -kills 30 -standby 1 -sink-commit epoch
//	go run ./bench/recovery -kills 30 -standby 1 -sink-commit cut -cut 200ms
//	go run ./bench/recovery -kills 10 -fault stop -for 4s
//	go run ./bench/recovery -kills 3 -state 1GB -keys 100000
//	go run ./bench/recovery -kills 3 -state 1GB -keys 100000 -workers 2 -slots 1
//
// It prints one JSON line, and where there is state, how long it took to be back.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/chaos"
)

// setting is what is to be done.
type setting struct {
	Kills      int // faults, of whatever kind
	Fault      chaos.Kind
	For        time.Duration // until a fault other than a kill is healed
	Standby    int           // of each slot; 0: the runner's default
	SinkCommit string        // "": the runner's default
	Plane      string        // "": the runner's default
	Cut        time.Duration // between cuts; 0: the runner's default
	Workers    int
	Slots      int     // 0: as many as workers
	Rate       float64 // events a second of each worker
	Keys       uint64
	State      uint64 // bytes of all keys
	Servers    int    // of NATS, with Fault nats
	Calm       time.Duration
	Seed       uint64
}

func main() {
	beJob()
	chaos.BeServer()
	s := setting{}
	flag.IntVar(&s.Kills, "kills", 30, "faults, one at a time")
	fault := flag.String("fault", "kill", "what is done: kill (-9) or stop a worker, cut its connections, or kill the NATS server: nats")
	flag.DurationVar(&s.For, "for", time.Second, "how long a stop or a cut lasts, or NATS is away")
	flag.IntVar(&s.Standby, "standby", 0, "standbys of each slot; 0: the runner's default")
	flag.StringVar(&s.SinkCommit, "sink-commit", "", "when outputs are shown: cut or epoch; default the runner's")
	flag.StringVar(&s.Plane, "plane", "", "what data goes over: nats, direct or log; default the runner's")
	flag.DurationVar(&s.Cut, "cut", 0, "between cuts of the job; 0: the runner's default")
	flag.IntVar(&s.Workers, "workers", 3, "processes")
	flag.IntVar(&s.Slots, "slots", 0, "slots; 0: one for each process")
	flag.Float64Var(&s.Rate, "rate", 1000, "events a second of each worker")
	flag.Uint64Var(&s.Keys, "keys", 1000, "keys")
	state := flag.String("state", "0", "state of all keys, as 500MB or 1GB, which is there before the first fault")
	flag.IntVar(&s.Servers, "servers", 1, "with -fault nats, servers in its cluster: 1, 3 or 5")
	flag.DurationVar(&s.Calm, "calm", 1500*time.Millisecond, "between a fault that is healed and the next one")
	flag.Uint64Var(&s.Seed, "seed", 1, "of the moments")
	flag.Parse()
	s.Fault = chaos.Kind(*fault)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if s.State, err = parseSize(*state); err == nil {
		err = s.check()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "recovery:", err)
		os.Exit(2)
	}
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "recovery:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s setting) error {
	dir, err := os.MkdirTemp("", "recovery-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program, err := os.Executable()
	if err != nil {
		return err
	}
	res, err := s.run(ctx, program, dir)
	if err != nil {
		return err
	}
	line, err := json.Marshal(res)
	if err != nil {
		return err
	}
	fmt.Println(string(line))
	if s.State > 0 {
		fmt.Printf("%d MB of state in %d slots were back in %.1f s, at most in %.1f s\n", res.StateMB, res.Slots, res.Gap50/1000, res.Gap99/1000)
	}
	return res.check()
}

// parseSize reads bytes, as 1GB, 20MB, 7.
func parseSize(text string) (uint64, error) {
	number, unit := text, uint64(1)
	for _, u := range []struct {
		name  string
		bytes uint64
	}{{"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}} {
		if before, ok := strings.CutSuffix(text, u.name); ok {
			number, unit = before, u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("-state %s: want a number of bytes, as 500MB or 1GB", text)
	}
	return n * unit, nil
}

func (s setting) check() error {
	switch s.Fault {
	case chaos.Kill, chaos.Stop, chaos.Cut, chaos.NATS:
	default:
		return fmt.Errorf("-fault %s: want kill, stop, cut or nats", s.Fault)
	}
	if s.Kills < 1 || s.Slots < 0 || s.Workers < 2 || s.Rate <= 0 || s.Keys < 1 {
		return fmt.Errorf("-kills %d -workers %d -rate %v -keys %d: want at least one fault, two workers, and events for a key", s.Kills, s.Workers, s.Rate, s.Keys)
	}
	return nil
}
