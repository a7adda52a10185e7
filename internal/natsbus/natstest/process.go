package natstest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/natsbus"
)

const variable = "MILLRACE_NATSTEST"

// Options are those of a [Process]; the zero values are those of natsbus.ServerConfig.
type Options struct {
	Name, Dir       string
	Port, StorePort int
	SyncAlways      bool
	StoreMax        int64
	User, Password  string
	Mesh            *natsbus.MeshConfig
}

// addresses is what a process says when it listens.
type addresses struct{ URL, StoreURL, MeshAddr string }

// Main is for TestMain of packages that start a [Process]: the process is the test's own
// binary, which becomes a server here and runs no tests.
func Main(m *testing.M) {
	BeServer()
	os.Exit(m.Run())
}

// BeServer makes this process the server that it was started for, if it was, and does not
// return then. It is for programs that Launch a [Process].
func BeServer() {
	text := os.Getenv(variable)
	if text == "" {
		return
	}
	if err := serve(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve runs a server until standard input ends, which it does with the test.
func serve(text string) error {
	var o Options
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	s, err := natsbus.StartServer(context.Background(), natsbus.ServerConfig{
		Name: o.Name, Dir: o.Dir, Port: o.Port, StorePort: o.StorePort, SyncAlways: o.SyncAlways,
		StoreMax: o.StoreMax, User: o.User, Password: o.Password, Mesh: o.Mesh,
	})
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(addresses{s.URL(), s.StoreURL(), s.MeshAddr()}); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	s.Close()
	return nil
}

// Process is a NATS server in a process of its own. It stays at its addresses when it is
// started again, and ends with its test, where there is one, or with this process.
type Process struct {
	URL, StoreURL, MeshAddr string

	t     testing.TB // nil without a test
	o     Options
	cmd   *exec.Cmd
	stdin io.Closer
}

// Start starts a server and returns when it listens.
func Start(t testing.TB, o Options) *Process {
	t.Helper()
	p := &Process{t: t, o: o}
	t.Cleanup(func() { p.Kill() })
	p.Restart()
	return p
}

// Launch is Start without a test: this program's main calls [BeServer], and the caller
// has to Kill the process.
func Launch(o Options) (*Process, error) {
	p := &Process{o: o}
	return p, p.launch()
}

// Restart starts the server again, after Kill or Stop.
func (p *Process) Restart() {
	p.t.Helper()
	if err := p.launch(); err != nil {
		p.t.Fatal(err)
	}
}

// Relaunch is Restart without a test.
func (p *Process) Relaunch() error { return p.launch() }

func (p *Process) launch() error {
	text, err := json.Marshal(p.o)
	if err != nil {
		return err
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), variable+"="+string(text))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.stdin = cmd, stdin
	timer := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	var at addresses
	if err := json.NewDecoder(stdout).Decode(&at); err != nil {
		return fmt.Errorf("the NATS server did not start: %w", err)
	}
	p.URL, p.StoreURL, p.MeshAddr = at.URL, at.StoreURL, at.MeshAddr
	p.o.Port, p.o.StorePort = portOf(at.URL), portOf(at.StoreURL)
	if p.o.Mesh != nil {
		p.o.Mesh.Port = portOf("//" + at.MeshAddr)
	}
	return nil
}

// Kill ends the process without a warning, if it runs.
func (p *Process) Kill() {
	if p.cmd == nil || p.cmd.Process == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // it was killed: an error
	p.cmd = nil
}

// Stop ends the process in good order.
func (p *Process) Stop() {
	p.t.Helper()
	p.stdin.Close()
	if err := p.cmd.Wait(); err != nil {
		p.t.Fatal(err)
	}
	p.cmd = nil
}

// portOf is the port of an address, 0 if there is none.
func portOf(address string) int {
	u, err := url.Parse(address)
	if err != nil {
		return 0
	}
	port, _ := strconv.Atoi(u.Port())
	return port
}
