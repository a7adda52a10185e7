package distributed

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/stretchr/testify/require"
)

// Goal: a worker is reached at the address from which it reaches NATS, or at the one that it is
// told, with the ports behind it for those that were started by another process; and frames go
// where the roster says that slots are.
func TestOpenPlane(t *testing.T) {
	c := &config{job: "till", token: "sesame", servers: []string{outside(t)}, plane: overNATS}
	bus, err := c.connect()
	require.NoError(t, err)
	defer bus.Close()
	over, err := c.openPlane(t.Context(), bus, "a", 0)
	require.NoError(t, err)
	require.Empty(t, over.address())
	over.follow(&cluster.Roster{Slots: make([]cluster.Place, 1)})
	over.close()

	for _, plane := range []string{overDirect, overMesh} {
		t.Run(plane, func(t *testing.T) {
			c := *c
			c.plane = plane
			from, err := c.openPlane(t.Context(), bus, "a", 1)
			require.NoError(t, err)
			defer from.close()
			require.Regexp(t, `^127\.0\.0\.1:\d+$`, from.address())
			taken, _ := strconv.Atoi(strings.TrimPrefix(from.address(), "127.0.0.1:"))
			c.planeListen = fmt.Sprint("127.0.0.1:", taken-3)
			_, err = c.openPlane(t.Context(), bus, "b", 3)
			require.ErrorContains(t, err, "address already in use")
			c.planeListen = "127.0.0.1:0"
			to, err := c.openPlane(t.Context(), bus, "b", 3)
			require.NoError(t, err)
			defer to.close()
			require.Regexp(t, `^127\.0\.0\.1:\d+$`, to.address())

			heard := make(chan string, 100)
			_, err = to.of().Listen(1, func(frame []byte) { heard <- string(frame) })
			require.NoError(t, err)
			r := &cluster.Roster{
				Workers: []cluster.Member{{Worker: "a", Address: from.address()}, {Worker: "b", Address: to.address()}, {Worker: "c"}},
				Slots:   []cluster.Place{{Owner: "c"}, {Owner: "b"}},
			}
			from.follow(r)
			to.follow(r)
			require.NoError(t, from.of().Send(0, []byte("nowhere")))
			require.Eventually(t, func() bool {
				require.NoError(t, from.of().Send(1, []byte("frame")))
				return len(heard) > 0
			}, 20*time.Second, 10*time.Millisecond)
			require.Equal(t, "frame", <-heard)
		})
	}
}

// Goal: a job whose data goes from worker to worker writes what it has to, each line once,
// while workers are killed, become more and fewer, with standbys and without. Method: numbers
// flow all the time; the rest comes at once in the end.
func TestPlane(t *testing.T) {
	for i, tc := range []struct{ plane, standbys string }{{overDirect, "0"}, {overMesh, "1"}, {overDirect, "1"}, {overMesh, "0"}} {
		if testing.Short() && i >= 2 {
			break
		}
		t.Run(tc.plane+", "+tc.standbys+" standbys", func(t *testing.T) {
			dir := t.TempDir()
			a := start(t, dir, []string{countVar + "=ranks"}, "-workers=3", "-slots=6", "-parallelism=1", "-cut=300ms", "-plane="+tc.plane, "-standby="+tc.standbys)
			pids := map[string]int{}
			for len(pids) < 3 {
				m := a.await(`^worker (\d) \(.*, pid (\d+)\) is here$`)
				pids[m[1]], _ = strconv.Atoi(m[2])
			}
			rescale(t, dir, "-wait", "3")
			var at []string
			for _, w := range status(t, dir, nil).Workers {
				require.Regexp(t, `^127\.0\.0\.1:\d+$`, w.Address)
				at = append(at, w.Address)
			}
			for range 2 {
				victim := fmt.Sprint(1 + rand.IntN(3))
				require.NoError(t, syscall.Kill(pids[victim], syscall.SIGKILL))
				m := a.await(`^worker ` + victim + ` \(.*, pid (\d+)\) is here$`)
				pids[victim], _ = strconv.Atoi(m[1])
			}
			rescale(t, dir, "-wait", "3")
			t.Log(rescale(t, dir, "-wait", "5"))
			s := status(t, dir, nil)
			require.Len(t, s.Workers, 5)
			require.True(t, slices.ContainsFunc(s.Workers, func(w cluster.WorkerStatus) bool { return !slices.Contains(at, w.Address) }))
			t.Log(rescale(t, dir, "-wait", "2"))
			a.finish()
			require.NoError(t, a.wait(), "it said:\n%s", strings.Join(a.seen, "\n"))
			checkRanks(t, dir)
		})
	}
}

