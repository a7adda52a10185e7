package distributed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/engine"
	protocol "github.com/millrace/millrace/internal/host"
	"github.com/millrace/millrace/internal/natsbus"
)

// terms are what workers have to know of a job beside its roster, so that each of them can
// lead it.
type terms struct {
	Slots    int            `json:"slots"`
	Lanes    int            `json:"lanes"`             // of each slot
	Standbys int            `json:"standbys"`          // of each slot
	ByEpoch  bool           `json:"byEpoch,omitempty"` // sinks commit with epochs of slots, not with cuts of the job
	Wait     int            `json:"wait"`              // workers without whom it does not begin
	Program  string         `json:"program"`
	Platform string         `json:"platform"`
	Epoch    time.Duration  `json:"epoch"`
	Size     int64          `json:"epochSize,omitempty"` // with which an epoch does not wait for its end, in bytes
	Cut      time.Duration  `json:"cut"`
	Plane    string         `json:"plane"`               // what data goes over
	Encrypt  bool           `json:"encrypted,omitempty"` // it is encrypted where it does not go over the job's NATS
	OnError  engine.OnError `json:"onError,omitempty"`
	Retries  int            `json:"retries,omitempty"`
}

// termsOf are those of the job that c describes, submitted by a process.
func termsOf(c *config, hello *cluster.Hello) *terms {
	return &terms{
		Slots: c.slots, Lanes: c.lanes, Standbys: c.standbys, ByEpoch: c.byEpoch, Wait: max(1, min(c.slots, c.workers)),
		Program: hello.Program, Platform: hello.Platform, Epoch: c.epoch, Size: c.epochSize, Cut: c.cut, Plane: c.plane, Encrypt: c.encrypted,
		OnError: c.onError, Retries: c.retries,
	}
}

// take makes c agree with a job that this process has joined.
func (t *terms) take(c *config) {
	c.slots, c.lanes, c.standbys, c.byEpoch, c.epoch, c.epochSize, c.cut = t.Slots, t.Lanes, t.Standbys, t.ByEpoch, t.Epoch, t.Size, t.Cut
	c.plane, c.encrypted = t.Plane, t.Encrypt
	c.onError, c.retries = t.OnError, t.Retries
}

func (t *terms) crew(flags []cluster.Flag, g cluster.Graph) cluster.CrewConfig {
	job, err := json.Marshal(t)
	if err != nil {
		panic(fmt.Sprintf("BUG: distributed: %v", err))
	}
	return cluster.CrewConfig{
		Slots: t.Slots, Lanes: t.Lanes, Standbys: t.Standbys, Wait: t.Wait, Program: t.Program, Platform: t.Platform,
		Graph: g, Flags: flags, Job: job,
	}
}

// candidate leads a job whenever nobody else does. There is one in each process of it.
type candidate struct {
	cfg    *config
	driver driver
	bus    *natsbus.Bus
	host   string // this machine's name
	crew   cluster.CrewConfig
	first  bool                // it makes room for what the job keeps
	rank   int                 // who has a lower one is given time to lead
	show   func(text string)   // shows a sentence to people here
	heard  func(l cluster.Log) // what others say of the job; may be nil
	stay   bool                // it was said that key groups can't move

	meter  protocol.LeaderMeter
	rests  protocol.Rests
	leader atomic.Pointer[cluster.Leader] // nil: another one leads
	roster atomic.Pointer[cluster.Roster] // the newest that was heard
}

// A leader of which no roster was heard for so long is looked for, and for so much longer by
// each further candidate.
const (
	silenceMost = 3 * time.Second
	rankPause   = 500 * time.Millisecond
)

// errOver is what a process leads into that was cut off until the job was over.
var errOver = errors.New("the job is over: another process has led it to its end, and says there how it has ended")

// run leads, if lead says so, and later when the leader is gone. It returns the last roster
// when the job is over. When ctx ends it leads no longer.
func (c *candidate) run(ctx context.Context, lead bool) (*cluster.Roster, error) {
	for {
		if lead {
			last, err := c.lead(ctx)
			if !errors.Is(err, cluster.ErrReplaced) {
				return last, err
			}
			c.leader.Store(nil)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			c.show("another process leads the job now")
		}
		last, err := c.follow(ctx)
		if last != nil || err != nil {
			return last, err
		}
		c.note("nothing is heard of the job's leader: this process leads it now")
		lead = true
	}
}

// note shows a sentence, here and to who is attached.
func (c *candidate) note(text string) {
	c.show(text)
	_ = c.client().Log(0, text) // what is lost there stands here
}

func (c *candidate) client() *cluster.Client {
	return &cluster.Client{Transport: c.bus.Control(), Sealer: c.sealer()}
}

func (c *candidate) sealer() cluster.Sealer {
	return cluster.Sealer{Job: c.cfg.job, Token: c.cfg.token}
}

