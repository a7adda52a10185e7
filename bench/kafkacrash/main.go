// Command kafkacrash kills a job between two Kafka topics again and again and looks
// whether anybody can tell: it reads one topic, keeps state and windows, and writes two
// others exactly once; it runs in a process of its own, which is ended by kill -9 at
// random moments and started again, while the input goes on. In the end another client,
// franz-go, reads what is committed: each record that has to be there, once.
//
//	go run ./bench/kafkacrash -kills 100
//	make kafka   # prints the address of a broker that it starts
//	go run ./bench/kafkacrash -kills 20 -brokers 127.0.0.1:9092
//
// Without -brokers the brokers are in this process, which is not killed.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

func main() {
	beChild()
	s := schedule{}
	flag.IntVar(&s.Kills, "kills", 100, "how often the job is killed")
	flag.IntVar(&s.Lanes, "parallelism", 2, "lanes")
	flag.BoolVar(&s.Rescale, "rescale", false, "another number of lanes, 1 to 3, at each start")
	flag.Uint64Var(&s.Seed, "seed", 1, "of the moments")
	flag.DurationVar(&s.Checkpoint, "checkpoint", 20*time.Millisecond, "time between checkpoints")
	flag.IntVar(&s.Rate, "rate", 5000, "records a second")
	flag.DurationVar(&s.Longest, "longest", time.Second, "that a process lives: lives are log-uniform from 1 ms")
	brokers := flag.String("brokers", "", "addresses of real brokers, host:port,...; default: brokers in this process")
	dir := flag.String("dir", "", "where the job's state goes; default: a new folder, which is removed when all is well")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, s, *brokers, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "kafkacrash:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s schedule, brokers, dir string) error {
	s.Brokers = strings.Split(brokers, ",")
	if brokers == "" {
		k, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SleepOutOfOrder())
		if err != nil {
			return err
		}
		defer k.Close()
		s.Brokers = k.ListenAddrs()
	}
	keep := dir != ""
	if !keep {
		var err error
		if dir, err = os.MkdirTemp("", "kafkacrash-*"); err != nil {
			return err
		}
	}
	res, err := s.run(ctx, dir)
	if err == nil {
		err = res.check()
	}
	if line, e := json.Marshal(res); e == nil {
		fmt.Println(string(line))
	}
	if err != nil {
		return fmt.Errorf("%w (seed %d; the state is in %s)", err, s.Seed, dir)
	}
	if keep {
		return nil
	}
	return os.RemoveAll(dir)
}
