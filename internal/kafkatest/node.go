package kafkatest

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// startTime is how long a node may take to start, stopTime to stop when asked to.
const (
	startTime = 60 * time.Second
	stopTime  = 20 * time.Second
)

var errPort = errors.New("its port is taken")

// A node is a broker, and a controller, in a process of its own. Its folder keeps its
// data, its settings, its log, and its process's id while it runs.
type node struct {
	lib, dir string
	id       int
	port     int // of clients; the controllers' is another
	flags    []string

	cmd  *exec.Cmd     // nil: not running
	gone chan struct{} // closed when cmd has ended
}

// start starts the process; ready waits for it.
func (n *node) start() error {
	if n.cmd != nil {
		return fmt.Errorf("node %d is running", n.id)
	}
	log, err := os.Create(n.logPath())
	if err != nil {
		return err
	}
	defer log.Close()
	flags := []string{"-Xms96m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true",
		"-Dlog4j2.configurationFile=" + filepath.Join(n.lib, logFile), "-cp", filepath.Join(n.lib, "*")}
	if classes := filepath.Join(n.lib, classesFile); exists(classes) {
		flags = append(flags, "-XX:SharedArchiveFile="+classes, "-Xlog:disable", "-Xlog:all=error:stderr")
	}
	cmd := exec.Command("java", append(append(flags, n.flags...), "kafka.Kafka", filepath.Join(n.dir, "server.properties"))...)
	cmd.Stdout, cmd.Stderr = log, log
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	gone := make(chan struct{})
	go func() {
		cmd.Wait() // the log says why it ended
		close(gone)
	}()
	n.cmd, n.gone = cmd, gone
	return n.writePid()
}

// writePid is for the janitor.
func (n *node) writePid() error {
	return os.WriteFile(n.pidPath(), []byte(strconv.Itoa(n.cmd.Process.Pid)), 0o666)
}

// ready waits until the node serves clients.
func (n *node) ready() error {
	deadline := time.After(startTime)
	for {
		log, err := os.ReadFile(n.logPath())
		if err != nil {
			return err
		}
		if bytes.Contains(log, []byte("Kafka Server started")) {
			return nil
		}
		select {
		case <-n.gone:
			log, _ := os.ReadFile(n.logPath()) // its last words
			n.ended()
			if bytes.Contains(log, []byte("Address already in use")) {
				return fmt.Errorf("node %d: %w", n.id, errPort)
			}
			return fmt.Errorf("node %d did not start:\n%s", n.id, tail(log, 25))
		case <-deadline:
			n.kill()
			return fmt.Errorf("node %d was not ready after %v:\n%s", n.id, startTime, tail(log, 25))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// kill ends the process as kill -9 does.
func (n *node) kill() {
	if n.cmd == nil {
		return
	}
	n.cmd.Process.Kill() // an error says that it has ended
	<-n.gone
	n.ended()
}

// stop asks the process to end, and kills it if it does not.
func (n *node) stop() error {
	if n.cmd == nil {
		return nil
	}
	n.cmd.Process.Signal(syscall.SIGTERM)
	n.resume()
	select {
	case <-n.gone:
		n.ended()
		return nil
	case <-time.After(stopTime):
		n.kill()
		return fmt.Errorf("node %d did not stop in %v and was killed", n.id, stopTime)
	}
}

func (n *node) ended() {
	os.Remove(n.pidPath())
	n.cmd = nil
}

func (n *node) pause() error {
	if n.cmd == nil {
		return fmt.Errorf("node %d is not running", n.id)
	}
	return freeze(n.cmd.Process, true)
}

func (n *node) resume() error {
	if n.cmd == nil {
		return fmt.Errorf("node %d is not running", n.id)
	}
	return freeze(n.cmd.Process, false)
}

func (n *node) addr() string    { return address(n.port) }
func (n *node) logPath() string { return filepath.Join(n.dir, "log") }
func (n *node) pidPath() string { return filepath.Join(n.dir, "pid") }

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// format writes what a node has to have before its first start, as Kafka's own tool does,
// which takes a second and more.
func (n *node) format(cluster string, controllers []int) error {
	data := filepath.Join(n.dir, "data")
	if err := os.MkdirAll(data, 0o777); err != nil {
		return err
	}
	bootstrap, err := os.ReadFile(filepath.Join(n.lib, bootstrapFile))
	if err != nil {
		return err
	}
	for path, text := range map[string]string{
		filepath.Join(data, bootstrapFile):        string(bootstrap),
		filepath.Join(data, "meta.properties"):    properties("version=1", "cluster.id="+cluster, "node.id="+strconv.Itoa(n.id), "directory.id="+newUUID()),
		filepath.Join(n.dir, "server.properties"): n.properties(controllers),
	} {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			return err
		}
	}
	return nil
}

// properties are the settings of a node, for one test that is in a hurry.
func (n *node) properties(controllers []int) string {
	voters := make([]string, len(controllers))
	for i, port := range controllers {
		voters[i] = fmt.Sprintf("%d@%s", i, address(port))
	}
	replicas, inSync := len(controllers), 1+len(controllers)/3
	all := []string{
		"process.roles=broker,controller",
		fmt.Sprintf("node.id=%d", n.id),
		"controller.quorum.voters=" + strings.Join(voters, ","),
		"controller.listener.names=CONTROLLER",
		fmt.Sprintf("listeners=PLAINTEXT://%s,CONTROLLER://%s", n.addr(), address(controllers[n.id])),
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"log.dirs=" + filepath.Join(n.dir, "data"),
		"auto.create.topics.enable=false",
		// A node that was killed can come back when its session is over.
		"broker.session.timeout.ms=2000",
		"broker.heartbeat.interval.ms=250",
		"replica.fetch.backoff.ms=50", // who follows a new leader finds it soon
		"controller.quorum.election.timeout.ms=500",
		"controller.quorum.election.backoff.max.ms=500",
		// Groups and transactions.
		fmt.Sprintf("default.replication.factor=%d", replicas),
		fmt.Sprintf("min.insync.replicas=%d", inSync),
		fmt.Sprintf("offsets.topic.replication.factor=%d", replicas),
		"offsets.topic.num.partitions=3",
		fmt.Sprintf("transaction.state.log.replication.factor=%d", replicas),
		fmt.Sprintf("transaction.state.log.min.isr=%d", inSync),
		"transaction.state.log.num.partitions=3",
		"transaction.abort.timed.out.transaction.cleanup.interval.ms=200",
		"group.initial.rebalance.delay.ms=0",
		// What a topic asks for (compaction, retention) happens at once.
		"log.initial.task.delay.ms=100",
		"log.cleaner.backoff.ms=200",
		"log.retention.check.interval.ms=500",
		"log.retention.ms=-1", // records of long ago are for tests, too
		// Less of everything.
		"log.cleaner.dedupe.buffer.size=4194304",
		"num.network.threads=2",
		"num.io.threads=4",
	}
	if replicas == 1 {
		all = append(all, "controlled.shutdown.enable=false") // there is nobody to take over
	}
	return properties(all...)
}

// formatProperties are what Kafka's format needs to make the bootstrap file.
func formatProperties(dir string) string {
	n := node{dir: dir, port: 1}
	return n.properties([]int{2})
}

func properties(lines ...string) string { return strings.Join(lines, "\n") + "\n" }

// newUUID is an id as Kafka writes them.
func newUUID() string {
	var b [16]byte
	for b[0] == 0 || b[0]>>2 == 62 { // it may not begin with a dash
		rand.Read(b[:])
	}
	return base64.RawURLEncoding.EncodeToString(b[:])
}
