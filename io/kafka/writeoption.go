package kafka

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/io/kafka/internal/batch"
)

// writeParams are the parameters of a URL that say how to write.
var writeParams = []string{"compression", "batch", "linger", "buffer", "delivery", "acks", "exactly-once", "transaction-timeout", "transaction-bytes"}

// WriteOption configures [Write]: an [Option], or one that is only for writing.
type WriteOption interface{ toWrite(*writeConfig) }

func (o Option) toWrite(c *writeConfig) { o(&c.connection) }

type writeOption func(*writeConfig)

func (o writeOption) toWrite(c *writeConfig) { o(c) }

// Partitioner says to which of so many partitions a record goes. It is called on
// several goroutines at once.
type Partitioner func(r *Record, partitions int) int32

// PartitionBy sends records where f says. Otherwise a record with a key goes where
// Java's producer sends it (by murmur2), and one without stays with those before it
// until their batch is full.
func PartitionBy(f Partitioner) WriteOption {
	return writeOption(func(c *writeConfig) { c.partitioner, c.hasPartitioner = f, true })
}

// ByPartition sends records to the Partition that the format has put in them.
func ByPartition() WriteOption {
	return PartitionBy(func(r *Record, _ int) int32 { return r.Partition })
}

// Compression is how batches are compressed: none, gzip, snappy, lz4 (the default) or
// zstd. In the URL: compression=zstd.
func Compression(codec string) WriteOption { return setting("compression", codec) }

// BatchBytes is how large a batch may be before it is compressed; default 256 KiB.
// Topics take 1 MiB by default (max.message.bytes). A record that is larger is a batch
// of its own. In the URL: batch=65536.
func BatchBytes(n int) WriteOption { return setting("batch", strconv.Itoa(n)) }

// Linger is how long a batch that is not full waits for more; default 5ms. In the URL:
// linger=20ms.
func Linger(d time.Duration) WriteOption { return setting("linger", d.String()) }

// Buffer is how many bytes the records may take, in all lanes of a process, that are
// not acknowledged yet; default 64 MiB, and two batches for each lane at least. When it
// is used up writing waits. In the URL: buffer=1048576.
//
// With [ExactlyOnce], what was written since the last checkpoint is in memory: when half
// of this is, a checkpoint is taken before its time, and sources wait for it.
func Buffer(n int) WriteOption { return setting("buffer", strconv.Itoa(n)) }

// DeliveryTimeout is how long a batch is tried again, while brokers are away, before
// the run fails; default 2m. In the URL: delivery=10m.
func DeliveryTimeout(d time.Duration) WriteOption { return setting("delivery", d.String()) }

// Acks is whose word is needed for a record to be written: "all" replicas' that are in
// sync (the default), "1", the leader's, or "0", nobody's: then a crash of brokers
// loses records, and trying again may write them twice. In the URL: acks=1.
func Acks(whose string) WriteOption { return setting("acks", whose) }

// ExactlyOnce writes in transactions: who reads committed records only sees those of
// each checkpoint once, when it is committed, whatever crashes. prefix begins the
// transactional ids, and the names of the groups in which the sink keeps how far it is
// (PREFIX-LANES-LANE): no other job and no other sink may have the same. In the URL:
// exactly-once=PREFIX.
//
// The run must keep its checkpoints where they outlive the process; it is refused
// otherwise. What is written between two checkpoints is kept in memory until it is
// committed, and is in the checkpoint: so nothing is lost if the brokers abort a
// transaction that takes too long. The URL has to name a topic.
func ExactlyOnce(prefix string) WriteOption { return setting("exactly-once", prefix) }

// TransactionTimeout is after what time brokers abort a transaction: it should be longer
// than the time between two checkpoints, as what was aborted is written again. Readers
// wait so long for the transaction of a process that has died and is not started again.
// Default 15m, which is the most that brokers allow by default
// (transaction.max.timeout.ms). In the URL: transaction-timeout=1m.
func TransactionTimeout(d time.Duration) WriteOption {
	return setting("transaction-timeout", d.String())
}

// TransactionBytes is how much the records between two checkpoints may take in the
// memory of a process, compressed: default 1 GiB, and more is an error. In the URL:
// transaction-bytes=67108864.
func TransactionBytes(n int) WriteOption { return setting("transaction-bytes", strconv.Itoa(n)) }

// AssumeWritten answers what the brokers have forgotten (see the error that says so):
// whether the records that the checkpoint holds are in the topic already. It is for one
// start only.
func AssumeWritten(yes bool) WriteOption {
	return writeOption(func(c *writeConfig) { c.assume = &yes })
}

// setting is an option that a URL may hold as well.
func setting(name, value string) WriteOption {
	return writeOption(func(c *writeConfig) { c.given[name] = value })
}

// CreateTopic makes a topic that is not there. -1 partitions or replicas are as many as
// the brokers' default; config is the topic's settings.
func CreateTopic(partitions, replicas int, config map[string]string) WriteOption {
	return writeOption(func(c *writeConfig) { c.create = &newTopic{partitions, replicas, config} })
}

