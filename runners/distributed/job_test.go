package distributed

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	protocol "github.com/millrace/millrace/internal/host"
	"github.com/millrace/millrace/internal/metrics"
	"github.com/millrace/millrace/internal/natsbus"
	"github.com/millrace/millrace/internal/runner"
	"github.com/millrace/millrace/io/generate"
	"github.com/millrace/millrace/io/text"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners"
	"github.com/millrace/millrace/transforms"
	"github.com/stretchr/testify/require"
)

// programVar makes this test's binary a program with a pipeline, as a user's is. It is the
// folder of the test, in which a file finish says that the input has come to its end.
const programVar = "MILLRACE_TEST_PROGRAM"

// aliveVar is an address to which a worker is connected as long as it lives.
const aliveVar = "MILLRACE_TEST_ALIVE"

// caches are variables by which a process finds jobs of its user: those of a test are in its
// folder.
var caches = []string{"XDG_CACHE_HOME", "HOME", "LocalAppData"}

func TestMain(m *testing.M) {
	dir := os.Getenv(programVar)
	if dir == "" {
		os.Exit(m.Run())
	}
	for _, cache := range caches {
		_ = os.Setenv(cache, dir)
	}
	flag.CommandLine = flag.NewFlagSet("shop", flag.ExitOnError) // without those of tests
	top := flag.Int("top", 3, "a flag of the program")
	if os.Getenv(pulseVar) != "" {
		pulseMain()
		os.Exit(0)
	}
	switch os.Getenv(countVar) {
	case "":
	case "files":
		runners.Main(func(p *pipeline.Pipeline) { files(p, dir) })
		os.Exit(0)
	case "poison":
		runners.Main(func(p *pipeline.Pipeline) { poison(p, dir) })
		os.Exit(0)
	case "ranks":
		runners.Main(func(p *pipeline.Pipeline) { ranks(p, dir) })
		os.Exit(0)
	default:
		runners.Main(count)
		fmt.Println("behind Main")
		os.Exit(0)
	}
	lead := func(ctx context.Context, _ *config, _ *natsbus.Bus, _ *protocol.LeaderMeter, rests *protocol.Rests, groups *protocol.Groups, _ bool, began func(uint64, bool), _ func(string)) error {
		groups.Stay()
		began(1, false)
		rests.Stands(1)
		<-ctx.Done()
		return nil
	}
	newHost := func(s setting) (host, error) {
		fmt.Fprintln(s.out, "top is", *top)
		if address := os.Getenv(aliveVar); address != "" {
			if _, err := net.Dial("tcp", address); err != nil {
				return nil, err
			}
		}
		return &labour{setting: s, dir: dir, mine: map[int]cluster.SlotState{}}, nil
	}
	runner.Register(newRunner(driver{newHost, lead, func(context.Context, *config, bool) error { return nil }}))
	runners.Main(func(p *pipeline.Pipeline) {
		n := pipeline.Create(p, 1, 2, 3)
		switch os.Getenv("OTHER_CODE") {
		case "yes":
			n = pipeline.Map(n, func(v int) int { return v + 1 })
		case "each":
			n = pipeline.Map(n, func(v int) int { return v + 1 }, pipeline.Named(fmt.Sprint("code ", os.Getpid())))
		}
		pipeline.ForEach(n, func(context.Context, int) error { return nil })
	})
	os.Exit(0)
}

// countVar makes the program one whose slots run: what it counts is how many numbers end
// in each digit.
const countVar = "MILLRACE_TEST_COUNT"

const countTo = 100_000

func count(p *pipeline.Pipeline) {
	var once sync.Once
	n := pipeline.Generate(p, countTo, func(i uint64, e *uint64) {
		if *e = i; i == countTo/2 {
			once.Do(hold)
		}
	})
	if os.Getenv(countVar) == "more" {
		n = pipeline.Filter(n, func(uint64) bool { return true })
	}
	digits := transforms.Count(pipeline.KeyBy(n, func(v uint64) string { return fmt.Sprint(v % 10) }))
	pipeline.ForEach(pipeline.Pairs(digits), func(_ context.Context, kv pipeline.KV[string, int64]) error {
		fmt.Println(kv.Key, kv.Value)
		return nil
	})
}

