package spawn_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/spawn"
	"github.com/stretchr/testify/require"
)

// task is what a child of these tests has to do.
type task struct {
	Do      string
	Address string // of the test
	Secret  string
}

// parentVar makes a process the parent of two children, for the test that kills it.
const parentVar = "MILLRACE_SPAWN_PARENT"

func TestMain(m *testing.M) {
	var t task
	number, err := spawn.Inherited(&t)
	switch address := os.Getenv(parentVar); {
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	case number > 0:
		os.Exit(t.be(number))
	case address != "":
		do := "wait"
		if runtime.GOOS == "linux" {
			do = "stay"
		}
		g := spawn.New(spawn.Config{N: 2, Ticket: tasks(task{Do: do, Address: address})})
		fmt.Fprintln(os.Stderr, g.Run(context.Background()))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// be does a task, and returns the process's status.
func (t task) be(number int) int {
	switch t.Do {
	case "speak":
		fmt.Println("data", number)
		fmt.Fprint(os.Stderr, "first\nsecond, which does not end")
		return 0
	case "fail":
		return 7
	case "secret":
		_, known := os.LookupEnv("MILLRACE_WORKER")
		fmt.Println(t.Secret, known, strings.Contains(strings.Join(os.Args, " "), t.Secret))
		return 0
	case "stay": // until its parent goes, which only the kernel tells it
		t.tell(number)
		select {}
	case "wait": // until its parent goes, which its standard input tells it
		t.tell(number)
		spawn.EndWithParent()
		select {}
	case "obey":
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		t.tell(number)
		<-stop
		fmt.Println("as you like")
		return 0
	case "resist":
		signal.Ignore(syscall.SIGTERM)
		t.tell(number)
		select {}
	}
	return 4
}

// tell connects to the test, which sees by the end of the connection that the process has
// ended.
func (t task) tell(number int) {
	c, err := net.Dial("tcp", t.Address)
	if err == nil {
		err = json.NewEncoder(c).Encode(hello{number, os.Getpid()})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(5)
	}
}

type hello struct{ Number, Pid int }

// life is a child that has told of itself.
type life struct {
	hello
	ended chan struct{}
}

// listen takes what children tell.
func listen(t *testing.T) (address string, lives <-chan *life) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	ch := make(chan *life, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				x := &life{ended: make(chan struct{})}
				if line, err := r.ReadBytes('\n'); err != nil || json.Unmarshal(line, &x.hello) != nil {
					return
				}
				ch <- x
				_, _ = io.Copy(io.Discard, r)
				close(x.ended)
			}()
		}
	}()
	return l.Addr().String(), ch
}

const long = 30 * time.Second // more than anything here takes

func get[T any](t *testing.T, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(long):
		require.Fail(t, "nothing came")
	}
	return v
}

// text is a writer that a test reads.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (x *text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.b.Write(p)
}

func (x *text) lines() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return strings.Split(strings.TrimSuffix(x.b.String(), "\n"), "\n")
}

func tasks(do task) func(int) (any, error) { return func(int) (any, error) { return do, nil } }

// Goal: what the pipeline writes comes as it is, what is said to people with a name, and
// both as whole lines.
func TestRun_output(t *testing.T) {
	var out, says text
	logs := filepath.Join(t.TempDir(), "logs")
	var heard []string
	g := spawn.New(spawn.Config{N: 3, Ticket: tasks(task{Do: "speak"}), Stdout: &out, Stderr: &says, Logs: logs,
		Heard: func(n int, line string) { heard = append(heard, fmt.Sprintf("worker %d | %s", n, line)) }})
	require.NoError(t, g.Run(t.Context()))
	require.ElementsMatch(t, []string{"data 1", "data 2", "data 3"}, out.lines())
	var want []string
	for n := 1; n <= 3; n++ {
		want = append(want, fmt.Sprintf("worker %d | first", n), fmt.Sprintf("worker %d | second, which does not end", n))
	}
	require.ElementsMatch(t, want, says.lines())
	require.ElementsMatch(t, want, heard)
	b, err := os.ReadFile(filepath.Join(logs, "worker-2.log"))
	require.NoError(t, err)
	require.Equal(t, "first\nsecond, which does not end\n", string(b))
	require.ErrorIs(t, g.Signal(1, os.Interrupt), os.ErrProcessDone)
}

// Goal: what a child is told, nobody else can read.
func TestRun_secret(t *testing.T) {
	var out text
	g := spawn.New(spawn.Config{N: 1, Ticket: tasks(task{Do: "secret", Secret: "sesame"}), Stdout: &out})
	require.NoError(t, g.Run(t.Context()))
	require.Equal(t, []string{"sesame false false"}, out.lines())
}

// Goal: kill -9 of a child is noticed, and it is started again, while its neighbour runs on.
func TestRun_startsAgain(t *testing.T) {
	address, lives := listen(t)
	exits := make(chan spawn.Exit, 1)
	g := spawn.New(spawn.Config{N: 2, Ticket: tasks(task{Do: "wait", Address: address}), Ended: func(e spawn.Exit) spawn.Decision {
		exits <- e
		return (&spawn.Policy{}).Next(e)
	}})
	ctx, end := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	a, b := get(t, lives), get(t, lives)
	require.NoError(t, g.Signal(a.Number, syscall.SIGKILL))
	get(t, a.ended)
	e := get(t, exits)
	require.Equal(t, a.Number, e.Number)
	require.Equal(t, a.Pid, e.Pid)
	require.Equal(t, "signal: killed", e.Status)
	again := get(t, lives)
	require.Equal(t, a.Number, again.Number)
	require.NotEqual(t, a.Pid, again.Pid)
	select {
	case <-b.ended:
		require.Fail(t, "the other one has ended, too")
	default:
	}
	end()
	require.ErrorIs(t, get(t, done), context.Canceled)
	get(t, again.ended)
	get(t, b.ended)
}

