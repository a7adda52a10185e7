// Command kafka-redrive writes dead letters back to where they came from.
//
//	go run github.com/millrace/millrace/cmd/kafka-redrive -dry-run kafka://localhost:9092/letters
//	go run github.com/millrace/millrace/cmd/kafka-redrive -match "no number" kafka://localhost:9092/letters
//
// The URL is that of the topic which kafka.WriteBad wrote, as package io/kafka has it.
// Each letter is written back once, however often the command runs, or fails: a consumer
// group remembers how far it got. Letters whose error does not have the text of -match
// are passed over; with another -group they can be had again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/millrace/millrace/io/kafka"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "kafka-redrive:", err)
		}
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, usage io.Writer) error {
	var cfg kafka.RedriveConfig
	flags := flag.NewFlagSet("kafka-redrive", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.StringVar(&cfg.Match, "match", "", "write back letters whose error has this `text`")
	flags.StringVar(&cfg.To, "to", "", "write to this `topic` (default: each record's own)")
	flags.StringVar(&cfg.Group, "group", "", "consumer group that remembers how far it got (default redrive-TOPIC)")
	flags.BoolVar(&cfg.DryRun, "dry-run", false, "say what would be written, and write nothing")
	flags.Usage = func() {
		fmt.Fprintln(usage, "usage: kafka-redrive [flags] kafka://host:9092/topic")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		flags.Usage()
		return errors.New("want one URL")
	}
	cfg.Each = func(r kafka.Record, why, topic string, partition int32) {
		fmt.Fprintf(out, "%s/%d:%d to %s/%d: %s\n", r.Topic, r.Partition, r.Offset, topic, partition, why)
	}
	done, err := kafka.Redrive(ctx, flags.Arg(0), cfg)
	what := "written back"
	if cfg.DryRun {
		what = "to be written back"
	}
	fmt.Fprintf(out, "%d %s, %d passed over, %d no dead letters\n", done.Sent, what, done.Passed, done.Foreign)
	return err
}