// filesOf is how many numbers files writes.
const filesOf = 20_000

// files writes numbers to files, each in the process to which the shuffle brings it.
func files(p *pipeline.Pipeline, dir string) {
	n := generate.Numbers(p, generate.Count(filesOf), generate.Splits(6), generate.Rate(filesOf/4))
	lines := pipeline.Map(pipeline.Reshuffle(n), func(v uint64) string {
		if v == filesOf/2 {
			fmt.Fprintln(os.Stderr, "this is the middle")
		}
		return fmt.Sprint(v)
	})
	text.Write(lines, filepath.Join(dir, "out.txt"), text.RollEach())
}

// hold waits until the test lets go, if it wants that.
func hold() {
	if address := os.Getenv(aliveVar); address != "" {
		if c, err := net.Dial("tcp", address); err == nil {
			_, _ = c.Read(make([]byte, 1))
			c.Close()
		}
	}
}

// labour is a host whose slots do nothing: they are live when they are given, and ended
// when there is a file finish.
type labour struct {
	setting
	dir string

	mu    sync.Mutex // guards what follows
	phase cluster.Phase
	mine  map[int]cluster.SlotState
}

func (l *labour) Assign(r *cluster.Roster) {
	l.mu.Lock()
	defer l.mu.Unlock()
	mine := map[int]cluster.SlotState{}
	for i, p := range r.Slots {
		switch {
		case p.Owner == l.worker.ID():
			if had, ok := l.mine[i]; !ok || had == cluster.Warm {
				fmt.Fprintf(l.out, "slot %d is here, pid %d\n", i, os.Getpid())
			}
			mine[i] = cluster.Live
		case slices.Contains(p.Standbys, l.worker.ID()):
			mine[i] = cluster.Warm
		}
	}
	l.phase, l.mine = r.Phase, mine
}

func (l *labour) Report() (list []cluster.SlotReport) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := os.Stat(filepath.Join(l.dir, "finish"))
	for slot, state := range l.mine {
		switch {
		case state == cluster.Warm:
		case err == nil:
			state = cluster.Ended
		case l.phase == cluster.Stopping:
			state = cluster.Stopped
		}
		list = append(list, cluster.SlotReport{Slot: slot, State: state, Elements: 7})
	}
	return list
}

func (l *labour) count(*metrics.Page) {}

func (l *labour) Explain() (list []cluster.Explanation) {
	for _, r := range l.Report() {
		if r.State != cluster.Warm {
			list = append(list, cluster.Explanation{Slot: r.Slot, Text: "No window is open.", Protocol: "all is committed"})
		}
	}
	return list
}

func (l *labour) Close() error {
	fmt.Println("data")
	return nil
}

// app is a process of the program.
type app struct {
	t      *testing.T
	cmd    *exec.Cmd
	dir    string
	stdout *strings.Builder
	says   chan string // lines of standard error
	seen   []string    // lines that were read from says
	ended  chan error
}

// start starts the program. dir is the folder of the test.
func start(t *testing.T, dir string, env []string, args ...string) *app {
	t.Helper()
	return startAs(t, dir, false, env, args...)
}

// startAs starts the program; with both, says has its standard output as well.
func startAs(t *testing.T, dir string, both bool, env []string, args ...string) *app {
	t.Helper()
	a := &app{t: t, dir: dir, cmd: exec.Command(os.Args[0], append([]string{"-runner=distributed"}, args...)...), stdout: &strings.Builder{}, says: make(chan string, 10_000), ended: make(chan error, 1)}
	a.cmd.Env = append(append(os.Environ(), programVar+"="+dir), env...)
	a.cmd.Stdout = a.stdout
	r, w, err := os.Pipe()
	require.NoError(t, err)
	if a.cmd.Stderr = w; both {
		a.cmd.Stdout = w
	}
	require.NoError(t, a.cmd.Start())
	w.Close()
	go func() {
		defer close(a.says)
		s := bufio.NewScanner(r)
		s.Split(lines)
		for s.Scan() {
			a.says <- s.Text()
		}
		r.Close()
		a.ended <- a.cmd.Wait()
	}()
	t.Cleanup(func() { _ = a.cmd.Process.Kill() })
	return a
}

