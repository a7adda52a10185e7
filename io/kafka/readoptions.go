package kafka

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/millrace/millrace/io/kafka/internal/client"
)

// ReadOption configures [Read]. Each [Option] is one, too.
type ReadOption interface{ forRead(*reading) }

func (o Option) forRead(r *reading) { o(&r.connection) }

type readOption func(*reading)

func (o readOption) forRead(r *reading) { o(r) }

// reading is what Read was told.
type reading struct {
	connection
	address     *address
	client      client.Config
	topics      []string
	pattern     string
	matches     *regexp.Regexp // of pattern
	start, stop Place
	reset       Place
	group       string
	assigned    bool // by the group
	session     time.Duration
	instance    string
	uncommitted bool
	budget      int
	wait        time.Duration
	patience    time.Duration
	discover    time.Duration
	disorder    time.Duration
	idle        time.Duration
	rack        string
}

// Topics is the topics to read, instead of those in the URL.
func Topics(names ...string) ReadOption {
	return readOption(func(r *reading) { r.topics = append([]string{}, names...) })
}

// Pattern reads all topics whose whole name matches the regular expression, but for
// the brokers' own; those that are made later are found, too (see [Discover]). The URL
// then names no topic.
func Pattern(re string) ReadOption { return readOption(func(r *reading) { r.pattern = re }) }

// Start is where reading begins: [Committed] or else [Earliest] by default where there
// is a group, [Earliest] where there is none. It is for partitions that are there when
// the job begins: those that are found later are read from their beginning, and a job
// that goes on from a snapshot goes on where it was.
func Start(p Place) ReadOption { return readOption(func(r *reading) { r.start = p }) }

// Stop makes the collection bounded: of each partition what lies before p is read, as
// it is when the run begins. Offsets that are not written yet are waited for.
func Stop(p Place) ReadOption { return readOption(func(r *reading) { r.stop = p }) }

// Reset is where to go on in a partition that does not have the offset that is to be
// read next, [Earliest] or [Latest]: because it was deleted by retention before it was
// read, say. Without it that ends the run.
func Reset(p Place) ReadOption { return readOption(func(r *reading) { r.reset = p }) }

// Group names a consumer group. The offsets of each snapshot are committed to it, for
// others to see: the job itself goes on by its snapshots, and does not share the
// topics with other members of the group, unless it is told to ([AssignedByGroup]).
func Group(name string) ReadOption { return readOption(func(r *reading) { r.group = name }) }

// AssignedByGroup has the partitions assigned by the group, which needs a name ([Group]):
// several processes of a program, and consumers of other clients, share the topics, and
// what one of them had is read by the others when it goes. Partitions that a rebalance
// leaves where they are are read on meanwhile. The assignment is Kafka's
// cooperative-sticky, which other members have to know.
//
// A partition begins where the group is (see [Committed]), or where the job's own
// checkpoint is if that is further. What is to go to another member is read no more, and
// given up when a checkpoint has what was read of it and its offset is committed: then
// the next one begins behind it. The run needs checkpoints for that. If a process dies,
// or is not heard of for the [SessionTimeout], what it read since its last checkpoint is
// read again by the others: at least once. State stays where it is: what a process
// knows of a key it does not hand on with the partition.
//
// Each process needs a state folder, and for [ExactlyOnce] a prefix, of its own.
func AssignedByGroup() ReadOption { return readOption(func(r *reading) { r.assigned = true }) }

// SessionTimeout is after what time without a sign of life the group gives the
// partitions of [AssignedByGroup] to others; default 45 s. Brokers allow 6 s and more,
// unless they are told otherwise.
func SessionTimeout(d time.Duration) ReadOption {
	return readOption(func(r *reading) { r.session = d })
}

// Instance names this process among the members of the group, by a name that no other
// one has (static membership, for [AssignedByGroup]): if it ends and comes back within
// the [SessionTimeout] it gets what it had, and until then nobody else does.
func Instance(name string) ReadOption { return readOption(func(r *reading) { r.instance = name }) }

// Uncommitted reads records of transactions that are open or were aborted, too.
func Uncommitted() ReadOption { return readOption(func(r *reading) { r.uncommitted = true }) }

