// Command kafka counts the clicks on each page in windows of event time, from one topic
// of Kafka to another, while clicks go on coming. It starts three brokers in this
// process, so that there is nothing to install.
//
//	go run ./examples/kafka
//	go run ./examples/kafka -n 3000
//
// With a folder for the job's state each count is written exactly once, also if the
// program is killed and started again; with -brokers it uses real ones, and makes the
// topics that are not there:
//
//	go run ./examples/kafka -brokers localhost:9092 -state-dir /tmp/clicks
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners"
	"github.com/twmb/franz-go/pkg/kfake"
)

func main() {
	brokers := flag.String("brokers", "", "addresses of real brokers, as host:9092,host2:9092; default: three in this process")
	n := flag.Uint64("n", 0, "count so many clicks and print the counts; 0: clicks without end")
	rate := flag.Float64("rate", 500, "clicks a second, if they have no end")
	var k cluster
	runners.Main(func(p *pipeline.Pipeline) {
		var err error
		if k, err = connect(*brokers, flag.Lookup("state-dir").Value.String()); err == nil && *n > 0 {
			err = k.fill(*n)
		}
		if err != nil {
			pipeline.Fail(p, "%w", err)
			return
		}
		if *n == 0 {
			k.writeClicks(endless(p, *rate))
			show(k.readCounts(p), os.Stdout)
		}
		k.writeCounts(perPage(k.readClicks(p, *n > 0)))
	})
	if *n > 0 {
		if err := k.print(os.Stdout); err != nil {
			log.Fatal(err)
		}
	}
	k.stop()
}

// cluster is where the topics are.
type cluster struct {
	brokers string
	durable bool   // the job keeps its state, so that it can write exactly once
	stop    func() // ends the brokers, if they are in this process
}

// connect makes sure that there are brokers, and topics. Brokers in this process keep
// what they have beside the job's state, if that is kept.
func connect(brokers, stateDir string) (cluster, error) {
	k := cluster{brokers, stateDir != "", func() {}}
	if brokers == "" {
		opts := []kfake.Opt{kfake.NumBrokers(3)}
		if k.durable {
			opts = append(opts, kfake.DataDir(strings.TrimRight(stateDir, "/")+".brokers"))
		}
		c, err := kfake.NewCluster(opts...)
		if err != nil {
			return k, fmt.Errorf("start brokers: %w", err)
		}
		k.brokers, k.stop = strings.Join(c.ListenAddrs(), ","), c.Close
	}
	return k, k.makeTopics()
}