// lines splits what is said into lines, of which the one that is rewritten is many.
func lines(data []byte, _ bool) (advance int, token []byte, err error) {
	i := bytes.IndexAny(data, "\r\n")
	if i < 0 {
		return 0, nil, nil
	}
	return i + 1, bytes.TrimPrefix(data[:i], []byte("\x1b[K")), nil
}

// await returns the groups of the first line from here on that matches.
func (a *app) await(pattern string) []string {
	a.t.Helper()
	re := regexp.MustCompile(pattern)
	late := time.After(time.Minute)
	for {
		select {
		case line, ok := <-a.says:
			if !ok {
				require.Fail(a.t, "it has ended", "waiting for %s, it said:\n%s", pattern, strings.Join(a.seen, "\n"))
			}
			a.seen = append(a.seen, line)
			if m := re.FindStringSubmatch(line); m != nil {
				return m
			}
		case <-late:
			require.Fail(a.t, "it was not said", "waiting for %s, it said:\n%s", pattern, strings.Join(a.seen, "\n"))
		}
	}
}

// wait returns how the process has ended.
func (a *app) wait() error {
	a.t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case line, ok := <-a.says:
			if ok {
				a.seen = append(a.seen, line)
				continue
			}
			return <-a.ended
		case <-late:
			a.quit()
			require.Fail(a.t, "it does not end", "it said:\n%s", strings.Join(a.seen, "\n"))
		}
	}
}

// quit ends a process that does not end, after its workers: seen has what the job waits for, and
// where their goroutines are.
func (a *app) quit() {
	args := []string{"-runner=distributed"}
	for _, arg := range a.cmd.Args {
		if strings.HasPrefix(arg, "-nats=") {
			args = append(args, arg)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	explain := exec.CommandContext(ctx, a.cmd.Path, append(args, "explain", "-json")...)
	explain.Env = a.cmd.Env
	said, err := explain.CombinedOutput()
	a.seen = append(a.seen, fmt.Sprintf("it waits for (%v):\n%s", err, said))
	for _, pid := range append(childrenOf(a.cmd.Process.Pid), a.cmd.Process.Pid) { // the one that the others end with comes last
		_ = syscall.Kill(pid, syscall.SIGQUIT)
		for late := time.After(2 * time.Second); a.hears(late) && syscall.Kill(pid, 0) == nil; {
		}
	}
}

// hears waits for one more line, which seen has then, or until late.
func (a *app) hears(late <-chan time.Time) bool {
	select {
	case line, ok := <-a.says:
		if ok {
			a.seen = append(a.seen, line)
		}
		return ok
	case <-late:
		return false
	}
}

// childrenOf are the pids of a process's children, where the system tells.
func childrenOf(pid int) (pids []int) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, thread := range threads {
		b, _ := os.ReadFile(thread)
		for child := range strings.FieldsSeq(string(b)) {
			if n, err := strconv.Atoi(child); err == nil {
				pids = append(pids, n)
			}
		}
	}
	return pids
}

func (a *app) finish() {
	require.NoError(a.t, os.WriteFile(filepath.Join(a.dir, "finish"), nil, 0o600))
}

// slots waits until n slots are there, and returns the pids of their processes.
func (a *app) slots(n int) map[int]int {
	a.t.Helper()
	pids := map[int]int{}
	for len(pids) < n {
		m := a.await(`slot (\d+) is here, pid (\d+)$`)
		slot, _ := strconv.Atoi(m[1])
		pids[slot], _ = strconv.Atoi(m[2])
	}
	return pids
}

// Goal: a job on three processes, from its start to its end.
func TestJob(t *testing.T) {
	logs := filepath.Join(t.TempDir(), "logs")
	a := start(t, t.TempDir(), nil, "-workers=3", "-top=5", "-progress=on", "-log-dir="+logs)
	require.Len(t, a.slots(3), 3)
	a.await(`21 elements, .*3 of 3 slots on 3 workers`)
	a.finish()
	require.NoError(t, a.wait())
	require.Equal(t, "data\ndata\ndata\n", a.stdout.String())
	text := strings.Join(a.seen, "\n")
	require.Contains(t, text, "all are here: 3 slots on 3 workers")
	require.Contains(t, text, "the job is done")
	b, err := os.ReadFile(filepath.Join(logs, "worker-2.log"))
	require.NoError(t, err)
	require.Contains(t, string(b), "top is 5\n")
}

// Goal: kill -9 of a worker: it is missed at once, its slot runs elsewhere, it is started
// again, and gets a slot again.
func TestJob_workerKilled(t *testing.T) {
	a := start(t, t.TempDir(), nil, "-workers=2")
	pids := a.slots(2)
	require.NoError(t, syscall.Kill(pids[1], syscall.SIGKILL))
	n := a.await(`^worker (\d) is gone: signal: killed$`)[1]
	a.await(`^slot 1 goes to worker \d$`)
	a.await(`^worker ` + n + ` \(pid \d+\) ended after .*: signal: killed; it is started again in 100ms$`)
	a.await(`^slot \d moves to worker ` + n + `, which has fewer$`)
	a.await(`^worker ` + n + ` \| slot \d is here`)
	a.finish()
	require.NoError(t, a.wait())
}

// Goal: kill -9 of the process that submitted the job ends all of its workers.
func TestJob_submitterKilled(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	a := start(t, t.TempDir(), []string{aliveVar + "=" + l.Addr().String()}, "-workers=2")
	a.slots(2)
	require.NoError(t, a.cmd.Process.Kill())
	require.EqualError(t, a.wait(), "signal: killed")
	for range 2 {
		c, err := l.Accept()
		require.NoError(t, err)
		require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute)))
		_, err = c.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		c.Close()
	}
}