// lead leads until the job is over, another one leads or ctx ends; then the error is
// [cluster.ErrReplaced].
func (c *candidate) lead(parent context.Context) (*cluster.Roster, error) {
	ctx, stop := context.WithCancel(parent)
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	type from struct {
		term   uint64
		goesOn bool
	}
	began, failed := make(chan from, 1), make(chan error, 1)
	cfg, last := *c.cfg, c.roster.Load()
	c.rests.Drain(false)
	groups := c.groups()
	if last != nil {
		cfg.slots = len(last.Slots)
		c.rests.Drain(last.Phase == cluster.Draining) // sources must not read on meanwhile
	}
	work.Go(func() {
		failed <- c.driver.lead(ctx, &cfg, c.bus, &c.meter, &c.rests, groups, c.first, func(term uint64, goesOn bool) { began <- from{term, goesOn} }, c.note)
	})
	crew := c.crew
	select {
	case f := <-began:
		if crew.Term = f.term; c.first && f.goesOn {
			c.note("the job goes on with what it has kept")
		}
	case err := <-failed:
		if errors.Is(err, protocol.ErrReplaced) || parent.Err() != nil {
			err = cluster.ErrReplaced
		}
		return nil, err
	}
	c.first = false
	leader := cluster.NewLeader(cluster.LeaderConfig{
		Crew: crew, Last: last, Transport: c.bus.Control(), Sealer: c.sealer(), Nobody: natsbus.ErrNobody,
		Groups: groups, Drain: c.drain, Note: c.note, More: c.more(), Linger: c.linger(),
	})
	work.Go(func() {
		switch err := <-failed; {
		case ctx.Err() != nil:
		case errors.Is(err, protocol.ErrReplaced):
			leader.Resign()
		default:
			leader.Fail(fmt.Sprintf("lead the job: %v", err))
		}
	})
	defer context.AfterFunc(parent, leader.Resign)()
	c.leader.Store(leader)
	absent, err := present(c.bus, func() called {
		s := leader.Status()
		return called{Job: s.Job, Phase: s.Phase, Workers: len(s.Workers), Slots: len(s.Slots), Host: c.host, Started: s.Started}
	})
	if err != nil {
		return nil, err
	}
	defer absent()
	if last, err = leader.Run(context.WithoutCancel(parent)); err != nil {
		return nil, err
	}
	stop()
	work.Wait()
	return last, c.forget(last.Phase)
}

// drain brings the job to its last cut, for as long as it may take.
func (c *candidate) drain(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, c.cfg.drainTimeout)
	defer cancel()
	c.rests.Drain(true)
	switch at, err := c.rests.Drained(within); {
	case err == nil:
		c.note(fmt.Sprintf("all that sources have given is shown, up to cut %d", at))
	case ctx.Err() != nil: // the job is over, or another process leads it
	case c.cfg.lasts():
		c.note(fmt.Sprintf("what sources have given was not all shown in %v (-drain-timeout): the next run shows the rest", c.cfg.drainTimeout))
	default:
		c.note(fmt.Sprintf("what sources have given was not all shown in %v (-drain-timeout), and the rest is lost, as the job keeps nothing", c.cfg.drainTimeout))
	}
}

// groups levels key groups while this process leads. Where they can't move it says so, once.
func (c *candidate) groups() *protocol.Groups {
	why := engine.Movable(c.cfg.built)
	groups := protocol.NewGroups(func() []int {
		leader := c.leader.Load()
		if leader == nil {
			return nil
		}
		shares := leader.Shares()
		if shares == nil || why == nil {
			return shares
		}
		if !c.stay && slices.Min(shares) < slices.Max(shares) {
			c.stay = true
			c.note(fmt.Sprintf("key groups stay with their slots, so that a worker with more slots has more to do: %v", why))
		}
		return nil
	})
	if why != nil {
		groups.Stay()
	}
	return groups
}

// linger is for how long a leader tells that the job is over: where another process has led
// it before, that may be cut off, and its people want to know.
func (c *candidate) linger() time.Duration {
	if c.rank == 0 {
		return 0
	}
	return silenceMost + silenceMost/2
}

// forget deletes what the job has kept, if nothing can go on with it: its next run begins
// anew. What a job leaves that failed or was drained is kept for that.
func (c *candidate) forget(p cluster.Phase) error {
	if !c.cfg.lasts() {
		return nil
	}
	ctx := context.Background() // it is over, also for who was interrupted
	if p != cluster.Done && p != cluster.Cancelled {
		if err := c.driver.end(ctx, c.cfg, true); err != nil { // it is over all the same
			c.note(fmt.Sprintf("that the job is %s could not be noted, and who was cut off from it may go on with it: %v", p, err))
		}
		return nil
	}
	if err := c.driver.end(ctx, c.cfg, false); err != nil {
		return fmt.Errorf("the job is %s, and what it has kept could not be deleted, so that its next run will find it: %w", p, err)
	}
	return nil
}

// follow returns the last roster when the job is over, and nil when nobody leads.
func (c *candidate) follow(ctx context.Context) (*cluster.Roster, error) {
	rosters := make(chan *cluster.Roster, 16)
	stop, err := c.client().Watch(func(l *cluster.Log) {
		if c.heard != nil {
			c.heard(*l)
		}
	}, func(r *cluster.Roster) {
		select {
		case rosters <- r:
		default: // it is told again
		}
	})
	if err != nil {
		return nil, err
	}
	defer stop()
	absent, err := present(c.bus, func() called {
		j := called{Job: c.cfg.job, Slots: c.cfg.slots}
		if r := c.roster.Load(); r != nil {
			j.Phase, j.Workers, j.Slots = r.Phase, len(r.Workers), len(r.Slots)
		}
		return j
	})
	if err != nil {
		return nil, err
	}
	defer absent()
	most := silenceMost + time.Duration(c.rank)*rankPause
	silent := time.NewTimer(most)
	defer silent.Stop()
	for {
		select {
		case r := <-rosters:
			if last := c.roster.Load(); last != nil && last.Newer(r.Edition) {
				continue // of a leader that was replaced, and does not know it
			}
			c.roster.Store(r)
			if r.Phase.Over() {
				return r, nil
			}
			silent.Reset(most)
		case <-silent.C:
			if c.bus.Connected() && !c.led(ctx) {
				return nil, ctx.Err()
			}
			silent.Reset(most)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// led reports that somebody answers who leads the job.
func (c *candidate) led(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var s cluster.Status
	err := c.client().Do(ctx, &s, "status")
	return err == nil || errors.Is(err, cluster.ErrStranger)
}
