package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// LeaderConfig configures a [Leader]. Zero fields mean the default.
type LeaderConfig struct {
	Crew      CrewConfig // Silence: default 3s; Build: default 2m
	Last      *Roster    // of a former leader
	Transport Transport
	Sealer    Sealer

	More map[string]func(ctx context.Context, args []string) (any, error) // further commands, by name

	// Drain brings a job that drains to where all is shown, or gives that up; it returns when
	// slots are to stop, or ctx ends. Default: at once.
	Drain func(ctx context.Context)

	Groups Groups // where key groups are; nil: they stay with their slots

	// Note takes what people are to know, one sentence at a time; default: nobody.
	Note     func(text string)
	Nobody   error         // what Ask of the transport fails with when nobody serves; nil: who is dead is missed by its silence only
	Probe    time.Duration // between questions to workers whether they are there; default 100ms
	Tick     time.Duration // between looks for who is silent, and repeated rosters; default 500ms
	Farewell time.Duration // most that is waited for workers to leave when the job is over; default 5s
	Linger   time.Duration // for how long it is told that the job is over, though all have left; default 0
}

// Groups says where key groups are.
type Groups interface {
	Has() []int              // how many each slot has; nil: it is not known
	Level(shares []int) bool // they are as shares say
}

// Leader runs the crew of a job: it answers workers, tells them the roster, and carries
// out commands.
type Leader struct {
	cfg     LeaderConfig
	wire    wire
	started time.Time
	changed chan struct{} // has a token when the roster has changed

	resigned   chan struct{} // closed by Resign
	resignOnce sync.Once

	mu        sync.Mutex // guards what follows; no I/O under it
	crew      *Crew
	logs      []Log // the last of them
	strangers int
}

// logLines is how many lines a leader keeps for the command logs.
const logLines = 1000

// NewLeader returns the leader of a job; it answers nobody before Run.
func NewLeader(cfg LeaderConfig) *Leader {
	for _, d := range []struct {
		v     *time.Duration
		value time.Duration
	}{{&cfg.Crew.Silence, 3 * time.Second}, {&cfg.Crew.Build, 2 * time.Minute}, {&cfg.Tick, 500 * time.Millisecond}, {&cfg.Probe, 100 * time.Millisecond}, {&cfg.Farewell, 5 * time.Second}} {
		if *d.v == 0 {
			*d.v = d.value
		}
	}
	if cfg.Note == nil {
		cfg.Note = func(string) {}
	}
	now := time.Now()
	return &Leader{
		cfg: cfg, wire: wire{cfg.Transport, cfg.Sealer}, started: now,
		changed: make(chan struct{}, 1), resigned: make(chan struct{}), crew: NewCrew(cfg.Crew, cfg.Last, now),
	}
}

// ErrReplaced is what a leader ends with when another one leads.
var ErrReplaced = errors.New("another process leads the job")

// Resign ends Run with [ErrReplaced]: another one is to lead, or does so already.
func (l *Leader) Resign() { l.resignOnce.Do(func() { close(l.resigned) }) }

