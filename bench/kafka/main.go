// Command kafka measures how fast this project's connector, franz-go and kafka-go read
// and write a topic, one after the other and each in a process of its own, against one
// broker. It prints one JSON line for each client and direction, and ratios to stderr.
//
//	make kafka   # prints the address of a broker that it starts
//	go run ./bench/kafka -brokers 127.0.0.1:9092 -records 5000000 -size 100
//
// All read the same topic, uncompressed unless -codec says otherwise, and do as little
// with a record as can be: they add up the sizes. All write the same payloads, acknowledged
// by all replicas. Processor time is the client's own, and so are allocations.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/bench/internal/meter"
)

// line is what is printed for a client and direction.
type line struct {
	Client          string  `json:"client"`
	Op              string  `json:"op"` // read, write (idempotent where the client can), transactions
	Size            int     `json:"size"`
	Records         int     `json:"records"`
	Seconds         float64 `json:"seconds"`
	RecordsPerS     float64 `json:"records_per_s"`
	CPUNsPerRecord  float64 `json:"cpu_ns_per_record"`
	AllocsPerRecord float64 `json:"allocs_per_record"`
	RSSMB           int     `json:"rss_mb"`
}

// work is what one client has to do.
type work struct {
	brokers    []string
	topic      string
	records    int
	size       int
	partitions int
	codec      string
	lanes      int
	every      time.Duration // between the ends of transactions
}

// runs are what can be measured, by client and direction: a function that does the work
// and says how many bytes the values had.
var runs = map[string]map[string]func(context.Context, work) (int64, error){
	"read":         {"millrace": readMillrace, "franz-go": readFranz, "kafka-go": readKafkaGo},
	"write":        {"millrace": writeMillrace, "franz-go": writeFranz, "kafka-go": writeKafkaGo},
	"transactions": {"millrace": transactMillrace, "franz-go": transactFranz},
}

var clients = []string{"millrace", "franz-go", "kafka-go"}

func main() {
	var w work
	brokers := flag.String("brokers", "", "addresses of brokers, host:port with commas between")
	flag.IntVar(&w.records, "records", 5_000_000, "records to read, and to write")
	flag.IntVar(&w.size, "size", 100, "bytes of a value")
	flag.IntVar(&w.partitions, "partitions", 4, "partitions of each topic")
	flag.StringVar(&w.codec, "codec", "none", "compression of batches: none, gzip, snappy, lz4, zstd")
	flag.IntVar(&w.lanes, "parallelism", 1, "lanes of millrace")
	flag.DurationVar(&w.every, "every", 500*time.Millisecond, "time between the ends of transactions")
	ops := flag.String("ops", "read,write,transactions", "what to measure")
	rounds := flag.Int("rounds", 5, "how often each is measured, in turns; the medians are printed: a broker that still writes out what it got spoils one or two")
	keep := flag.Bool("keep", false, "leave the topic that was read, to read it again with -one and -topic")
	one := flag.String("one", "", "measure this client alone, in this process (for the command itself)")
	flag.StringVar(&w.topic, "topic", "", "topic of -one")
	profile := flag.String("cpuprofile", "", "write a CPU profile of -one here")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	w.brokers = strings.Split(*brokers, ",")
	err := errors.New("no -brokers: where is Kafka? (make kafka starts one)")
	switch {
	case *brokers == "":
	case *one != "":
		err = measure(ctx, w, *ops, *one, *profile)
	default:
		err = compare(ctx, w, strings.Split(*ops, ","), *rounds, *keep)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "kafka:", err)
		os.Exit(1)
	}
}

// measure does the work of one client here, and prints its line.
func measure(ctx context.Context, w work, op, client, profile string) error {
	stop, err := startProfile(profile)
	if err != nil {
		return err
	}
	defer stop()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, began := meter.CPU(), time.Now()
	sum, err := runs[op][client](ctx, w)
	if err != nil {
		return fmt.Errorf("%s, %s: %w", client, op, err)
	}
	took, used := time.Since(began), meter.CPU()-cpu
	runtime.ReadMemStats(&after)
	if want := int64(w.records) * int64(w.size); sum != want {
		return fmt.Errorf("%s, %s: %d bytes of values rather than %d", client, op, sum, want)
	}
	n := float64(w.records)
	return json.NewEncoder(os.Stdout).Encode(line{client, op, w.size, w.records, round(took.Seconds()), round(n / took.Seconds()),
		round(float64(used.Nanoseconds()) / n), round(float64(after.Mallocs-before.Mallocs) / n), meter.PeakRSS()})
}