// FetchBudget is how many bytes of what brokers sent may be in memory, in all, however
// many partitions there are; default 64 MiB. What is decompressed comes on top, one
// batch for each partition that is being read, and a batch that is larger than all of
// it is read nevertheless.
func FetchBudget(bytes int) ReadOption { return readOption(func(r *reading) { r.budget = bytes }) }

// MaxWait is how long a broker waits for new records before it answers that there are
// none; default 500 ms. Records are not held back by it.
func MaxWait(d time.Duration) ReadOption { return readOption(func(r *reading) { r.wait = d }) }

// Patience is how long a partition may be out of reach, because brokers are down or
// nobody leads it, before that ends the run; default 2 minutes.
func Patience(d time.Duration) ReadOption { return readOption(func(r *reading) { r.patience = d }) }

// Discover is how often new partitions and topics are looked for; default 1 minute, 0
// is never.
func Discover(every time.Duration) ReadOption {
	return readOption(func(r *reading) { r.discover = every })
}

// OutOfOrder is how late a record may come behind the newest one of its partition
// before it counts as late, by the records' own times; default 0. For other times put
// pipeline.EventTime behind the source.
func OutOfOrder(d time.Duration) ReadOption { return readOption(func(r *reading) { r.disorder = d }) }

// IdleAfter is after what time a partition which has been read to its end, and to
// which nothing is written, holds the watermark up no longer; default 10 s, 0 is never.
// It waits for transactions that are open.
func IdleAfter(d time.Duration) ReadOption { return readOption(func(r *reading) { r.idle = d }) }

// Rack is where this program runs: brokers then may have it read from replicas in the
// same rack.
func Rack(name string) ReadOption { return readOption(func(r *reading) { r.rack = name }) }

// readParams are the parameters of a URL that options for reading have, too.
var readParams = []string{"pattern", "start", "stop", "reset", "group", "uncommitted", "budget", "wait", "patience", "discover", "outoforder", "idle", "rack", "assign", "session", "instance"}

// newReading is what a URL and options say.
func newReading(url string, opts []ReadOption) (*reading, error) {
	r := &reading{budget: 64 << 20, wait: 500 * time.Millisecond, patience: 2 * time.Minute, discover: time.Minute, idle: 10 * time.Second}
	var err error
	if r.address, err = parseURL(url, slices.Concat(connectParams, readParams)...); err != nil {
		return r, err
	}
	if err := r.parse(); err != nil {
		return r, err
	}
	for _, o := range opts {
		if o == nil {
			return r, fmt.Errorf("an option is nil")
		}
		o.forRead(r)
	}
	if err := r.check(); err != nil {
		return r, err
	}
	r.client, err = r.address.clientConfig(r.connection)
	return r, err
}

// parse reads the URL's parameters.
func (r *reading) parse() error {
	text := func(s *string) func(string) error { return func(v string) error { *s = v; return nil } }
	place := func(p *Place) func(string) error {
		return func(v string) (err error) { *p, err = parsePlace(v); return err }
	}
	duration := func(d *time.Duration) func(string) error {
		return func(v string) (err error) {
			if *d, err = time.ParseDuration(v); err != nil {
				return fmt.Errorf("want a time as 10s")
			}
			return nil
		}
	}
	set := map[string]func(string) error{
		"start": place(&r.start), "stop": place(&r.stop), "reset": place(&r.reset),
		"group": text(&r.group), "rack": text(&r.rack), "pattern": text(&r.pattern),
		"wait": duration(&r.wait), "patience": duration(&r.patience), "discover": duration(&r.discover),
		"outoforder": duration(&r.disorder), "idle": duration(&r.idle),
		"session": duration(&r.session), "instance": text(&r.instance),
		"assign": func(v string) error {
			if r.assigned = v == "group"; !r.assigned && v != "job" {
				return fmt.Errorf("want group or job")
			}
			return nil
		},
		"budget": func(v string) (err error) {
			if r.budget, err = strconv.Atoi(v); err != nil {
				return fmt.Errorf("want a number of bytes")
			}
			return nil
		},
		"uncommitted": func(v string) (err error) {
			if r.uncommitted, err = strconv.ParseBool(v); err != nil {
				return fmt.Errorf("want true or false")
			}
			return nil
		},
	}
	for _, name := range readParams {
		if v, ok := r.address.param(name); ok {
			if err := set[name](v); err != nil {
				return fmt.Errorf("%s=%s: %w", name, v, err)
			}
		}
	}
	return nil
}