// Run leads until the job is over and all workers have left, or do not leave, and returns
// the last roster. When ctx ends the job is cancelled. It fails with [ErrReplaced] when
// something is heard of a later leader. No goroutine of the leader is left.
func (l *Leader) Run(ctx context.Context) (*Roster, error) {
	calls, cancelCalls := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelCalls()
	stop, err := l.wire.serve(service, func(m Message) Message { return l.answer(calls, m) })
	if err != nil {
		return nil, fmt.Errorf("lead the job: %w", err)
	}
	defer stop()
	defer cancelCalls() // first: stop waits for calls
	quiet, err := l.wire.listen(l.hear)
	if err != nil {
		return nil, fmt.Errorf("lead the job: %w", err)
	}
	defer quiet()
	var work sync.WaitGroup
	defer work.Wait()
	defer cancelCalls()
	if l.cfg.Nobody != nil {
		work.Go(func() { l.probe(calls) })
	}

	tick := time.NewTicker(l.cfg.Tick)
	defer tick.Stop()
	cancelled := ctx.Done()
	var farewell, lingered <-chan time.Time
	told := l.cfg.Linger == 0 // for long enough
	drains := false
	ear := ear{most: l.cfg.Crew.Silence / 2}
	l.publish()
	for {
		if !drains && l.Roster().Phase == Draining {
			drains = true
			work.Go(func() { l.drain(calls) })
		}
		select {
		case <-cancelled:
			cancelled = nil
			l.Cancel()
		case <-l.changed:
			l.publish()
		case <-tick.C:
			l.do(func(c *Crew) {
				now := time.Now()
				if ear.deaf(l.wire, now) {
					c.Excuse(now)
				}
				c.Tick(now)
			})
			l.publish() // again, as it may have been lost
		case <-farewell:
			return l.Roster(), nil
		case <-lingered:
			told = true
		case <-l.resigned:
			return nil, ErrReplaced
		}
		switch r := l.Roster(); {
		case !r.Phase.Over():
		case l.empty() && told:
			return r, nil
		case farewell == nil:
			farewell = time.After(max(l.cfg.Farewell, l.cfg.Linger))
			lingered = time.After(l.cfg.Linger)
		}
	}
}

// do tells the crew something, and people what came of it.
func (l *Leader) do(fact func(*Crew)) {
	l.mu.Lock()
	before := l.crew.Roster().Edition
	fact(l.crew)
	notes, changed := l.crew.Notes(), l.crew.Roster().Edition != before
	l.mu.Unlock()
	for _, note := range notes {
		l.cfg.Note(note)
	}
	if changed {
		select {
		case l.changed <- struct{}{}:
		default:
		}
	}
}

func (l *Leader) publish() {
	_ = l.wire.tell(l.Roster()) // what is lost is repeated, and told to who beats
}

// drain stops slots when the job is where it can stop.
func (l *Leader) drain(ctx context.Context) {
	if l.cfg.Drain != nil {
		l.cfg.Drain(ctx)
	}
	if ctx.Err() == nil {
		l.do((*Crew).Stop)
	}
}

// answer is what a request gets; nil is a stranger's.
func (l *Leader) answer(ctx context.Context, m Message) (answer Message) {
	switch m := m.(type) {
	case nil:
		l.mu.Lock()
		l.strangers++
		first := l.strangers == 1
		l.mu.Unlock()
		if first {
			l.cfg.Note("somebody without the join token wants to join, and is refused")
		}
		return &Refused{Reason: ErrStranger.Error()}
	case *Hello:
		l.do(func(c *Crew) { answer = c.Hello(m, time.Now()) })
	case *Ready:
		l.do(func(c *Crew) { answer = c.Ready(m, time.Now()) })
	case *Beat:
		if m.Term > l.cfg.Crew.Term {
			l.Resign()
			return &Fine{}
		}
		l.do(func(c *Crew) { answer = c.Beat(m, time.Now()) })
	case *Exit:
		l.do(func(c *Crew) { c.Exit(m) })
		return &Fine{}
	case *Command:
		return l.command(ctx, m)
	default:
		return &Refused{Reason: "nobody asks for " + kindOf(m)}
	}
	return answer
}

// command carries out a command.
func (l *Leader) command(ctx context.Context, m *Command) *Reply {
	var result any
	var err error
	switch m.Name {
	case "status":
		result = l.Status()
	case "explain":
		result = l.explain(ctx)
	case "cancel":
		l.Cancel()
		result = l.Roster().Phase
	case "drain":
		l.Drain()
		result = l.Roster().Phase
	case "rescale":
		result, err = l.rescale(m.Args)
	case "terms": // for who submits the job again
		result = json.RawMessage(l.cfg.Crew.Job)
	case "logs":
		result, err = l.lastLogs(m.Args)
	default:
		more := l.cfg.More[m.Name]
		if more == nil {
			names := slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(l.cfg.More)), "cancel", "drain", "explain", "logs", "rescale", "status", "terms")))
			return reply(nil, fmt.Errorf("there is no command %q for this job; there is: %s", cut(m.Name), strings.Join(names, ", ")))
		}
		result, err = more(ctx, m.Args)
	}
	return reply(result, err)
}