// Goal: Ctrl-C drains a job that can be gone on with, and cancels one that can't.
func TestJob_interrupted(t *testing.T) {
	a := start(t, t.TempDir(), nil, "-workers=2")
	a.slots(2)
	require.NoError(t, a.cmd.Process.Signal(os.Interrupt))
	require.EqualError(t, a.wait(), "exit status 130")
	require.Equal(t, "cancelled; nothing uncommitted was left behind", a.seen[len(a.seen)-1])
	require.Contains(t, a.seen, "the job is cancelled")

	dir := filepath.Join(t.TempDir(), "state")
	a = start(t, t.TempDir(), nil, "-workers=2", "-state-dir="+dir)
	a.slots(2)
	require.NoError(t, a.cmd.Process.Signal(syscall.SIGTERM))
	require.EqualError(t, a.wait(), "exit status 130")
	require.Equal(t, "drained; the next run with -state-dir="+dir+" goes on from there", a.seen[len(a.seen)-1])
}

// outside is a NATS server of others.
func outside(t *testing.T) string {
	s, err := natsbus.StartServer(t.Context(), natsbus.ServerConfig{})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s.URL()
}

// Goal: a worker from another terminal joins with the token, takes the program's flags over
// from the job, gets a slot when one is free, and hands it on when it is told to go.
func TestJob_lateJoiner(t *testing.T) {
	url, dir, token := outside(t), t.TempDir(), []string{joinToken + "=sesame"}
	a := start(t, dir, token, "-workers=1", "-slots=2", "-nats="+url, "-top=5")
	a.slots(2)
	b := start(t, dir, token, "-join="+url)
	b.await(`^top is 5$`)
	a.await(`^slot \d moves to worker 2, which has fewer$`)
	b.await(`^slot \d is here`)
	require.NoError(t, b.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, b.wait())
	a.await(`^worker 2 leaves, and hands on what it has$`)
	a.await(`^slot \d moves to worker 1$`)
	a.await(`^worker 2 is gone: it was told to leave$`)
	a.finish()
	require.NoError(t, a.wait())
}

