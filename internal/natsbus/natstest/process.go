package natstest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/natsbus"
)

const variable = "MILLRACE_NATSTEST"

// Options are those of a [Process]; the zero values are those of natsbus.ServerConfig.
type Options struct {
	Host, Dir      string
	Port           int
	SyncAlways     bool
	StoreMax       int64
	User, Password string
	Addr           string   // in a cluster; "": it is alone
	Peers          []string // of that
}

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
	cfg := natsbus.ServerConfig{
		Host: o.Host, Dir: o.Dir, Port: o.Port, SyncAlways: o.SyncAlways,
		StoreMax: o.StoreMax, User: o.User, Password: o.Password,
	}
	if o.Addr != "" {
		cfg.Cluster = &natsbus.ClusterConfig{Addr: o.Addr, Peers: o.Peers, Secret: "s3cret"}
	}
	s, err := natsbus.StartServer(context.Background(), cfg)
	if err != nil {
		return err
	}
	if _, err := fmt.Println(s.URL()); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	s.Close()
	return nil
}

// Process is a NATS server in a process of its own. It stays at its address when it is
// started again, and ends with its test, where there is one, or with this process.
type Process struct {
	URL string

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
	if _, err := fmt.Fscanln(stdout, &p.URL); err != nil {
		return fmt.Errorf("the NATS server did not start: %w", err)
	}
	p.o.Port = portOf(p.URL)
	return nil
}

// StartCluster starts n servers that keep things together, each with a folder in dir. They
// listen at addresses of the loopback network that nothing else uses.
func StartCluster(t testing.TB, n int, dir string) []*Process {
	t.Helper()
	list, err := LaunchCluster(n, dir)
	for _, p := range list {
		p.t = t
		t.Cleanup(p.Kill)
	}
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// LaunchCluster is StartCluster without a test. With an error come those that were started.
func LaunchCluster(n int, dir string) (list []*Process, err error) {
	addrs := make([]string, n)
	for i := range addrs {
		if addrs[i], err = freeAddr(); err != nil {
			return nil, err
		}
	}
	for i, addr := range addrs {
		o := Options{Dir: filepath.Join(dir, strconv.Itoa(i)), Addr: addr, Peers: addrs}
		o.Host, _, _ = net.SplitHostPort(addr)
		p, err := Launch(o)
		if err != nil {
			return list, err
		}
		list = append(list, p)
	}
	return list, nil
}

// FreeAddr is an address that is free. Where all of 127.0.0.0/8 is this machine, nobody gets
// its port meanwhile, as the host is one by chance.
func FreeAddr(t testing.TB) string {
	t.Helper()
	addr, err := freeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

func freeAddr() (string, error) {
	host := fmt.Sprintf("127.%d.%d.%d", 1+rand.N(254), rand.N(256), 1+rand.N(254))
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// Dir is the folder of the server.
func (p *Process) Dir() string { return p.o.Dir }

// Name is what others of its cluster call it.
func (p *Process) Name() string { return p.o.Addr }

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