// check says what is wrong, and fills in what depends on the rest.
func (r *reading) check() error {
	if err := r.checkTopics(); err != nil {
		return err
	}
	if err := r.checkPlaces(); err != nil {
		return err
	}
	switch {
	case r.budget < budgetLeast:
		return fmt.Errorf("FetchBudget(%d): want at least %d bytes", r.budget, budgetLeast)
	case r.wait < time.Millisecond || r.patience <= 0:
		return fmt.Errorf("MaxWait(%v), Patience(%v): want positive times, of at least a millisecond", r.wait, r.patience)
	case r.disorder < 0 || r.idle < 0 || r.discover < 0:
		return fmt.Errorf("OutOfOrder(%v), IdleAfter(%v), Discover(%v): want 0 or more", r.disorder, r.idle, r.discover)
	}
	return r.checkMember()
}

// sessionDefault is that of Kafka's own clients.
const sessionDefault = 45 * time.Second

// checkMember says what is wrong with AssignedByGroup and what goes with it.
func (r *reading) checkMember() error {
	switch {
	case !r.assigned && (r.session != 0 || r.instance != ""):
		return fmt.Errorf("SessionTimeout and Instance are for members of a group: want kafka.AssignedByGroup, or assign=group in the URL")
	case !r.assigned:
		return nil
	case r.group == "":
		return fmt.Errorf("AssignedByGroup: there is no group: want kafka.Group, or group= in the URL")
	case r.stop.kind != nowhere:
		return fmt.Errorf("AssignedByGroup and Stop: nobody knows when all is read of which others read a part: want one of them")
	case r.start.kind != byGroup:
		return fmt.Errorf("AssignedByGroup begins where the group is, and Start is %s: want kafka.Committed of that, for partitions of which the group has committed nothing", r.start)
	case r.discover == 0:
		return fmt.Errorf("AssignedByGroup and Discover(0): the group may assign partitions that are new: want a time")
	}
	if r.session == 0 {
		r.session = sessionDefault
	}
	if r.session < time.Second || r.session > time.Hour {
		return fmt.Errorf("SessionTimeout(%v): want 1s to 1h", r.session)
	}
	return nil
}

func (r *reading) checkTopics() (err error) {
	if r.pattern != "" {
		if r.address.Topic != "" || r.topics != nil {
			return fmt.Errorf("want either topics or a pattern")
		}
		if r.matches, err = regexp.Compile("^(?:" + r.pattern + ")$"); err != nil {
			return fmt.Errorf("the pattern is no regular expression: %w", err)
		}
		return nil
	}
	if r.topics == nil {
		r.topics, err = r.address.topics()
	}
	if err == nil && len(r.topics) == 0 {
		err = fmt.Errorf("no topic is named")
	}
	for _, name := range r.topics {
		err = cmp.Or(err, checkTopic(name))
	}
	r.topics = slices.Compact(slices.Sorted(slices.Values(r.topics)))
	return err
}

// budgetLeast is the smallest fetch budget, in bytes.
const budgetLeast = 1 << 20

func (r *reading) checkPlaces() error {
	if r.start.kind == nowhere && r.group != "" {
		r.start = Committed(Earliest())
	} else if r.start.kind == nowhere {
		r.start = Earliest()
	}
	if err := r.start.check(earliest, latest, atTime, atOffsets, byGroup); err != nil {
		return fmt.Errorf("Start: %w", err)
	}
	if r.start.needs(byGroup) && r.group == "" {
		return fmt.Errorf("Start is what a group has committed, and there is no group: want kafka.Group, or group= in the URL")
	}
	if r.stop.kind != nowhere {
		if err := r.stop.check(latest, atTime, atOffsets); err != nil {
			return fmt.Errorf("Stop: %w", err)
		}
	}
	if r.reset.kind != nowhere {
		if err := r.reset.check(earliest, latest); err != nil {
			return fmt.Errorf("Reset: %w", err)
		}
	}
	return nil
}