// compare measures all clients in turns, and prints the medians.
func compare(ctx context.Context, w work, ops []string, rounds int, keep bool) error {
	if rounds < 1 || w.records < 1 || w.size < 1 || w.partitions < 1 {
		return errors.New("-rounds, -records, -size and -partitions have to be above 0")
	}
	a, err := newAdmin(w.brokers)
	if err != nil {
		return err
	}
	defer a.close()
	for _, op := range ops {
		if runs[op] == nil {
			return fmt.Errorf("-ops %q: there are read, write, transactions", op)
		}
		if err := a.compare(ctx, w, op, rounds, keep); err != nil {
			return err
		}
	}
	return nil
}

func (a *admin) compare(ctx context.Context, w work, op string, rounds int, keep bool) error {
	fmt.Fprintf(os.Stderr, "%s: %d records of %d bytes, %d partitions, %s\n", op, w.records, w.size, w.partitions, w.codec)
	if op == "read" {
		topic, err := a.topic(ctx, w)
		if err != nil {
			return err
		}
		if w.topic = topic; keep {
			fmt.Fprintln(os.Stderr, "  topic:", topic)
		} else {
			defer a.remove(topic)
		}
		if _, err := writeFranz(ctx, w); err != nil {
			return fmt.Errorf("filling the topic: %w", err)
		}
	}
	all := map[string][]line{}
	for range rounds {
		for _, client := range clients {
			if runs[op][client] == nil {
				continue
			}
			l, err := a.child(ctx, w, op, client)
			if err != nil {
				return err
			}
			all[client] = append(all[client], l)
		}
	}
	var ours line
	for _, client := range clients {
		if len(all[client]) == 0 {
			continue
		}
		l := medians(all[client])
		if err := json.NewEncoder(os.Stdout).Encode(l); err != nil {
			return err
		}
		if client == "millrace" {
			ours = l
			continue
		}
		fmt.Fprintf(os.Stderr, "  millrace / %s: %.2f in records/s, %.2f in records/s per core\n", client, ours.RecordsPerS/l.RecordsPerS, l.CPUNsPerRecord/ours.CPUNsPerRecord)
	}
	return nil
}

// child measures one client in another process, which writes to a topic of its own.
func (a *admin) child(ctx context.Context, w work, op, client string) (l line, err error) {
	if op != "read" {
		if w.topic, err = a.topic(ctx, w); err != nil {
			return l, err
		}
		defer a.remove(w.topic)
	}
	program, err := os.Executable()
	if err != nil {
		return l, err
	}
	c := exec.CommandContext(ctx, program, "-one="+client, "-ops="+op, "-topic="+w.topic, "-brokers="+strings.Join(w.brokers, ","), fmt.Sprint("-records=", w.records),
		fmt.Sprint("-size=", w.size), fmt.Sprint("-partitions=", w.partitions), "-codec="+w.codec, fmt.Sprint("-parallelism=", w.lanes), fmt.Sprint("-every=", w.every))
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return l, fmt.Errorf("%s, %s: %w", client, op, err)
	}
	err = json.NewDecoder(bytes.NewReader(out)).Decode(&l)
	return l, err
}

// medians is the median of each figure.
func medians(all []line) line {
	m := all[0]
	for _, f := range []func(*line) *float64{
		func(l *line) *float64 { return &l.Seconds }, func(l *line) *float64 { return &l.RecordsPerS },
		func(l *line) *float64 { return &l.CPUNsPerRecord }, func(l *line) *float64 { return &l.AllocsPerRecord },
	} {
		var xs []float64
		for i := range all {
			xs = append(xs, *f(&all[i]))
		}
		slices.Sort(xs)
		*f(&m) = xs[len(xs)/2]
	}
	return m
}
