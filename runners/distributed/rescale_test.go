package distributed

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/paced"
	"github.com/millrace/millrace/io/text"
	"github.com/millrace/millrace/pipeline"
	"github.com/stretchr/testify/require"
)

// rescale runs the command rescale, which has to succeed, and returns what it has printed.
func rescale(t *testing.T, dir string, args ...string) string {
	t.Helper()
	stdout, stderr, err := command(t, dir, nil, append([]string{"rescale"}, args...)...)
	require.NoError(t, err, stderr)
	require.Empty(t, stderr)
	return stdout
}

// status is that of the job of a test's folder.
func status(t *testing.T, dir string, env []string, args ...string) (s cluster.Status) {
	t.Helper()
	stdout, stderr, err := command(t, dir, env, append(args, "status", "-json")...)
	require.NoError(t, err, stderr)
	require.NoError(t, json.Unmarshal([]byte(stdout), &s))
	return s
}

// Goal: the process that has started the workers starts those that are missing; those that
// are too many give away their slots, end, and are not started again.
func TestRescale(t *testing.T) {
	dir := t.TempDir()
	a := start(t, dir, nil, "-workers=3", "-slots=6")
	a.slots(6)
	require.Regexp(t, `^the job shop has 5 workers: [1-6] slots? moved in \d+\.\d s\n$`, rescale(t, dir, "-wait", "5"))
	s := status(t, dir, nil)
	require.Len(t, s.Workers, 5)
	require.True(t, s.Settled)
	require.Regexp(t, `^{"job":"shop","workers":2,"missing":0,"moved":[1-6],"seconds":.*,"settled":true}\n$`, rescale(t, dir, "-wait", "-json", "2"))
	s = status(t, dir, nil)
	require.Len(t, s.Workers, 2)
	has := map[int]int{}
	for _, slot := range s.Slots {
		has[slot.Worker]++
	}
	require.Equal(t, map[int]int{1: 3, 2: 3}, has)
	require.Contains(t, rescale(t, dir, "-wait", "2"), "the job shop has 2 workers: 0 slots moved")
	require.Contains(t, rescale(t, dir, "3"), "the job shop is to have 3 workers, of which 1 did not come yet")
	require.Contains(t, rescale(t, dir, "-wait", "3"), "the job shop has 3 workers")
	a.finish()
	require.NoError(t, a.wait())
	text := strings.Join(a.seen, "\n")
	for _, n := range []int{3, 4, 5} {
		require.Contains(t, text, fmt.Sprintf("worker %d gives away what it has, as a spare: it is not needed, and ends", n))
		require.Contains(t, text, fmt.Sprintf("worker %d is gone: it is not needed any more", n))
	}
	require.NotContains(t, text, "started again")
}

// Goal: while slots move back to a worker that was killed, another number can be wished for.
func TestRescale_behindAKill(t *testing.T) {
	dir := t.TempDir()
	a := start(t, dir, nil, "-workers=3", "-slots=6")
	pids := a.slots(6)
	rescale(t, dir, "-wait", "3")
	require.NoError(t, syscall.Kill(pids[1], syscall.SIGKILL))
	a.await(`^slot \d goes to worker \d$`)
	rescale(t, dir, "4")
	require.Contains(t, rescale(t, dir, "-wait", "2"), "the job shop has 2 workers: ")
	require.Len(t, status(t, dir, nil).Workers, 2)
	a.finish()
	require.NoError(t, a.wait())
}

// Goal: a process starts what is missing beside its own workers, those that are being started
// again among them, and those of others that have slots.
func TestSubmission_missing(t *testing.T) {
	s := &submission{hello: cluster.Hello{Worker: "me"}}
	mine, others, joined := cluster.Member{Parent: "me"}, cluster.Member{Parent: "you"}, cluster.Member{}
	spare := cluster.Member{Spare: true}
	for _, tc := range []struct {
		phase   cluster.Phase
		wish    int
		workers []cluster.Member
		kept    int
		want    int
	}{
		{cluster.Running, 0, nil, 0, 0},
		{cluster.Running, 5, []cluster.Member{mine, mine, mine}, 3, 2},
		{cluster.Running, 5, []cluster.Member{mine}, 3, 2},
		{cluster.Running, 5, []cluster.Member{mine, others, joined, spare}, 1, 2},
		{cluster.Running, 2, []cluster.Member{mine, mine, joined}, 2, 0},
		{cluster.Draining, 5, []cluster.Member{mine}, 1, 0},
	} {
		require.Equal(t, tc.want, s.missing(&cluster.Roster{Phase: tc.phase, Wish: tc.wish, Workers: tc.workers}, tc.kept), tc)
	}
}