// ProcessingTime gives records the time of their writing. Otherwise, if the format
// gives them none, they have the element's event time.
func ProcessingTime() WriteOption {
	return writeOption(func(c *writeConfig) { c.processingTime = true })
}

type newTopic struct {
	partitions, replicas int
	config               map[string]string
}

const (
	acksAll  int16 = -1
	acksOne  int16 = 1
	acksNone int16 = 0
)

// writeConfig is how to write, whatever it is.
type writeConfig struct {
	connection
	given map[string]string // what options say that a URL may say, too

	to             *address
	codec          batch.Codec
	batchBytes     int
	linger         time.Duration
	buffer         int
	delivery       time.Duration
	acks           int16
	partitioner    Partitioner
	hasPartitioner bool
	create         *newTopic
	processingTime bool
	prefix         string // of transactional ids; "" is at least once
	txnTimeout     time.Duration
	txnBytes       int
	assume         *bool
}

func newWriteConfig(url string, opts []WriteOption) (*writeConfig, error) {
	c := &writeConfig{given: map[string]string{}}
	for _, o := range opts {
		if o == nil {
			return nil, fmt.Errorf("an option is nil")
		}
		o.toWrite(c)
	}
	var err error
	if c.to, err = parseURL(url, slices.Concat(connectParams, writeParams)...); err != nil {
		return nil, err
	}
	if c.to.Topic != "" {
		if err := checkTopic(c.to.Topic); err != nil {
			return nil, err
		}
	}
	if c.hasPartitioner && c.partitioner == nil {
		return nil, fmt.Errorf("the partitioner is nil")
	}
	if n := c.create; n != nil && (n.partitions == 0 || n.partitions < -1 || n.replicas == 0 || n.replicas < -1) {
		return nil, fmt.Errorf("CreateTopic with %d partitions and %d replicas: want 1 or more, or -1 for the brokers' default", n.partitions, n.replicas)
	}
	return c, c.settings()
}

// param is what the options say, or the URL.
func (c *writeConfig) param(name, otherwise string) string {
	if v, ok := c.given[name]; ok {
		return v
	}
	if v, ok := c.to.param(name); ok {
		return v
	}
	return otherwise
}

func (c *writeConfig) settings() (err error) {
	var ok bool
	codec := c.param("compression", "lz4")
	if c.codec, ok = batch.ParseCodec(codec); !ok {
		return fmt.Errorf("compression=%s: there are none, gzip, snappy, lz4 and zstd", codec)
	}
	switch acks := c.param("acks", "all"); acks {
	case "all", "-1":
		c.acks = acksAll
	case "1":
		c.acks = acksOne
	case "0":
		c.acks = acksNone
	default:
		return fmt.Errorf("acks=%s: there are all, 1 and 0", acks)
	}
	if c.batchBytes, err = c.bytes("batch", 256<<10, 1<<30); err != nil {
		return err
	}
	if c.buffer, err = c.bytes("buffer", 64<<20, 1<<40); err != nil {
		return err
	}
	if c.linger, err = c.duration("linger", "5ms", 0); err != nil {
		return err
	}
	if c.delivery, err = c.duration("delivery", "2m", 1); err != nil {
		return err
	}
	return c.transactions()
}

func (c *writeConfig) transactions() (err error) {
	if c.txnTimeout, err = c.duration("transaction-timeout", "15m", time.Millisecond); err != nil {
		return err
	}
	if c.txnBytes, err = c.bytes("transaction-bytes", 1<<30, 1<<40); err != nil {
		return err
	}
	_, option := c.given["exactly-once"]
	_, param := c.to.param("exactly-once")
	c.prefix = c.param("exactly-once", "")
	switch {
	case !option && !param:
		return nil
	case c.prefix == "":
		return fmt.Errorf("the prefix of ExactlyOnce is empty")
	case len(c.prefix) > 200:
		return fmt.Errorf("the prefix of ExactlyOnce is longer than 200 bytes: %.20s", c.prefix)
	case c.acks != acksAll:
		return fmt.Errorf("ExactlyOnce wants acks=all")
	case c.to.Topic == "":
		return fmt.Errorf("ExactlyOnce wants a topic in the URL, with which it keeps how far it is")
	}
	return nil
}

func (c *writeConfig) bytes(name string, otherwise, most int) (int, error) {
	text := c.param(name, strconv.Itoa(otherwise))
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("%s=%s: want a number of bytes, at most %d", name, text, most)
	}
	return n, nil
}

func (c *writeConfig) duration(name, otherwise string, least time.Duration) (time.Duration, error) {
	text := c.param(name, otherwise)
	d, err := time.ParseDuration(text)
	if err != nil || d < least {
		return 0, fmt.Errorf("%s=%s: want a time as %s", name, text, otherwise)
	}
	return d, nil
}
