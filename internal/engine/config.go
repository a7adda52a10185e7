package engine

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/graph"
)

// OnError is what a failure of user code leads to.
type OnError uint8

const (
	Stop       OnError = iota // the run ends with the first failure
	Careful                   // the epoch is replayed element by element, with retries; then as Stop
	DeadLetter                // the same, but what fails for good goes to the dead letters
	Park                      // the same, and in keyed operators all of the failed key's later elements wait
)

// PolicyOf is the policy of a name that users give, "" being Stop, with so many further
// tries of a failing element. ok is false of a name that there is not.
func PolicyOf(name string, retries int) (p OnError, ok bool) {
	switch name {
	case "", "stop":
		if retries > 0 {
			return Careful, true
		}
		return Stop, true
	case "dead-letter":
		return DeadLetter, true
	case "park":
		return Park, true
	}
	return Stop, false
}

// Config of a run. Zero fields mean the default.
type Config struct {
	Lanes    int  // of this slot; default: one for each core
	Batch    int  // elements in a batch; default 512
	Queue    int  // batches in a queue between two lanes; default 4
	NoFusion bool // a queue between any two transforms

	Epoch        time.Duration // between snapshots; 0: none by time
	EpochBundles int           // a snapshot after so many rounds of a lane; 0: none by count
	RestartEvery int           // reopen from every so-many-th snapshot; 0: never

	// Slots is how many slots the job has, each an engine of its own, with as many Lanes;
	// default 1. Slot is which one this is, and Shuffle the others.
	Slot, Slots int
	Shuffle     Shuffle
	Frame       int // bytes of a frame to another slot, about; default 32 KiB

	// Cuts has transactional sinks show what cuts of the job name, and not what their
	// epoch does: nothing that they show is ever taken back, whatever the job goes back
	// to. nil: with each epoch. Until then outputs wait in memory and in the store; when
	// they take more than HeldMemory bytes, the slot's sources stand still; default 64 MiB.
	Cuts       *Cuts
	HeldMemory int64

	// Store keeps the epochs beyond the run; nil: they are for restarts within it. Then
	// a run begins where the last one in the store left off, and the rest counts, too.
	Store    commit.Store
	Manifest commit.Manifest // of the graph, for the records
	Ahead    bool            // lanes go on while an epoch is made durable
	Asks     <-chan Ask      // what to do with the store at the next epoch
	Stopped  *atomic.Bool    // while true sources are not read; may be nil

	OnError OnError // other than Stop wants Epoch or EpochBundles
	Retries int     // further tries of a failing element, in the careful replay
	Replay  Replay  // how the first incarnation begins, of a slot with a Shuffle; see [Again]

	TempDir      string // where groupings spill; default: the system's
	MemoryBudget int64  // bytes that all groupings may hold; default: a quarter of the memory there is
	StateMemory  int64  // bytes that rows which are also in the store may take, about; default: 128 MiB, or half of MemoryBudget

	Now func() time.Time // processing time; default the machine's clock

	Observe *Observer // may be nil
}

// clock is processing time in Unix ms.
func (c *Config) clock() func() int64 {
	if now := c.Now; now != nil {
		return func() int64 { return now().UnixMilli() }
	}
	return func() int64 { return time.Now().UnixMilli() }
}

func (c Config) withDefaults() Config {
	c.Lanes = cmp.Or(c.Lanes, runtime.GOMAXPROCS(0))
	c.Slots = cmp.Or(c.Slots, 1)
	c.Batch = cmp.Or(c.Batch, 512)
	c.Queue = cmp.Or(c.Queue, 4)
	c.Frame = cmp.Or(c.Frame, 32<<10) // NATS is fastest with 16 to 64 KiB
	c.MemoryBudget = cmp.Or(c.MemoryBudget, Memory()/4)
	c.HeldMemory = cmp.Or(c.HeldMemory, 64<<20)
	c.StateMemory = cmp.Or(c.StateMemory, min(128<<20, c.MemoryBudget/2))
	if c.Observe == nil {
		c.Observe = &Observer{}
	}
	return c
}

