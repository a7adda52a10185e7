package distributed

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/cluster"
	"github.com/millrace/millrace/internal/engine"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/runner"
)

// Variables for what others must not see, as they would on a command line.
const (
	joinToken    = "MILLRACE_JOIN_TOKEN"    // of a job that is joined; what a job wants to be joined with, if it is not to draw it
	natsPassword = "MILLRACE_NATS_PASSWORD" // of -nats-user
	natsToken    = "MILLRACE_NATS_TOKEN"    // instead of a user
)

// flags are this runner's own. Others, that the local runner declares, it takes as well:
// see taken.
type flags struct {
	workers      int
	join         string
	job          string
	nats         string
	replicas     int
	natsUser     string
	natsCreds    string
	natsNKey     string
	natsCA       string
	natsCert     string
	natsKey      string
	slots        int
	standby      int
	epoch        time.Duration
	epochSize    string
	cut          time.Duration
	sinkCommit   string
	durable      string
	drainTimeout time.Duration
	logs         string
	metrics      string
	chaos        string
	listen       string
	plane        string
	planeListen  string
}

// taken are the flags of the local runner that this one takes.
var taken = []string{"parallelism", "temp-dir", "state-dir", "progress", "from", "allow-dropped", "renamed", "on-error", "retries"}

func (f *flags) register(fs *flag.FlagSet) {
	fs.IntVar(&f.workers, "workers", 2, "processes of this program to start on this machine; 0: none, others join")
	fs.StringVar(&f.join, "join", "", "work for a job that runs already: the address that it gave, as tls://host:4222 or nats://host:4222; "+joinToken+" is its token")
	fs.StringVar(&f.job, "job", "", "name of the job, by which workers and commands find it; default the program's")
	fs.StringVar(&f.nats, "nats", "", "NATS servers to use, between commas, as nats://host:4222 or tls://host:4222; default: one in this process")
	fs.IntVar(&f.replicas, "replicas", 1, "servers of -nats that keep a copy of what the job keeps: 1, 3 or 5 of a cluster. With 3 it does not matter if any one of them loses its disk")
	fs.StringVar(&f.natsUser, "nats-user", "", "user for NATS; "+natsPassword+" is the password ("+natsToken+" is a token, without a user)")
	fs.StringVar(&f.natsCreds, "nats-creds", "", "file with credentials for NATS")
	fs.StringVar(&f.natsNKey, "nats-nkey", "", "file with the seed of an nkey for NATS")
	fs.StringVar(&f.natsCA, "nats-ca", "", "file with the certificates (PEM) that sign those of the NATS servers; default the system's")
	fs.StringVar(&f.natsCert, "nats-cert", "", "file with a certificate (PEM) to show to NATS; with -nats-key")
	fs.StringVar(&f.natsKey, "nats-key", "", "file with the key (PEM) of -nats-cert")
	fs.IntVar(&f.slots, "slots", 0, "parts of the job that are committed, and taken over, as one; default one for each worker")
	fs.IntVar(&f.standby, "standby", 0, "workers that hold, beside its own, what each slot needs, so that it goes on at once when its worker dies")
	fs.DurationVar(&f.epoch, "epoch", 20*time.Millisecond, "most time between commits of a slot")
	fs.StringVar(&f.epochSize, "epoch-size", "256KiB", "bytes for another slot with which a commit does not wait for -epoch, so that what is not committed fits into the caches of processors; 0: commits are by time alone")
	fs.DurationVar(&f.cut, "cut", time.Second, "time between consistent snapshots of the job")
	fs.StringVar(&f.sinkCommit, "sink-commit", "cut", "when sinks that write exactly once show what they have: cut (with each snapshot of the job: nothing is ever shown twice) or epoch (with each commit of a slot: sooner, and once as long as processes die one at a time, or with -plane=log; when the job goes back to its last snapshot, what was shown since comes twice)")
	fs.StringVar(&f.durable, "durable", "crash", "what the NATS server in this process keeps its word over: crash (of processes) or power (it syncs before it answers)")
	fs.DurationVar(&f.drainTimeout, "drain-timeout", 30*time.Second, "most that a worker takes to hand on its slots before it is ended, and a job that drains to show what its sources have given")
	fs.StringVar(&f.listen, "listen", "", "address for the NATS server in this process, as 10.0.0.5:4222, at which workers on other machines join; what goes there is encrypted, by a key that is made of the job's token; default a port of this machine alone")
	fs.StringVar(&f.plane, "plane", overNATS, "what data between slots goes over: nats (the job's NATS servers), direct (TCP from worker to worker), mesh (a NATS server in each worker, with routes between them) or log (the job's NATS servers, and JetStream keeps it until it is taken in: slower, and the job never goes back to its last snapshot, however many workers die at once); with direct and mesh the job's NATS has less to do, and each worker has to reach each other one")
	fs.StringVar(&f.planeListen, "plane-listen", "", "with -plane=direct and -plane=mesh, the address at which other workers reach this one, as 10.0.0.6:7000, with the next ports for workers that are started here (port 0: any); default a port that is free, at the address of this machine from which it reaches NATS")
	fs.StringVar(&f.metrics, "metrics", "", "serve Prometheus metrics at this address, as localhost:9200, under /metrics; workers that are started here do so at the next ports")
	fs.StringVar(&f.logs, "log-dir", "", "folder for what each worker says, in files of its own; it is shown here all the same")
	fs.StringVar(&f.chaos, "chaos", "", "let the job show what it survives: kill (-9) and pause its own workers at random, with these mean times between, as kill=10s,pause=5s")
}

