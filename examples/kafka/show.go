package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/millrace/millrace/io/kafka"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

func (c count) String() string {
	const clock = "15:04:05"
	return fmt.Sprintf("%s-%s %-14s %5d %s", c.From.Format(clock), c.To.Format(clock), c.Page, c.Clicks, strings.Repeat("█", int(min(c.Clicks/10, 60))))
}

// show prints counts as they come.
func show(counts pipeline.PCollection[count], w io.Writer) {
	pipeline.ForEach(counts, func(_ context.Context, c count) error {
		_, err := fmt.Fprintln(w, c)
		return err
	})
}

// print prints all counts that are there.
func (k cluster) print(w io.Writer) error {
	p := pipeline.New()
	read := pipeline.Collect(k.readCounts(p, kafka.Stop(kafka.Latest())))
	if _, err := local.Run(context.Background(), p, local.Config{}); err != nil {
		return err
	}
	counts := read.Values()
	slices.SortFunc(counts, func(a, b count) int { return cmp.Or(a.From.Compare(b.From), strings.Compare(a.Page, b.Page)) })
	for _, c := range counts {
		if _, err := fmt.Fprintln(w, c); err != nil {
			return err
		}
	}
	return nil
}