// Goal: who submits a job that runs already, with another -plane, and leads it later, changes
// nothing: who joins then hears the others, and is heard.
func TestDirect_submittedAgain(t *testing.T) {
	url, dir, env := keeping(t), t.TempDir(), []string{countVar + "=ranks", joinToken + "=sesame"}
	a := start(t, dir, env, "-nats="+url, "-workers=0", "-slots=3", "-parallelism=1", "-cut=100ms", "-plane=direct")
	b := start(t, dir, env, "-join="+url)
	a.await(`^worker 1 \(.*\) is here$`)
	c := start(t, dir, env, "-nats="+url, "-workers=1", "-slots=3", "-plane=nats")
	a.await(`^worker 2 \(.*\) is here$`)
	require.NoError(t, a.cmd.Process.Kill())
	c.await(`^nothing is heard of the job's leader: this process leads it now$`)
	d := start(t, dir, env, "-join="+url)
	c.await(`^slot \d moves to worker 3`)
	for _, w := range status(t, dir, env, "-nats="+url).Workers {
		require.NotEmpty(t, w.Address, "worker %d", w.Number)
	}
	c.finish()
	for _, p := range []*app{b, c, d} {
		require.NoError(t, p.wait(), "it said:\n%s", strings.Join(p.seen, "\n"))
	}
	checkRanks(t, dir)
}

// Goal: with -plane=log results that are shown with each epoch come once, though all workers
// are killed at once, again and again, with standbys and without. Method: they are killed
// when more has been shown since the last time, by a job whose cuts are far apart: had it gone
// back to one, much would be there twice.
func TestLog(t *testing.T) {
	for _, standbys := range []string{"0", "1"} {
		t.Run(standbys+" standbys", func(t *testing.T) {
			dir := t.TempDir()
			a := start(t, dir, []string{countVar + "=ranks"}, "-workers=3", "-slots=6", "-parallelism=1", "-cut=3s", "-plane=log", "-sink-commit=epoch", "-standby="+standbys)
			times := map[string]int{}
			for range 4 {
				var pids []int
				for range 3 {
					pid, _ := strconv.Atoi(a.await(`^worker \d \(.*, pid (\d+)\) is here$`)[1])
					pids = append(pids, pid)
				}
				before := len(times)
				require.Eventually(t, func() bool { takeFiles(t, dir, times); return len(times) > before+100 }, time.Minute, 5*time.Millisecond)
				for _, pid := range pids {
					require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
				}
			}
			a.finish()
			require.NoError(t, a.wait(), "it said:\n%s", strings.Join(a.seen, "\n"))
			takeFiles(t, dir, times)
			want := rankLines()
			require.Len(t, times, len(want))
			for _, line := range want {
				require.Equal(t, 1, times[line], line)
			}
		})
	}
}

// Goal: the same where nobody is left, also not who has submitted the job: who submits it again
// goes on where it was.
func TestLog_nobodyLeft(t *testing.T) {
	url, dir := keeping(t), t.TempDir()
	times := map[string]int{}
	for life := range 3 {
		a := start(t, dir, []string{countVar + "=ranks"}, "-nats="+url, "-workers=3", "-parallelism=1", "-cut=1h", "-plane=log", "-sink-commit=epoch")
		var pids []int
		for range 3 {
			pid, _ := strconv.Atoi(a.await(`^worker \d \(.*, pid (\d+)\) is here$`)[1])
			pids = append(pids, pid)
		}
		before := len(times)
		require.Eventually(t, func() bool { takeFiles(t, dir, times); return len(times) > before+100 }, time.Minute, 5*time.Millisecond)
		if life == 2 {
			a.finish()
			require.NoError(t, a.wait(), "it said:\n%s", strings.Join(a.seen, "\n"))
			break
		}
		require.NoError(t, a.cmd.Process.Kill())
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended with its parent
		}
		require.EqualError(t, a.wait(), "signal: killed")
	}
	takeFiles(t, dir, times)
	want := rankLines()
	require.Len(t, times, len(want))
	for _, line := range want {
		require.Equal(t, 1, times[line], line)
	}
}