// Goal: children may be more for a while: one that has ended well is not started again, its
// number is free, and behind the last one there is no other.
func TestGroup_Start(t *testing.T) {
	address, lives := listen(t)
	g := spawn.New(spawn.Config{N: 1, Ticket: tasks(task{Do: "obey", Address: address})})
	g.Start() // nobody is there yet
	require.Empty(t, g.Kept())
	done := make(chan error, 1)
	go func() { done <- g.Run(t.Context()) }()
	first := get(t, lives)
	g.Start()
	second := get(t, lives)
	g.Start()
	third := get(t, lives)
	require.Equal(t, []int{1, 2, 3}, []int{first.Number, second.Number, third.Number})
	end := func(x *life, left []int) {
		require.NoError(t, g.Signal(x.Number, syscall.SIGTERM))
		get(t, x.ended)
		require.Eventually(t, func() bool { return slices.Equal(left, g.Kept()) }, long, time.Millisecond)
	}
	end(second, []int{1, 3})
	g.Start()
	second = get(t, lives)
	require.Equal(t, 2, second.Number)
	end(first, []int{2, 3})
	end(third, []int{2})
	end(second, nil)
	require.NoError(t, get(t, done))
	g.Start()
	require.Empty(t, g.Kept())
}

// Goal: kill -9 of the parent ends its children, on Linux also those that look at nothing.
func TestRun_parentDies(t *testing.T) {
	address, lives := listen(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), parentVar+"="+address)
	require.NoError(t, cmd.Start())
	a, b := get(t, lives), get(t, lives)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	get(t, a.ended)
	get(t, b.ended)
}

// Goal: where no kernel helps, standard input tells a child.
func TestEndWithParent(t *testing.T) {
	address, lives := listen(t)
	in, err := json.Marshal(map[string]any{"number": 1, "ticket": task{Do: "wait", Address: address}})
	require.NoError(t, err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "MILLRACE_WORKER="+string(in))
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	a := get(t, lives)
	require.NoError(t, stdin.Close())
	get(t, a.ended)
	require.EqualError(t, cmd.Wait(), "exit status 4")
}

// Goal: children are asked to end first, and killed when they do not.
func TestRun_ends(t *testing.T) {
	address, lives := listen(t)
	var out text
	do := map[int]string{1: "obey", 2: "resist"}
	g := spawn.New(spawn.Config{N: 2, Grace: 200 * time.Millisecond, Stdout: &out, Ticket: func(n int) (any, error) {
		return task{Do: do[n], Address: address}, nil
	}})
	ctx, end := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	a, b := get(t, lives), get(t, lives)
	why := errors.New("enough")
	end(why)
	require.ErrorIs(t, get(t, done), why)
	get(t, a.ended)
	get(t, b.ended)
	require.Equal(t, []string{"as you like"}, out.lines())
}

// Goal: who can't be had ends the run, and the others with it.
func TestRun_givesUp(t *testing.T) {
	address, lives := listen(t)
	g := spawn.New(spawn.Config{
		N: 2,
		Ticket: func(n int) (any, error) {
			return task{Do: map[int]string{1: "fail", 2: "wait"}[n], Address: address}, nil
		},
		Ended: func() func(spawn.Exit) spawn.Decision {
			p := spawn.Policy{Least: time.Millisecond, Tries: 3}
			return func(e spawn.Exit) spawn.Decision {
				if e.Number == 1 && e.Code != 7 {
					return spawn.Decision{Err: fmt.Errorf("another status: %v", e)}
				}
				return p.Next(e)
			}
		}(),
	})
	require.Regexp(t, `^worker 1 \(pid \d+\) ended after .*: exit status 7; that is 3 times in a row$`, g.Run(t.Context()))
	select {
	case b := <-lives:
		get(t, b.ended)
	default: // it was ended before it could tell
	}
	missing := spawn.New(spawn.Config{N: 1, Path: filepath.Join(t.TempDir(), "none")})
	require.ErrorContains(t, missing.Run(t.Context()), "start worker 1: ")
}

// Goal: the waits between failures, and when they are over.
func TestPolicy(t *testing.T) {
	p := spawn.Policy{Least: time.Second, Most: 3 * time.Second, Calm: time.Minute, Tries: 5}
	quick, calm := spawn.Exit{Ran: time.Second}, spawn.Exit{Ran: time.Hour}
	for i, step := range []struct {
		e    spawn.Exit
		want time.Duration
	}{{quick, 1 * time.Second}, {quick, 2 * time.Second}, {quick, 3 * time.Second}, {calm, 1 * time.Second}, {quick, 2 * time.Second}, {quick, 3 * time.Second}, {quick, 3 * time.Second}} {
		require.Equal(t, spawn.Decision{Again: true, After: step.want}, p.Next(step.e), "step %d", i)
	}
	require.Error(t, p.Next(quick).Err)
}
