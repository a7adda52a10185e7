package parquet_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/io/parquet"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/runners/local"
	"github.com/stretchr/testify/require"
)

type trade struct {
	Symbol string  `parquet:"symbol"`
	Price  float64 `parquet:"price"`
	Volume int64   `parquet:"volume"`
}

func TestReadWrite_roundTrip(t *testing.T) {
	var want []trade
	for i := range 300 {
		want = append(want, trade{fmt.Sprint("S", i%7), float64(i) / 8, int64(i)})
	}
	for _, cfg := range []local.Config{{Parallelism: 1}, {Parallelism: 3}, {Parallelism: 2, BundleEpochs: 20, RestartEvery: 1}} {
		dir := t.TempDir()
		p := pipeline.New()
		parquet.Write(pipeline.Create(p, want...), filepath.Join(dir, "trades.parquet"))
		_, err := local.Run(t.Context(), p, cfg)
		require.NoError(t, err)
		pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
			pipelinetest.Equal(t, parquet.Read[trade](p, filepath.Join(dir, "trades-*.parquet")), want...)
		})
	}
}

func TestRead_sentences(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.parquet")
	require.NoError(t, os.WriteFile(path, []byte("not parquet at all, but long enough"), 0o666))
	err := pipelinetest.Fails(t, func(p *pipeline.Pipeline) { pipeline.Collect(parquet.Read[trade](p, path)) })
	require.ErrorContains(t, err, "parquet.Read (parquet/parquet_test.go:")
	require.ErrorContains(t, err, "x.parquet: not a Parquet file: ")
	err = pipelinetest.Fails(t, func(p *pipeline.Pipeline) { pipeline.Collect(parquet.Read[trade](p, path+".none")) })
	require.ErrorContains(t, err, "no such file")
}