// Goal: who has joined by itself stays as a spare. Where no process starts workers, the
// command says how they join, and goes on when they have.
func TestRescale_joined(t *testing.T) {
	url, dir, token := outside(t), t.TempDir(), []string{joinToken + "=sesame"}
	a := start(t, dir, token, "-workers=1", "-slots=2", "-nats="+url)
	a.slots(2)
	b := start(t, dir, token, "-join="+url)
	b.await(`^slot \d is here`)
	require.Contains(t, rescale(t, dir, "-wait", "1"), "the job shop has 1 worker: ")
	a.await(`^worker 1 is gone: it is not needed any more$`)

	more := startAs(t, dir, true, nil, "rescale", "-wait", "2")
	more.await(`^1 of 2 workers is missing, and no process of the job starts them; a worker joins by$`)
	more.await(`^  MILLRACE_JOIN_TOKEN=TOKEN PROGRAM -runner=distributed -job=shop -join=` + url + `$`)
	c := start(t, dir, token, "-join="+url)
	c.await(`^slot \d is here`)
	more.await(`^the job shop has 2 workers: 1 slot moved in `)
	require.NoError(t, more.wait())

	require.Regexp(t, `^the job shop has 1 worker: 1 slot moved in .* s\nworker 2 on .* stays as a spare, without slots\n$`, rescale(t, dir, "-wait", "1"))
	require.Len(t, status(t, dir, nil).Workers, 2)
	a.finish()
	for _, x := range []*app{a, b, c} {
		require.NoError(t, x.wait())
	}
}

// Goal: what can't be is said, and why.
func TestRescale_wrong(t *testing.T) {
	dir := t.TempDir()
	a := start(t, dir, nil, "-workers=1", "-slots=2")
	a.slots(2)
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{nil, 2, `^rescale: an argument is missing\nusage: rescale N \[-wait\] \[-json\]$`},
		{[]string{"two"}, 1, `^rescale: "two" is no number of workers$`},
		{[]string{"0"}, 1, `^rescale: 0 workers can do nothing: want 1 to 2$`},
		{[]string{"3"}, 1, `^rescale: 3 workers are more than the job has slots \(-slots, when it began\), and some would have nothing to do: want 1 to 2$`},
	} {
		_, stderr, err := command(t, dir, nil, append([]string{"rescale"}, tc.args...)...)
		exit, ok := errors.AsType[*exec.ExitError](err)
		require.True(t, ok, tc.args)
		require.Equal(t, tc.code, exit.ExitCode())
		require.Regexp(t, tc.want, stderr)
	}
	a.finish()
	require.NoError(t, a.wait())
}

// The job ranks reads so many numbers, of so many keys in so many groups.
const (
	rankSplits = 6
	rankOf     = rankSplits * 4000
	rankKeys   = 48
	rankGroups = 7
)

// ranks writes for each number the how manieth of its key it is, and the how manieth of its
// key's group that this is: two shuffles, each with a state behind it.
func ranks(p *pipeline.Pipeline, dir string) {
	n := readRanks(p, dir)
	byKey := pipeline.Stateful(pipeline.KeyBy(n, func(v uint64) uint64 { return v % rankKeys }), "of key", nth)
	byGroup := pipeline.KeyBy(byKey, func(r pipeline.KV[uint64, uint64]) uint64 { return r.Key % rankGroups })
	counted := pipeline.Stateful(byGroup, "of group", func(s *pipeline.Setup[uint64, string]) pipeline.Process[uint64, pipeline.KV[uint64, uint64], string] {
		nth := pipeline.ValueState[uint64](s, "n")
		return func(c *pipeline.Ctx[uint64], r pipeline.KV[uint64, uint64], emit pipeline.Emit[string]) error {
			nth.Set(c, nth.Get(c)+1)
			emit(fmt.Sprintf("key %d %d", r.Key, r.Value))
			emit(fmt.Sprintf("group %d %d", c.Key(), nth.Get(c)))
			return nil
		}
	})
	text.Write(counted, filepath.Join(dir, "out.txt"), text.RollEach())
}