// role is what a process is for.
type role uint8

const (
	submits role = iota // it leads the job, and starts workers
	joins               // it works for a job of others
)

// config is what flags say, when they are in order.
type config struct {
	role         role
	job          string
	servers      []string // of NATS; none: one in this process
	replicas     int      // of what is kept
	nats         natsConfig
	token        string // "": one has to be drawn
	workers      int
	slots        int
	standbys     int // of each slot
	lanes        int // of each slot
	epoch, cut   time.Duration
	epochSize    int64 // bytes; 0: epochs end by time alone
	onError      engine.OnError
	retries      int    // further tries of an element that fails
	byEpoch      bool   // sinks commit with epochs, not with cuts
	stateDir     string // "": nothing outlives the job
	syncAlways   bool
	drainTimeout time.Duration
	logs         string
	chaos        chaos
	progress     string
	tempDir      string
	listen       string            // address of the server in this process; "": any port of this machine
	metrics      string            // address; "": none are served
	from         string            // savepoint to begin with; "": none
	dropped      map[string]bool   // transforms whose state in it may go
	renamed      map[string]string // transforms that have another name in it: the new ones
	graph        cluster.Graph     // known once the pipeline is built
	built        *graph.Graph      // the same
	plane        string            // what data between slots goes over
	encrypted    bool              // where that is not the job's NATS, it is encrypted as what goes over NATS is
	planeListen  string            // address for that; "": any port of the address from which NATS is reached
}

// lasts reports that a later run can go on with what a job leaves.
func (c *config) lasts() bool { return c.stateDir != "" || c.nats.outside }

// natsConfig is how a process shows who it is to NATS.
type natsConfig struct {
	user, password, token, creds, nkey string
	tls                                *tls.Config // nil: as the server asks
	outside                            bool        // the servers are others'
}

// maxStandbys is how many standbys a slot may have: each gets all that is sent to it.
const maxStandbys = 7