// reply is the answer to a command.
func reply(result any, err error) *Reply {
	if err == nil {
		var b []byte
		if b, err = json.Marshal(result); err == nil {
			return &Reply{Result: b}
		}
	}
	return &Reply{Error: Text(err.Error())}
}

// hear keeps what workers show, and resigns when there is a later leader.
func (l *Leader) hear(m Message) {
	switch m := m.(type) {
	case *Roster:
		if m.Term > l.cfg.Crew.Term {
			l.Resign()
		}
	case *Log:
		l.keep(*m)
	}
}

func (l *Leader) keep(line Log) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.logs = append(l.logs, line); len(l.logs) >= 2*logLines {
		l.logs = slices.Clone(l.logs[len(l.logs)-logLines:])
	}
}

// lastLogs are the last lines, as many as are asked for, at most what a message takes.
func (l *Leader) lastLogs(args []string) ([]Log, error) {
	n := 100
	if len(args) > 0 {
		var err error
		if n, err = strconv.Atoi(args[0]); err != nil || n < 0 || len(args) > 1 {
			return nil, fmt.Errorf("logs: want the number of lines, got %q", strings.Join(args, " "))
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	first, room := len(l.logs), MaxMessage/8 // a byte is six in JSON, at worst
	for first > 0 && len(l.logs)-first < min(n, logLines) && room > 0 {
		first--
		room -= len(l.logs[first].Line) + 100
	}
	return slices.Clone(l.logs[first:]), nil
}

// Died tells that a process of this host is dead.
func (l *Leader) Died(host string, pid int, reason string) {
	l.do(func(c *Crew) { c.Died(host, pid, reason) })
}

// Cancel ends the job.
func (l *Leader) Cancel() { l.do((*Crew).Cancel) }

// Drain lets the job show all that its sources have given, and stop.
func (l *Leader) Drain() { l.do((*Crew).Drain) }

// Fail ends the job with an error.
func (l *Leader) Fail(why string) { l.do(func(c *Crew) { c.Fail(why) }) }

// Roster is the roster as it is now. It is not to be changed.
func (l *Leader) Roster() *Roster {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.crew.Roster()
	return &r
}

func (l *Leader) empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.crew.Empty()
}

// Status is how the job is.
func (l *Leader) Status() *Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.crew.Roster()
	s := &Status{Job: l.cfg.Sealer.Job, Phase: r.Phase, Why: r.Why, Started: l.started, Wait: l.cfg.Crew.Wait, Workers: []WorkerStatus{}, Slots: []SlotStatus{},
		Wish: r.Wish, Missing: l.crew.missing()}
	s.Settled = r.Phase == Running && s.Missing == 0 && !l.crew.moving() && l.level()
	numbers := map[string]int{}
	for _, m := range r.Workers {
		numbers[m.Worker] = m.Number
		s.Workers = append(s.Workers, WorkerStatus{m.Number, m.Host, m.Address, m.Parent, m.Spare})
	}
	var groups []int
	if l.cfg.Groups != nil {
		groups = l.cfg.Groups.Has()
	}
	for i, p := range r.Slots {
		report, known := l.crew.Report(i)
		slot := SlotStatus{Worker: numbers[p.Owner], Elements: report.Elements, Read: report.Read, Total: report.Total, Epoch: report.Epoch}
		if i < len(groups) {
			slot.Groups = groups[i]
		}
		if known {
			slot.State = &report.State
		}
		for _, w := range p.Standbys {
			slot.Standbys = append(slot.Standbys, numbers[w])
		}
		s.Slots = append(s.Slots, slot)
	}
	return s
}
