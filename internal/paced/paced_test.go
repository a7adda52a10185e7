package paced_test

import (
	"testing"
	"time"

	"github.com/millrace/millrace/internal/paced"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest/connector"
	"github.com/stretchr/testify/require"
)

// Goal: what every source owes to a run, while more numbers become due.
func TestNumbers(t *testing.T) {
	const count, splits = 100, 3
	var want []uint64
	for n := range uint64(count) {
		want = append(want, n)
	}
	n := paced.Numbers{Parts: splits}
	n.Due = func(from uint64, since time.Duration) (uint64, bool) {
		due := min(count, n.At(100_000, from, since))
		return due, due == count
	}
	connector.TestSource(t, connector.Source[uint64]{
		Read: func(p *pipeline.Pipeline) pipeline.PCollection[uint64] { return pipeline.Read[uint64](p, "numbers", n) },
		Want: want,
	})
}

// Goal: a rate is that of each split, and begins again where a reader begins.
func TestNumbers_At(t *testing.T) {
	n := paced.Numbers{Parts: 4}
	require.EqualValues(t, 0, n.At(10, 0, 99*time.Millisecond))
	require.EqualValues(t, 4*15, n.At(10, 0, 1500*time.Millisecond))
	require.EqualValues(t, 1001+4*10, n.At(10, 1001, time.Second))
}