// jobName is what the name of a job is made of.
var jobName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// parse checks the flags of fs, which has parsed them, and says what they mean. env is
// os.Getenv, program the name of the program.
func (f *flags) parse(fs *flag.FlagSet, env func(string) string, program string) (*config, error) {
	given := map[string]bool{}
	fs.Visit(func(fl *flag.Flag) { given[fl.Name] = true })
	c := &config{
		job: f.job, workers: f.workers, replicas: f.replicas, slots: f.slots, standbys: f.standby, epoch: f.epoch, cut: f.cut, byEpoch: f.sinkCommit == "epoch",
		stateDir: value[string](fs, "state-dir"), syncAlways: f.durable == "power",
		drainTimeout: f.drainTimeout, logs: f.logs, metrics: f.metrics, listen: f.listen, planeListen: f.planeListen, progress: value[string](fs, "progress"), tempDir: value[string](fs, "temp-dir"), token: env(joinToken),
	}
	if c.job == "" {
		c.job = jobOf(program)
	}
	if !jobName.MatchString(c.job) {
		return nil, wrong("job", "%q is no name for a job: want up to 64 letters, digits, - and _", c.job)
	}
	if c.metrics != "" {
		_, port, err := net.SplitHostPort(c.metrics)
		if n, bad := strconv.Atoi(port); err != nil || bad != nil || n < 0 || n+max(0, c.workers) > 65535 {
			return nil, wrong("metrics", "%q: want an address, as localhost:9200, with room for a port of each worker behind it", c.metrics)
		}
	}
	if c.planeListen != "" && !isReachable(c.planeListen, c.workers) {
		return nil, wrong("plane-listen", "%q: want an address at which other machines reach this one, as 10.0.0.6:7000, with room for a port of each worker behind it", c.planeListen)
	}
	if f.join != "" {
		return f.parseJoin(c, given, env)
	}
	return f.parseSubmit(c, given, fs, env)
}

// parseCommand is for a command about a job that runs: of the flags it needs those that say
// which, and where it is. Without them servers stay empty.
func (f *flags) parseCommand(fs *flag.FlagSet, env func(string) string, program string) (*config, error) {
	c := &config{job: f.job, token: env(joinToken), progress: value[string](fs, "progress")}
	if c.job == "" {
		c.job = jobOf(program)
	}
	switch {
	case !jobName.MatchString(c.job):
		return nil, wrong("job", "%q is no name of a job: say which by -job", c.job)
	case f.nats != "" && f.join != "":
		return nil, wrong("join", "give the servers of the job by one of -nats and -join")
	case f.nats != "":
		return f.parseNATS(c, "nats", f.nats, env)
	case f.join != "":
		return f.parseNATS(c, "join", f.join, env)
	}
	return c, nil
}

// jobOf is what a job of a program is called.
func jobOf(program string) string { return strings.TrimSuffix(filepath.Base(program), ".exe") }

// parseJoin is for a worker that joins: about the job itself it has nothing to say.
func (f *flags) parseJoin(c *config, given map[string]bool, env func(string) string) (*config, error) {
	c.role = joins
	for _, name := range []string{"workers", "nats", "slots", "standby", "parallelism", "epoch", "epoch-size", "cut", "sink-commit", "state-dir", "durable", "log-dir", "chaos", "listen", "plane", "replicas", "from", "allow-dropped", "renamed", "on-error", "retries"} {
		if given[name] {
			return nil, wrong(name, "who joins a job (-join) takes that from it")
		}
	}
	if c.token == "" {
		return nil, wrong("join", "set %s to the token that the job has shown, or was started with", joinToken)
	}
	return f.parseNATS(c, "join", f.join, env)
}

