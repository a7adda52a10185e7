package distributed

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	protocol "github.com/millrace/millrace/internal/host"
	"github.com/millrace/millrace/internal/metrics"
)

// serveMetrics serves what collect adds to a page at the address that flags name, its port
// number higher: each process of a machine has its own. Without an address it does nothing.
func (c *config) serveMetrics(number int, collect func(p *metrics.Page)) (stop func(), err error) {
	if c.metrics == "" {
		return func() {}, nil
	}
	host, port, err := net.SplitHostPort(c.metrics)
	if err != nil {
		return nil, err
	}
	if n, _ := strconv.Atoi(port); n > 0 {
		port = strconv.Itoa(n + number)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, fmt.Errorf("serve metrics: %w", err)
	}
	server := &http.Server{Handler: metrics.Handler(collect), ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic(fmt.Sprintf("BUG: distributed: %v", err))
		}
	}()
	return func() { server.Close(); <-done }, nil
}

// count adds what the candidate knows, if it leads.
func (c *candidate) count(p *metrics.Page) {
	l := c.leader.Load()
	if l == nil {
		p.Gauge("millrace_leads", "1 if this process leads the job", 0, "job", c.cfg.job)
		return
	}
	s, m := l.Status(), &c.meter
	job := []string{"job", s.Job}
	p.Gauge("millrace_leads", "1 if this process leads the job", 1, job...)
	for phase := cluster.Gathering; phase <= cluster.Cancelled; phase++ {
		is := 0.0
		if phase == s.Phase {
			is = 1
		}
		p.Gauge("millrace_phase", "1 for the phase that the job is in", is, append(job, "phase", phase.String())...)
	}
	p.Gauge("millrace_workers", "workers of the job", float64(len(s.Workers)), job...)
	states := map[string]int{"none": 0}
	for state := cluster.Opening; state <= cluster.Broken; state++ {
		states[state.String()] = 0
	}
	var elements int64
	for _, slot := range s.Slots {
		state := "none"
		if slot.State != nil && slot.Worker > 0 {
			state = slot.State.String()
		}
		states[state]++
		elements += slot.Elements
	}
	for _, state := range []string{"none", "opening", "live", "stopped", "ended", "broken"} {
		p.Gauge("millrace_slots", "slots of the job by state; none: no worker has said anything of it", float64(states[state]), append(job, "state", state)...)
	}
	p.Gauge("millrace_elements_read", "elements that were read from sources since this process leads", float64(elements), job...)
	p.Counter("millrace_cuts_total", "complete cuts of the job", m.Cuts.Load(), job...)
	p.Counter("millrace_job_rollbacks_total", "times that the job was sent back to its last cut", m.Rollbacks.Load(), job...)
	p.Histogram("millrace_cut_seconds", "from when a cut is asked for until it is complete", &m.Cut, job...)
}

// count adds what the slots of a worker have done.
func (s *slots) count(p *metrics.Page) {
	s.mu.Lock()
	type one struct {
		slot    int
		meter   *protocol.Meter
		running *slot
	}
	var list []one
	for i := range s.meters {
		if m := s.meters[i]; m != nil {
			list = append(list, one{i, m, s.running[i]})
		}
	}
	s.mu.Unlock()
	for _, x := range list {
		at := []string{"job", s.cfg.job, "slot", strconv.Itoa(x.slot)}
		here, elements, epoch := 0.0, int64(0), uint64(0)
		if x.running != nil {
			here, elements, epoch = 1, x.running.seen.Progress().Elements, x.running.seen.Epoch().N
		}
		held, kept := x.meter.Bytes()
		p.Gauge("millrace_slot_here", "1 if the slot runs in this process", here, at...)
		p.Gauge("millrace_slot_elements_read", "elements that this incarnation has read from sources", float64(elements), at...)
		p.Gauge("millrace_slot_epoch", "the last committed epoch", float64(epoch), at...)
		p.Histogram("millrace_commit_seconds", "from the cut of an epoch until it is committed", &x.meter.Commit, at...)
		p.Histogram("millrace_commit_ready_seconds", "of a commit, until receivers hold the epoch and its changes are durable", &x.meter.Ready, at...)
		p.Histogram("millrace_commit_put_seconds", "of a commit, how long the epoch's record takes to be in the slot's register", &x.meter.Put, at...)
		for _, t := range []struct {
			name, help string
			traffic    *protocol.Traffic
		}{
			{"sent", "to other slots, what is sent again included", &x.meter.Sent},
			{"resent", "that were sent again", &x.meter.Resent},
			{"received", "from other slots, what comes twice included", &x.meter.Received},
		} {
			p.Counter("millrace_frames_"+t.name+"_total", "frames "+t.help, t.traffic.Frames.Load(), at...)
			p.Counter("millrace_bytes_"+t.name+"_total", "bytes of frames "+t.help, t.traffic.Bytes.Load(), at...)
		}
		p.Gauge("millrace_held_bytes", "bytes of frames that are held and not yet taken in", float64(held), at...)
		p.Gauge("millrace_kept_bytes", "bytes of own frames that are kept until others have durably taken them in", float64(kept), at...)
		p.Counter("millrace_changelog_bytes_total", "bytes appended to the changelog", x.meter.ChangelogBytes.Load(), at...)
		p.Counter("millrace_given_bytes_total", "bytes of the state of key groups that went to other slots", x.meter.GivenBytes.Load(), at...)
		p.Counter("millrace_takeovers_total", "times that this process has taken the slot over", x.meter.Takeovers.Load(), at...)
		p.Counter("millrace_replays_total", "times that the slot has begun again here to find an element that fails, or behind that", x.meter.Replays.Load(), at...)
		p.Counter("millrace_rollbacks_total", "times that the slot has gone back to the last cut here", x.meter.Rollbacks.Load(), at...)
	}
	if d := s.plane.direct; d != nil {
		lost := d.Stats()
		p.Counter("millrace_direct_lost_total", "frames to other workers that could not be sent, or to which nobody listened here", lost.Lost, "job", s.cfg.job)
		p.Gauge("millrace_direct_missing", "other workers that are not reached, and get what is for them over the job's NATS", float64(d.Missing()), "job", s.cfg.job)
		p.Counter("millrace_direct_disconnects_total", "connections to other workers that were lost", lost.Disconnects, "job", s.cfg.job)
	}
	if r := s.plane.routed; r != nil {
		p.Gauge("millrace_mesh_missing", "other workers to whose servers there is no route", float64(r.Missing()), "job", s.cfg.job)
	}
	bus := s.bus.Stats()
	p.Counter("millrace_nats_lost_total", "messages that could not be sent", bus.Lost, "job", s.cfg.job)
	p.Counter("millrace_nats_disconnects_total", "connections to NATS that were lost", bus.Disconnects, "job", s.cfg.job)
}
