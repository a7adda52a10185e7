package distributed

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/held"
)

// chaos is what -chaos asks for: what happens to workers, and how often in the mean.
type chaos struct {
	kill, pause time.Duration // 0: never
}

// pauseFor is how long a worker stands still: sometimes for longer than the job waits for
// it, so that it comes back when others have its slots.
const (
	pauseLeast = 100 * time.Millisecond
	pauseMost  = 5 * time.Second
)

// parseChaos reads kill=10s,pause=5s.
func parseChaos(text string) (c chaos, err error) {
	if text == "" {
		return c, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		every, err := time.ParseDuration(value)
		switch {
		case err != nil:
			return c, wrong("chaos", "%q: want a mean time between, as kill=10s,pause=5s", part)
		case every < 100*time.Millisecond || every > 24*time.Hour:
			return c, wrong("chaos", "%q: want 100ms to 24h", part)
		case name == "kill" && c.kill == 0:
			c.kill = every
		case name == "pause" && c.pause == 0 && !canPause:
			return c, wrong("chaos", "processes can't be paused on this system: leave pause away")
		case name == "pause" && c.pause == 0:
			c.pause = every
		case name == "kill" || name == "pause":
			return c, wrong("chaos", "%s is there twice", name)
		default:
			return c, wrong("chaos", "nobody knows how to %q: want kill, pause or both, as kill=10s,pause=5s", name)
		}
	}
	return c, nil
}

// monkey does it to the workers of this process, while the job runs, and keeps account.
type monkey struct {
	chaos
	workers func() []int // their numbers
	signal  func(worker int, s os.Signal) error
	running func() bool // the job has begun, and is not over

	mu        sync.Mutex // guards what follows
	killed    map[int]bool
	heard     map[int]sign // of slots
	kills     int
	pauses    int
	takeovers int
	longest   time.Duration // that nothing was heard of a slot
}

// sign is the last that was heard of a slot.
type sign struct {
	inc held.Inc
	at  time.Time
}

func newMonkey(c chaos, workers func() []int, signal func(int, os.Signal) error, running func() bool) *monkey {
	return &monkey{chaos: c, workers: workers, signal: signal, running: running, killed: map[int]bool{}, heard: map[int]sign{}}
}

// run kills and pauses until ctx ends.
func (m *monkey) run(ctx context.Context) {
	var work sync.WaitGroup
	defer work.Wait()
	for _, do := range []struct {
		every time.Duration
		f     func(ctx context.Context, worker int)
	}{{m.kill, m.killOne}, {m.pause, m.pauseOne}} {
		if do.every > 0 {
			work.Go(func() {
				for sleep(ctx, time.Duration(rand.ExpFloat64()*float64(do.every))) {
					if workers := m.workers(); m.running() && len(workers) > 0 {
						do.f(ctx, workers[rand.IntN(len(workers))])
					}
				}
			})
		}
	}
}

func (m *monkey) killOne(_ context.Context, worker int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.signal(worker, os.Kill) == nil {
		m.killed[worker] = true
		m.kills++
	}
}

// mine reports, once, that a worker was killed by the monkey: it has not failed.
func (m *monkey) mine(worker int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.killed[worker]
	delete(m.killed, worker)
	return was
}

// pauseOne lets a worker stand still; short pauses are as frequent as long ones. It goes
// on before its time when the job is over.
func (m *monkey) pauseOne(ctx context.Context, worker int) {
	if m.signal(worker, stopSignal) != nil {
		return // it is being started again
	}
	m.mu.Lock()
	m.pauses++
	m.mu.Unlock()
	most := float64(pauseMost) / float64(pauseLeast)
	until := time.Now().Add(time.Duration(float64(pauseLeast) * math.Pow(most, rand.Float64())))
	for time.Now().Before(until) && m.running() && sleep(ctx, 10*time.Millisecond) {
	}
	_ = m.signal(worker, continueSignal) // it may have been killed meanwhile
}

// hear takes what slots tell all others.
func (m *monkey) hear(b []byte) {
	msg, err := held.DecodeMessage(b)
	if state, ok := msg.(*held.State); ok && err == nil {
		m.state(state.Slot, state.Inc, time.Now())
	}
}

// state notes that a slot was heard. One that was taken over counts no more.
func (m *monkey) state(slot int, inc held.Inc, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	last, known := m.heard[slot]
	if inc < last.inc {
		return
	}
	if known {
		m.longest = max(m.longest, now.Sub(last.at))
		if inc > last.inc {
			m.takeovers++
		}
	}
	m.heard[slot] = sign{inc, now}
}

// String is what was survived.
func (m *monkey) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fmt.Sprintf("survived: %s, %s, %s; no slot was silent for more than %v",
		many(m.kills, "kill"), many(m.pauses, "pause"), many(m.takeovers, "takeover"), m.longest.Round(time.Millisecond))
}

func many(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprint(n, " ", what, "s")
}

// sleep waits; false if ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