func (f *flags) parseSubmit(c *config, given map[string]bool, fs *flag.FlagSet, env func(string) string) (_ *config, err error) {
	c.lanes = value[int](fs, "parallelism")
	if c.chaos, err = parseChaos(f.chaos); err != nil {
		return nil, err
	}
	if c.slots == 0 {
		c.slots = c.workers
	}
	c.plane = f.plane
	if c.epochSize, err = runner.ParseBytes(f.epochSize); err != nil {
		return nil, wrong("epoch-size", "%v", err)
	}
	policy := value[string](fs, "on-error")
	c.retries = value[int](fs, "retries")
	known := false
	c.onError, known = engine.PolicyOf(policy, c.retries)
	switch {
	case !known:
		return nil, wrong("on-error", "error policy %q: want stop, dead-letter or park", policy)
	case c.retries < 0:
		return nil, wrong("retries", "%d: want 0 or more", c.retries)
	case !slices.Contains([]string{overNATS, overDirect, overMesh, overLog}, c.plane):
		return nil, wrong("plane", "%q: want nats, direct, mesh or log", c.plane)
	case (c.plane == overNATS || c.plane == overLog) && c.planeListen != "":
		return nil, wrong("plane-listen", "it is for data that goes from worker to worker: give -plane=direct or -plane=mesh, too")
	case c.workers < 0 || c.workers > cluster.MaxWorkers:
		return nil, wrong("workers", "%d: want 0 to %d", c.workers, cluster.MaxWorkers)
	case c.slots == 0:
		return nil, wrong("slots", "without workers of its own (-workers=0) a job has to be told how many slots it has")
	case c.slots < 0 || c.slots > cluster.MaxSlots:
		return nil, wrong("slots", "%d: want 1 to %d", c.slots, cluster.MaxSlots)
	case c.standbys < 0 || c.standbys > maxStandbys:
		return nil, wrong("standby", "%d: want 0 to %d", c.standbys, maxStandbys)
	case c.lanes < 0 || c.lanes*c.slots > 1024:
		return nil, wrong("parallelism", "%d lanes in each of %d slots: want 1 to 1024 in all, or 0 for as many as there are cores", c.lanes, c.slots)
	case c.epoch < time.Millisecond || c.epoch > 10*time.Second:
		return nil, wrong("epoch", "%v: want 1ms to 10s", c.epoch)
	case c.cut < c.epoch || c.cut > time.Hour:
		return nil, wrong("cut", "%v: want at least the time between epochs, %v, and at most 1h", c.cut, c.epoch)
	case f.sinkCommit != "cut" && f.sinkCommit != "epoch":
		return nil, wrong("sink-commit", "%q: want cut or epoch", f.sinkCommit)
	case f.durable != "crash" && f.durable != "power":
		return nil, wrong("durable", "%q: want crash or power", f.durable)
	case c.drainTimeout < 0:
		return nil, wrong("drain-timeout", "%v: want 0 or more", c.drainTimeout)
	case !slices.Contains([]string{"auto", "on", "off"}, c.progress):
		return nil, wrong("progress", "%q: want auto, on or off", c.progress)
	case c.workers == 0 && c.logs != "":
		return nil, wrong("log-dir", "there are no workers here (-workers=0): give it to them")
	case c.chaos != (chaos{}) && c.workers < 2:
		return nil, wrong("chaos", "of %d workers here nobody can go on for another: start -workers=2 or more", c.workers)
	case f.nats != "" && given["durable"]:
		return nil, wrong("durable", "the NATS servers are others' (-nats), and so is what they keep")
	case f.nats != "" && c.stateDir != "":
		return nil, wrong("state-dir", "with NATS servers of others (-nats) state is kept there")
	case f.nats == "" && c.stateDir == "" && given["durable"]:
		return nil, wrong("durable", "without -state-dir nothing is kept when the job is over")
	case f.nats != "" && f.listen != "":
		return nil, wrong("listen", "it is for a NATS server in this process, and -nats names others'")
	case f.replicas != 1 && f.replicas != 3 && f.replicas != 5:
		return nil, wrong("replicas", "%d: want 1, 3 or 5", f.replicas)
	case f.nats == "" && f.replicas > 1:
		return nil, wrong("replicas", "one server, that in this process, can't keep several copies: name a cluster of servers by -nats, such as the command serve runs")
	case f.listen != "" && !isAddress(f.listen):
		return nil, wrong("listen", "%q: want a host and a port, as 10.0.0.5:4222", f.listen)
	case f.nats == "" && f.listen == "" && c.workers == 0:
		return nil, wrong("workers", "with no worker here others have to reach the job: give NATS servers by -nats, or an address by -listen")
	}
	c.from = value[string](fs, "from")
	if names := value[string](fs, "allow-dropped"); names != "" {
		c.dropped = map[string]bool{}
		for name := range strings.SplitSeq(names, ",") {
			c.dropped[name] = true
		}
	}
	if c.renamed, err = runner.ParseRenamed(value[string](fs, "renamed")); err != nil {
		return nil, err
	}
	if c.lanes == 0 {
		c.lanes = max(1, runtime.GOMAXPROCS(0)/max(1, min(c.slots, c.workers)))
	}
	if f.nats == "" {
		for _, name := range []string{"nats-user", "nats-creds", "nats-nkey", "nats-ca", "nats-cert", "nats-key"} {
			if given[name] {
				return nil, wrong(name, "it is for NATS servers of others, which -nats names")
			}
		}
		return c, nil
	}
	return f.parseNATS(c, "nats", f.nats, env)
}

