package connector_test

import (
	"context"
	"testing"
	"time"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest/connector"
)

func upTo(n int) (out []int) {
	for i := range n {
		out = append(out, i)
	}
	return out
}

func TestCreate(t *testing.T) {
	for _, n := range []int{40, 0, 1, 2} {
		connector.TestSource(t, connector.Source[int]{
			Read:     func(p *pipeline.Pipeline) pipeline.PCollection[int] { return pipeline.Create(p, upTo(n)...) },
			Want:     upTo(n),
			Anywhere: n == 40,
		})
	}
}

func TestCreateTimestamped(t *testing.T) {
	var vals []pipeline.Timestamped[int]
	var times []int64
	for i := range 10 {
		times = append(times, int64(i*i)-20)
		vals = append(vals, pipeline.Timestamped[int]{Time: time.UnixMilli(times[i]), Value: i})
	}
	connector.TestSource(t, connector.Source[int]{
		Read:  func(p *pipeline.Pipeline) pipeline.PCollection[int] { return pipeline.CreateTimestamped(p, vals...) },
		Want:  upTo(10),
		Times: times,
	})
}

func TestImpulse(t *testing.T) {
	connector.TestSource(t, connector.Source[[]byte]{Read: pipeline.Impulse, Want: [][]byte{{}}})
}

func TestGenerate(t *testing.T) {
	for _, n := range []int{0, 1, 41} {
		connector.TestSource(t, connector.Source[int]{
			Read: func(p *pipeline.Pipeline) pipeline.PCollection[int] {
				return pipeline.Generate(p, uint64(n), func(i uint64, e *int) { *e = int(i) })
			},
			Want: upTo(n),
		})
	}
}

func TestGenerateSequence(t *testing.T) {
	for _, n := range []int{41, 0, 1, 2_000} {
		var want []uint64
		for _, i := range upTo(n) {
			want = append(want, uint64(i))
		}
		connector.TestSource(t, connector.Source[uint64]{
			Read: func(p *pipeline.Pipeline) pipeline.PCollection[uint64] {
				return pipeline.GenerateSequence(p, uint64(n))
			},
			Want:     want,
			Anywhere: n == 41,
		})
	}
}

func TestCollect(t *testing.T) {
	connector.TestSink(t, connector.Sink[int]{
		New: func(testing.TB) connector.Target[int] {
			var collected []*pipeline.Collected[int]
			return connector.Target[int]{
				Write: func(c pipeline.PCollection[int]) { collected = append(collected, pipeline.Collect(c)) },
				Shown: func(context.Context) (all []int, _ error) {
					for _, c := range collected {
						all = append(all, c.Values()...)
					}
					return all, nil
				},
			}
		},
		Input:  upTo(30),
		Memory: true,
	})
}