func nth(s *pipeline.Setup[uint64, pipeline.KV[uint64, uint64]]) pipeline.Process[uint64, uint64, pipeline.KV[uint64, uint64]] {
	n := pipeline.ValueState[uint64](s, "n")
	return func(c *pipeline.Ctx[uint64], _ uint64, emit pipeline.Emit[pipeline.KV[uint64, uint64]]) error {
		n.Set(c, n.Get(c)+1)
		emit(pipeline.KV[uint64, uint64]{Key: c.Key(), Value: n.Get(c)})
		return nil
	}
}

// readRanks is the numbers below rankOf: few in a second and not all, until there is a file
// finish in the folder.
func readRanks(p *pipeline.Pipeline, dir string) pipeline.PCollection[uint64] {
	n := paced.Numbers{Parts: rankSplits}
	n.Due = func(from uint64, since time.Duration) (uint64, bool) {
		if _, err := os.Stat(filepath.Join(dir, "finish")); err == nil {
			return rankOf, true
		}
		return min(rankOf*3/4, n.At(400, from, since)), false
	}
	numbers := pipeline.Read[uint64](p, "ranks", n)
	if os.Getenv(givenVar) != "" {
		numbers = written(numbers, dir)
	}
	return numbers
}

// rankLines is every line that ranks has to write.
func rankLines() (want []string) {
	ofKey, ofGroup := map[uint64]int{}, map[uint64]int{}
	for v := range uint64(rankOf) {
		key := v % rankKeys
		group := key % rankGroups
		ofKey[key]++
		ofGroup[group]++
		want = append(want, fmt.Sprintf("key %d %d", key, ofKey[key]), fmt.Sprintf("group %d %d", group, ofGroup[group]))
	}
	slices.Sort(want)
	return want
}

// Goal: a job with two shuffles writes what it has to, each line once, while 3 workers become
// 5, and those 2, with standbys and without. Where a worker has more slots than another, key
// groups move, so that workers have equal shares of them. Method: numbers flow all the time; the
// rest comes at once when slots and groups are where they are to be.
func TestRescale_exact(t *testing.T) {
	for standbys, plane := range map[string]string{"0": "nats", "1": "direct"} {
		t.Run(standbys+" standbys", func(t *testing.T) {
			dir := t.TempDir()
			a := start(t, dir, []string{countVar + "=ranks"}, "-workers=3", "-slots=6", "-parallelism=1", "-cut=300ms", "-plane="+plane, "-standby="+standbys)
			a.await(`^all are here: `)
			t.Log(rescale(t, dir, "-wait", "5"))
			a.await(`^\d+ of 1024 key groups move to other slots$`)
			shared(t, dir, 5)
			t.Log(rescale(t, dir, "-wait", "2"))
			shared(t, dir, 2)
			a.finish()
			require.NoError(t, a.wait(), "it said:\n%s", strings.Join(a.seen, "\n"))
			checkRanks(t, dir)
		})
	}
}

// shared wants so many workers to have equal shares of the key groups.
func shared(t *testing.T, dir string, workers int) {
	t.Helper()
	s := status(t, dir, nil)
	require.Len(t, s.Workers, workers)
	has := map[int]int{}
	for _, slot := range s.Slots {
		has[slot.Worker] += slot.Groups
	}
	require.Len(t, has, workers)
	for worker, n := range has {
		require.InDelta(t, 1024/workers, n, float64(len(s.Slots)), "worker %d", worker)
	}
}

// checkRanks compares what ranks has written with what it has to.
func checkRanks(t *testing.T, dir string) {
	t.Helper()
	times := map[string]int{}
	takeFiles(t, dir, times)
	var got []string
	for line, n := range times {
		for range n {
			got = append(got, line)
		}
	}
	slices.Sort(got)
	require.True(t, slices.Equal(rankLines(), got), "%d lines, of which %d differ; want %d", len(got), len(times), len(rankLines()))
}