// Goal: strangers are refused, and both sides are told why.
func TestJob_strangers(t *testing.T) {
	url, dir, token := outside(t), t.TempDir(), []string{joinToken + "=sesame"}
	a := start(t, dir, token, "-workers=1", "-nats="+url, "-top=5")
	a.slots(1)
	for _, tc := range []struct {
		env  []string
		args []string
		code int
		want string
	}{
		{[]string{joinToken + "=guess"}, nil, 3, `^join the job "shop": the join token is another one$`},
		{token, []string{"-top=7"}, 2, `^-top: it is "7" here, and "5" in the job: leave it away$`},
		{append(token, "OTHER_CODE=yes"), nil, 3, `^  distributed/job_test.go:\d+ "ForEach": reads forward from Map.0, in the job forward from Create.0$`},
	} {
		b := start(t, dir, tc.env, append(tc.args, "-join="+url)...)
		var exit *exec.ExitError
		require.ErrorAs(t, b.wait(), &exit)
		require.Equal(t, tc.code, exit.ExitCode(), b.seen)
		require.Regexp(t, "(?m)"+tc.want, strings.Join(b.seen, "\n"))
	}
	a.finish()
	require.NoError(t, a.wait())
	text := strings.Join(a.seen, "\n")
	require.Contains(t, text, "somebody without the join token wants to join, and is refused")
	require.Regexp(t, `worker 2 \(.*\) runs the same program and has built another graph, and is refused:\n`, text)
}

// Goal: a worker may be there before its job; a job with a server of its own can be joined, by
// who has its token.
func TestJob_joinOwnServer(t *testing.T) {
	dir := t.TempDir()
	a := start(t, dir, nil, "-workers=1", "-slots=2")
	a.slots(2)
	inFolder(t, dir)
	list, err := cards("shop")
	require.NoError(t, err)
	require.Len(t, list, 1)
	token, join := []string{joinToken + "=" + list[0].Token}, "-join="+list[0].Servers[0]
	b := start(t, dir, token, join)
	b.await(`^slot \d is here`)

	c := start(t, dir, []string{joinToken + "=guess"}, join)
	require.EqualError(t, c.wait(), "exit status 1")
	require.Regexp(t, `refuses the token .*: if the job runs servers of its own, set MILLRACE_JOIN_TOKEN to its token; if they are others', say who you are by -nats-user`, c.seen[0])

	d := start(t, dir, token, join, "-job=shoe")
	d.await(`^no job "shoe" runs at ` + list[0].Servers[0] + `; there is: shop; waiting for it$`)
	require.NoError(t, d.cmd.Process.Signal(os.Interrupt))
	require.EqualError(t, d.wait(), "exit status 130")
	a.finish()
	require.NoError(t, b.wait())
	require.NoError(t, a.wait())
}

// Goal: workers that build another graph each time are not started again and again.
func TestJob_refusedHere(t *testing.T) {
	a := start(t, t.TempDir(), []string{"OTHER_CODE=each"}, "-workers=1")
	require.EqualError(t, a.wait(), "exit status 1")
	text := strings.Join(a.seen, "\n")
	require.Regexp(t, `worker 1 \(.*\) runs the same program and has built another graph, and is refused:\ndistributed/job_test.go:\d+ "code \d+" \(Map\) is in the job only`, text)
	require.Equal(t, "the run failed: worker 1 was refused: what it said stands above", a.seen[len(a.seen)-1])
}

// Goal: where there is no NATS, that is said at once.
func TestJob_noServer(t *testing.T) {
	a := start(t, t.TempDir(), nil, "-workers=1", "-nats=nats://127.0.0.1:1")
	require.EqualError(t, a.wait(), "exit status 1")
	require.Contains(t, a.seen[0], "no NATS server answers at nats://127.0.0.1:1: is it running?")
}

