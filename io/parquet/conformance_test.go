package parquet_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/io/parquet"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest/connector"
	"github.com/millrace/millrace/runners/local"
)

type leg struct {
	From, To string
	Km       float64
	Stops    []string `parquet:"stops,list"`
}

func legs(n int) (out []leg) {
	for i := range n {
		l := leg{string(rune('a' + i%26)), "z", float64(i) / 2, []string{}}
		for range i % 4 {
			l.Stops = append(l.Stops, l.From+"'")
		}
		out = append(out, l)
	}
	return out
}

func TestRead_conformance(t *testing.T) {
	path := filepath.Join(t.TempDir(), "legs.parquet")
	p := pipeline.New()
	parquet.Write(pipeline.Create(p, legs(25)...), path, parquet.Single(), parquet.RowGroup(10))
	run(t, p, local.Config{Parallelism: 1})
	connector.TestSource(t, connector.Source[leg]{
		Read: func(p *pipeline.Pipeline) pipeline.PCollection[leg] { return parquet.Read[leg](p, path) },
		Want: legs(25),
	})
}

func TestWrite_conformance(t *testing.T) {
	for _, opts := range [][]parquet.WriteOption{nil, {parquet.Single(), parquet.RowGroup(4)}} {
		t.Run(fmt.Sprint(len(opts), " options"), func(t *testing.T) {
			connector.TestSink(t, connector.Sink[leg]{
				New: func(t testing.TB) connector.Target[leg] {
					return connector.Files(t, "legs.parquet",
						func(c pipeline.PCollection[leg], path string) { parquet.Write(c, path, opts...) },
						func(p *pipeline.Pipeline, pattern string) pipeline.PCollection[leg] {
							return parquet.Read[leg](p, pattern)
						})
				},
				Input: legs(26),
			})
		})
	}
}
