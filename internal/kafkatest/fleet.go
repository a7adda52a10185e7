package kafkatest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// A fleet is the processes of a cluster. It outlives no crash of this process: a shell
// that waits for our end kills the nodes, and removes their data.
type fleet struct {
	dir     string
	nodes   []*node
	janitor *exec.Cmd
	alive   io.Closer // the janitor waits for its end
}

// janitorScript waits for the end of its input, kills what has left its process id in
// the folder and removes that.
const janitorScript = `cat >/dev/null; for p in "$0"/*/pid; do [ -f "$p" ] && kill -9 "$(cat "$p")"; done; rm -rf "$0"`

// launch starts a cluster of n nodes and waits until all serve clients. flags are for Java.
func launch(lib string, n int, flags ...string) (*fleet, error) {
	dir, err := os.MkdirTemp("", "millrace-kafka-")
	if err != nil {
		return nil, err
	}
	f := &fleet{dir: dir, janitor: exec.Command("sh", "-c", janitorScript, dir)}
	if f.alive, err = f.janitor.StdinPipe(); err == nil {
		ownGroup(f.janitor)
		err = f.janitor.Start()
	}
	if err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("start a shell: %w", err)
	}
	for range 5 { // another process may take a port that was free before we can
		if err = f.begin(lib, n, flags); !errors.Is(err, errPort) {
			break
		}
	}
	if err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// begin starts the nodes on new ports, with no data.
func (f *fleet) begin(lib string, n int, flags []string) error {
	ports, err := freePorts(2 * n)
	if err != nil {
		return err
	}
	f.nodes = nil
	cluster := newUUID()
	for i := range n {
		node := &node{lib: lib, dir: filepath.Join(f.dir, strconv.Itoa(i)), id: i, port: ports[i], flags: flags}
		if err := errors.Join(os.RemoveAll(node.dir), node.format(cluster, ports[n:])); err != nil {
			return err
		}
		f.nodes = append(f.nodes, node)
	}
	var errs []error
	for _, node := range f.nodes {
		errs = append(errs, node.start())
	}
	for i, node := range f.nodes {
		if errs[i] == nil {
			errs[i] = node.ready()
		}
	}
	if err := errors.Join(errs...); err != nil {
		f.kill()
		return err
	}
	return nil
}

// restart starts a node again, at its ports. Who took one meanwhile, a connection of
// another process say, may give it back soon.
func (f *fleet) restart(i int32) error {
	deadline := time.Now().Add(startTime)
	for {
		err := f.nodes[i].start()
		if err == nil {
			err = f.nodes[i].ready()
		}
		if !errors.Is(err, errPort) || time.Now().After(deadline) {
			return err
		}
	}
}

func (f *fleet) addrs() []string {
	addrs := make([]string, len(f.nodes))
	for i, n := range f.nodes {
		addrs[i] = n.addr()
	}
	return addrs
}

func (f *fleet) kill() {
	for _, n := range f.nodes {
		n.kill()
	}
}

// close ends all processes and removes the data.
func (f *fleet) close() {
	f.kill()
	f.alive.Close()
	f.janitor.Wait()
}

// freePorts finds ports that nobody listens on.
func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // not before the last one is found
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}
