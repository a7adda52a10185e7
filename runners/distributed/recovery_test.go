package distributed

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/runner"
	"github.com/millrace/millrace/io/generate"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners"
	"github.com/stretchr/testify/require"
)

var kills = flag.Int("kills", 1, "how many workers TestRecovery kills")

// pulseVar makes the program one that never ends and says, to this address, each key that
// it has counted, and in which process.
const pulseVar = "MILLRACE_TEST_PULSE"

const pulseKeys = 60

// pulseMain runs that program. Its slots say how their takeovers went.
func pulseMain() {
	conn, err := net.Dial("udp", os.Getenv(pulseVar))
	if err != nil {
		panic(err)
	}
	d := slotDriver
	d.host = func(s setting) (host, error) {
		h, err := newSlots(s)
		if err == nil {
			h.(*slots).log = slog.New(slog.NewTextHandler(s.out, nil))
		}
		return h, err
	}
	runner.Register(newRunner(d))
	runners.Main(func(p *pipeline.Pipeline) {
		keys := pipeline.KeyBy(generate.Numbers(p, generate.Rate(3000)), func(v uint64) uint64 { return v % pulseKeys })
		counted := pipeline.Stateful(keys, "count", func(s *pipeline.Setup[uint64, uint64]) pipeline.Process[uint64, uint64, uint64] {
			n := pipeline.ValueState[uint64](s, "n")
			return func(c *pipeline.Ctx[uint64], _ uint64, emit pipeline.Emit[uint64]) error {
				n.Set(c, n.Get(c)+1)
				emit(c.Key())
				return nil
			}
		})
		pipeline.ForEach(counted, func(_ context.Context, key uint64) error {
			_, err := fmt.Fprint(conn, os.Getpid(), " ", key)
			return err
		})
	})
}

// pulse is when keys were heard, and of which process.
type pulse struct {
	conn net.PacketConn
	last [pulseKeys]struct {
		at  time.Time
		pid int
	}
}

// hear takes what is said for a while, and gives the longest silence of the keys that
// process pid had in the beginning, and of all others.
func (p *pulse) hear(t *testing.T, pid int, most time.Duration) (its, others time.Duration) {
	b := make([]byte, 100)
	had := p.last
	for end := time.Now().Add(most); time.Now().Before(end); {
		require.NoError(t, p.conn.SetReadDeadline(time.Now().Add(time.Minute)))
		n, _, err := p.conn.ReadFrom(b)
		require.NoError(t, err)
		var from, key int
		_, err = fmt.Sscan(string(b[:n]), &from, &key)
		require.NoError(t, err)
		now, k := time.Now(), &p.last[key]
		if !k.at.IsZero() {
			if had[key].pid == pid {
				its = max(its, now.Sub(k.at))
			} else {
				others = max(others, now.Sub(k.at))
			}
		}
		k.at, k.pid = now, from
	}
	return its, others
}

// Goal: with a standby, the keys of a worker that is killed are silent for a short time
// only. The figures are logged: go test -run TestRecovery -kills=20 -v
func TestRecovery(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer conn.Close()
	a := start(t, t.TempDir(), []string{pulseVar + "=" + conn.LocalAddr().String()}, "-workers=3", "-parallelism=1", "-standby=1", "-epoch=10ms")
	pids := map[int]int{}
	for len(pids) < 3 {
		m := a.await(`^worker (\d) \(.*, pid (\d+)\) is here$`)
		n, _ := strconv.Atoi(m[1])
		pids[n], _ = strconv.Atoi(m[2])
	}
	p := &pulse{conn: conn}
	var its, others []time.Duration
	for i := range *kills {
		n := i%3 + 1
		p.hear(t, 0, 3*time.Second)
		_, calm := p.hear(t, 0, time.Second)
		require.NoError(t, syscall.Kill(pids[n], syscall.SIGKILL))
		killed := time.Now()
		x, y := p.hear(t, pids[n], 2*time.Second)
		t.Logf("killed at %s: its keys were silent for %v, others for %v, before for %v", killed.Format("05.000"), x, y, calm)
		its, others = append(its, x), append(others, y)
		pids[n], _ = strconv.Atoi(a.await(`^worker ` + strconv.Itoa(n) + ` \(.*, pid (\d+)\) is here$`)[1])
	}
	slices.Sort(its)
	slices.Sort(others)
	t.Logf("its keys: p50 %v, most %v; others: p50 %v, most %v", its[len(its)/2], its[len(its)-1], others[len(others)/2], others[len(others)-1])
	require.NoError(t, a.cmd.Process.Signal(os.Interrupt))
	_ = a.wait() // it was interrupted
	require.Less(t, its[len(its)/2], 10*time.Second)
	for _, line := range a.seen {
		t.Log(line)
	}
}