// check refuses what can't work.
func (c Config) check() error {
	switch {
	case c.OnError != Stop && !c.epochs():
		return errors.New("BUG: engine: an error policy other than stop without epochs")
	case c.Cuts != nil && (!c.epochs() || c.OnError != Stop && c.Shuffle == nil):
		return errors.New("BUG: engine: sinks wait for cuts without epochs, or with an error policy other than stop, and without a shuffle")
	case c.Slots > 1 && (c.Shuffle == nil || !c.epochs() || c.Slot < 0 || c.Slot >= c.Slots || c.Slots*c.Lanes > math.MaxUint16):
		return fmt.Errorf("BUG: engine: slot %d of %d with %d lanes, shuffle %T, epochs %v", c.Slot, c.Slots, c.Lanes, c.Shuffle, c.epochs())
	case c.Slots > 1 && c.EpochBundles > 1: // others would wait for ever for what an idle slot has sent
		return fmt.Errorf("BUG: engine: %d slots, and an epoch after each %d rounds only", c.Slots, c.EpochBundles)
	}
	return nil
}

func (c Config) epochs() bool { return c.Epoch > 0 || c.EpochBundles > 0 }

// Memory is how many bytes this process may use: GOMEMLIMIT, the control
// group's limit, or the machine's memory; 4 GiB where none of them is known.
func Memory() int64 {
	if m := debug.SetMemoryLimit(-1); m < math.MaxInt64 {
		return m
	}
	least := int64(math.MaxInt64)
	if b, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil {
			least = n
		}
	}
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		if f := strings.Fields(string(b)); len(f) > 1 && f[0] == "MemTotal:" {
			if kb, err := strconv.ParseInt(f[1], 10, 64); err == nil {
				least = min(least, kb<<10)
			}
		}
	}
	if least == math.MaxInt64 {
		return 4 << 30
	}
	return least
}

// Result is what a run leaves.
type Result struct {
	Elapsed  time.Duration
	Stages   []StageStats
	Metrics  []graph.Metric
	Epochs   int           // snapshots taken, the one at the end not counted
	Restarts int           // reopened from a snapshot
	Paused   time.Duration // sources stood still for snapshots
}

// StageStats is one stage's throughput.
type StageStats struct {
	Name     string // of its first transform
	Elements int64  // read from a source, or received over an exchange
}

// Observer tells others how far a run is. It may be asked at any time.
type Observer struct {
	state atomic.Pointer[observed]
	epoch atomic.Pointer[Epoch]
	explaining
}

// Epoch is the newest epoch that was committed.
type Epoch struct {
	N  uint64
	At time.Time // when it was durable
}

// Epoch is the newest epoch of the run; zero before the first.
func (o *Observer) Epoch() (e Epoch) {
	if p := o.epoch.Load(); p != nil {
		e = *p
	}
	return e
}

func (o *Observer) committed(rec *commit.Record) {
	o.epoch.Store(&Epoch{rec.Epoch, time.Now()})
}

// observed is the counters of the present incarnation.
type observed struct {
	stages []stageCounters
	lanes  int
	plan   *plan
	poke   func()          // wakes all lanes
	over   <-chan struct{} // closed when the incarnation has ended
}

// stageCounters are one stage's counters; a slot for each lane.
type stageCounters struct {
	name  string
	root  bool
	size  int64 // of a root's splits together, in its own unit; 0: unknown
	lanes []laneCounters
}

// laneCounters are written by one lane and read by all.
type laneCounters struct {
	elements, read atomic.Int64
	done           atomic.Bool
	_              [40]byte // a cache line of its own
}

// Progress is how far a run is.
type Progress struct {
	Elements           int64 // read from all sources
	Read, Total        int64 // in the sources' own units; Total 0 where one of them does not know
	Stages, StagesDone int
}

// Progress reads the counters.
func (o *Observer) Progress() (p Progress) {
	s := o.state.Load()
	if s == nil {
		return p
	}
	known := true
	p.Stages = len(s.stages)
	for i := range s.stages {
		st, done := &s.stages[i], true
		for j := range st.lanes {
			l := &st.lanes[j]
			done = done && l.done.Load()
			if st.root {
				p.Elements += l.elements.Load()
				p.Read += l.read.Load()
			}
		}
		if done {
			p.StagesDone++
		}
		if st.root {
			p.Total += st.size
			known = known && (st.size > 0 || done)
		}
	}
	if !known {
		p.Total = 0
	}
	return p
}

// stats sums the counters of each stage.
func (o *Observer) stats() (out []StageStats) {
	s := o.state.Load()
	for i := range s.stages {
		st := StageStats{Name: s.stages[i].name}
		for j := range s.stages[i].lanes {
			st.Elements += s.stages[i].lanes[j].elements.Load()
		}
		out = append(out, st)
	}
	return out
}