// parseNATS reads where NATS is, and how to show who we are.
func (f *flags) parseNATS(c *config, name, servers string, env func(string) string) (*config, error) {
	for s := range strings.SplitSeq(servers, ",") {
		s = strings.TrimSpace(s)
		u, err := url.Parse(s)
		switch {
		case err != nil, u.Scheme != "nats" && u.Scheme != "tls", u.Hostname() == "", u.Path != "":
			return nil, wrong(name, "want nats://host:port or tls://host:port, several of them between commas")
		case u.User != nil:
			return nil, wrong(name, "others can read the command line: give the user by -nats-user, and the password by %s", natsPassword)
		}
		c.servers = append(c.servers, s)
	}
	c.nats = natsConfig{outside: true, user: f.natsUser, password: env(natsPassword), token: env(natsToken), creds: f.natsCreds, nkey: f.natsNKey}
	n := &c.nats
	ways := 0
	for _, way := range []string{n.user, n.token, n.creds, n.nkey} {
		if way != "" {
			ways++
		}
	}
	switch {
	case ways > 1:
		return nil, wrong(cmp.Or(given("nats-creds", n.creds), given("nats-nkey", n.nkey), "nats-user"), "give one of -nats-user, -nats-creds, -nats-nkey and %s", natsToken)
	case n.user != "" && n.password == "":
		return nil, wrong("nats-user", "set %s to the password of %q", natsPassword, n.user)
	case (f.natsCert == "") != (f.natsKey == ""):
		return nil, wrong(cmp.Or(given("nats-cert", f.natsCert), "nats-key"), "a certificate and its key come together: -nats-cert and -nats-key")
	}
	for _, file := range [][2]string{{"nats-creds", n.creds}, {"nats-nkey", n.nkey}} {
		if file[1] == "" {
			continue
		}
		if _, err := os.Stat(file[1]); err != nil {
			return nil, wrong(file[0], "%v", err)
		}
	}
	return c, f.parseTLS(n)
}

// isAddress reports that s is a host and the number of a port.
func isAddress(s string) bool {
	host, port, err := net.SplitHostPort(s)
	n, bad := strconv.Atoi(port)
	return err == nil && bad == nil && host != "" && n > 0 && n < 1<<16
}

// isReachable reports that s is a host other than all of this machine's, and the number of a
// port with room for those of workers behind it; 0 is any.
func isReachable(s string, workers int) bool {
	host, port, err := net.SplitHostPort(s)
	n, bad := strconv.Atoi(port)
	return err == nil && bad == nil && host != "" && !net.ParseIP(host).IsUnspecified() && n >= 0 && n+max(0, workers) < 1<<16
}

// given is the name of a flag that is not empty.
func given(name, value string) string {
	if value == "" {
		return ""
	}
	return name
}

func (f *flags) parseTLS(n *natsConfig) error {
	if f.natsCA == "" && f.natsCert == "" {
		return nil
	}
	n.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	if f.natsCA != "" {
		pem, err := os.ReadFile(f.natsCA)
		if err != nil {
			return wrong("nats-ca", "%v", err)
		}
		n.tls.RootCAs = x509.NewCertPool()
		if !n.tls.RootCAs.AppendCertsFromPEM(pem) {
			return wrong("nats-ca", "%s holds no certificate (PEM)", f.natsCA)
		}
	}
	if f.natsCert != "" {
		cert, err := tls.LoadX509KeyPair(f.natsCert, f.natsKey)
		if err != nil {
			return wrong("nats-cert", "%v", err)
		}
		n.tls.Certificates = []tls.Certificate{cert}
	}
	return nil
}

// value is that of a flag which the local runner has declared.
func value[T any](fs *flag.FlagSet, name string) T {
	return fs.Lookup(name).Value.(flag.Getter).Get().(T)
}

func wrong(name, format string, args ...any) error {
	return &runner.UsageError{Flag: name, Problem: fmt.Sprintf(format, args...)}
}