// Goal: a pipeline with a shuffle gives on three processes what it gives on one.
func TestJob_counts(t *testing.T) {
	a := start(t, t.TempDir(), []string{countVar + "=yes"}, "-workers=3", "-parallelism=1", "-progress=on")
	require.NoError(t, a.wait(), "it said:\n%s", strings.Join(a.seen, "\n"))
	a.counted()
}

// counted looks at what the workers have printed, and at what the program does with the
// job behind it: only who submitted it comes there.
func (a *app) counted() {
	a.t.Helper()
	require.Equal(a.t, countedLines(), slices.Sorted(a.printed()))
}

// countedAgain is counted where a slot may have been taken over behind what it printed,
// which printing can't take back.
func (a *app) countedAgain() {
	a.t.Helper()
	require.Equal(a.t, countedLines(), slices.Compact(slices.Sorted(a.printed())))
}

func (a *app) printed() iter.Seq[string] {
	return strings.SplitSeq(strings.TrimSpace(a.stdout.String()), "\n")
}

func countedLines() (lines []string) {
	for digit := range 10 {
		lines = append(lines, fmt.Sprint(digit, " ", countTo/10))
	}
	return append(lines, "behind Main")
}

// Goal: the same, while one of them is killed, with standbys and without. Method: the input
// stands still in its middle, so that the kill comes before the end.
func TestJob_countsThoughKilled(t *testing.T) {
	for _, standbys := range []string{"0", "1"} {
		t.Run(standbys+" standbys", func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer l.Close()
			a := start(t, t.TempDir(), []string{countVar + "=yes", aliveVar + "=" + l.Addr().String()}, "-workers=3", "-parallelism=1", "-standby="+standbys)
			pid, err := strconv.Atoi(a.await(`^worker 2 \(.*, pid (\d+)\) is here$`)[1])
			require.NoError(t, err)
			held, err := l.Accept()
			require.NoError(t, err)
			require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
			a.await(`^worker 2 is gone: signal: killed$`)
			a.await(`^worker 2 \(.*\) is here$`)
			held.Close()
			l.Close() // who comes there again does not wait
			require.NoError(t, a.wait(), "it said:\n%s", strings.Join(a.seen, "\n"))
			a.countedAgain()
		})
	}
}

// Goal: files that are written exactly once bring their reader, who takes them away, each
// number once, though two workers are killed at once. Method: they die in the middle of
// the input, when files are there, and outputs that wait for a cut.
func TestJob_filesThoughTwoKilled(t *testing.T) {
	dir := t.TempDir()
	times := map[string]int{}
	a := start(t, dir, []string{countVar + "=files"}, "-workers=3", "-parallelism=1", "-epoch=100ms", "-cut=500ms")
	var pids []int
	for range 3 {
		pid, err := strconv.Atoi(a.await(`^worker \d \(.*, pid (\d+)\) is here$`)[1])
		require.NoError(t, err)
		pids = append(pids, pid)
	}
	require.Eventually(t, func() bool { takeFiles(t, dir, times); return len(times) > 0 }, time.Minute, 5*time.Millisecond, "no file was shown")
	a.await(`this is the middle$`)
	for _, pid := range pids[:2] {
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	}
	over := make(chan error, 1)
	go func() { over <- a.wait() }()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	var err error
	for ended := false; !ended; {
		select {
		case err = <-over:
			ended = true
		case <-again.C:
		}
		takeFiles(t, dir, times)
	}
	require.NoError(t, err, "it said:\n%s", strings.Join(a.seen, "\n"))
	require.Len(t, times, filesOf)
	for line, n := range times {
		require.Equal(t, 1, n, "number %s", line)
	}
}

// takeFiles takes away the files that are shown, and counts how often each line is there.
func takeFiles(t *testing.T, dir string, times map[string]int) {
	names, err := filepath.Glob(filepath.Join(dir, "out-*.txt"))
	require.NoError(t, err)
	for _, name := range names {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		require.NoError(t, os.Remove(name))
		for line := range strings.Lines(string(b)) {
			times[strings.TrimSpace(line)]++
		}
	}
}
