package host

import (
	"log/slog"
	"time"

	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/internal/frame"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/held"
)

// Config of a host. Timing fields that are 0 mean the default.
type Config struct {
	Job     uint64 // hash of the job's name
	Slot    int
	Slots   int
	Process uint64 // failure domain: not the same in two processes, or on two hosts
	Window  int    // bytes that may be under way to another slot in each class; default 128 MiB for all together, and at most 32 MiB

	Plane     Plane
	Frames    *frame.Pool // for what goes over Plane, which may have the same; default: a new one
	Control   Control
	Acceptors []Acceptor
	Stale     error // what an acceptor's refused CAS is
	Changes   Changelog
	Copies    Copies
	Objects   Objects
	Passing   func(error) bool // reports that Changes, Copies or Objects failed as they are away, and it is worth trying again; nil: it never is

	Deaths *Deaths // tells which processes have ended; may be nil

	before *bequest // of an incarnation here that has ended for a reason of its own; or nil

	From *Standby // that stands by the slot here, and runs: Run takes it over, and ends it; or nil

	Graph  *graph.Graph
	Engine engine.Config // Lanes and so on; what makes it part of a job is set here

	// EpochSinks has sinks show what they have with each epoch, and not with cuts of the
	// job: sooner, but when the job goes back to its last cut, what was shown since comes
	// twice.
	EpochSinks bool

	// Logged has copies of all that goes to other slots made with each epoch, and nobody
	// acknowledge it: the job never goes back to a cut, however many processes die at once.
	// It is the same in all slots.
	Logged bool

	// Rests reports that the job drains: sources of an incarnation that begins now rest until
	// the leader says otherwise. May be nil.
	Rests func() bool

	Every     time.Duration // between commits, at most; default 10 ms
	Volume    int           // bytes for another slot with which a commit does not wait for Every; 0: it does
	Heartbeat time.Duration // default 50 ms
	Resend    time.Duration // default 150 ms
	Silent    time.Duration // before the register of a silent slot is read; default 300 ms
	Excuse    time.Duration // before a silent receiver is excused; default 300 ms

	Log   *slog.Logger // default: nothing is logged
	Meter *Meter       // default: nothing is counted

	putMost    time.Duration // for a put; default 3 s
	copiesMost int           // for tests: bytes of copies between two times that they are trimmed; default 4 MiB
	chunksMost int           // for tests: before a part of the rows is written again; default: as many as there are
	began      func(*Host)   // for tests: called for each incarnation
}

func (c Config) withDefaults() Config {
	for _, x := range []struct {
		d   *time.Duration
		std time.Duration
	}{{&c.Every, 10 * time.Millisecond}, {&c.Heartbeat, 50 * time.Millisecond}, {&c.Resend, 150 * time.Millisecond}, {&c.Silent, 300 * time.Millisecond}, {&c.Excuse, 300 * time.Millisecond}} {
		if *x.d == 0 {
			*x.d = x.std
		}
	}
	if c.putMost == 0 {
		c.putMost = putMost
	}
	if c.copiesMost == 0 {
		c.copiesMost = copiesMost
	}
	if c.Frames == nil {
		c.Frames = &frame.Pool{}
	}
	if c.Meter == nil {
		c.Meter = &Meter{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// shapeOf is the shape of a slot's job, with its edges by number.
func shapeOf(cfg Config) (held.Shape, map[int]engine.ShuffleEdge) {
	shape, edges := held.Shape{Slots: cfg.Slots, Lanes: cfg.Engine.Lanes}, map[int]engine.ShuffleEdge{}
	for _, e := range engine.ShuffleEdges(cfg.Graph, place(cfg)) {
		edges[e.Edge] = e
		shape.Ranks = max(shape.Ranks, e.Rank+1)
	}
	return shape, edges
}

// place is the engine's configuration, with the slot's place in the job.
func place(cfg Config) engine.Config {
	e := cfg.Engine
	e.Slot, e.Slots = cfg.Slot, cfg.Slots
	e.Epoch = time.Hour // cuts are asked for by the core
	if c := cfg.Window; c > 0 {
		e.Frame = min(32<<10, c) // what is not sent is not counted
	}
	return e
}

// What is under way is what a slot sends within two epochs and two commits. For all
// receivers and classes together there are windowsMost bytes, if each gets windowMin then.
const (
	windowsMost = 128 << 20
	windowMost  = 32 << 20
	windowMin   = 1 << 20
)

func (c *Config) window(shape held.Shape) int {
	if c.Window > 0 {
		return c.Window
	}
	return min(windowMost, max(windowMin, windowsMost/max(1, (shape.Slots-1)*shape.Classes())))
}

// parkedMost is how many bytes of input may wait for key groups before sources stop.
const parkedMost = 64 << 20

func coreConfig(c *Config, shape held.Shape) held.Config {
	return held.Config{
		Shape: shape, Slot: c.Slot, Process: c.Process, Window: c.window(shape), Volume: c.Volume, Log: c.Logged,
		Every: c.Every, Heartbeat: c.Heartbeat, Resend: c.Resend, Silent: c.Silent, Excuse: c.Excuse,
		Replays: c.Engine.OnError != engine.Stop, Budget: held.Budget{Parked: parkedMost},
		Owner: firstOwner(shape.Slots), LaneOf: func(group int) int { return group % shape.Lanes },
	}
}
