package parquet_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	lib "github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/filesystem"
	"github.com/millrace/millrace/io/parquet"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/runners/local"
)

type trade struct {
	Symbol string    `parquet:"symbol,dict,zstd"`
	Price  float64   `parquet:"price"`
	Volume int64     `parquet:"volume"`
	Notes  []string  `parquet:"notes,list"`
	At     time.Time `parquet:"at,timestamp"`
	Buyer  *string   `parquet:"buyer,optional"`
}

func trades(n int) (out []trade) {
	for i := range n {
		t := trade{Symbol: fmt.Sprint("S", i%7), Price: float64(i) / 8, Volume: int64(i), At: time.UnixMilli(int64(i)).UTC(), Notes: []string{}}
		for j := range i % 3 {
			t.Notes = append(t.Notes, fmt.Sprintf("note %d of %d", j, i))
		}
		if i%2 == 0 {
			t.Buyer = new(string)
			*t.Buyer = fmt.Sprint("buyer ", i)
		}
		out = append(out, t)
	}
	return out
}

func run(t testing.TB, p *pipeline.Pipeline, cfg local.Config) {
	t.Helper()
	_, err := local.Run(t.Context(), p, cfg)
	require.NoError(t, err)
}

// Goal: what was written is read, whatever lanes, row groups and restarts.
func TestReadWrite_roundTrip(t *testing.T) {
	want := trades(3000)
	if testing.Short() {
		want = want[:1000]
	}
	for _, cfg := range []local.Config{{Parallelism: 1}, {Parallelism: 3}, {Parallelism: 2, BundleEpochs: 1, RestartEvery: 1}} {
		for _, opts := range [][]parquet.WriteOption{nil, {parquet.Single(), parquet.RowGroup(100)}} {
			dir := t.TempDir()
			p := pipeline.New()
			parquet.Write(pipeline.Create(p, want...), filepath.Join(dir, "sub", "trades.parquet"), opts...)
			run(t, p, cfg)
			p = pipeline.New()
			got := pipeline.Collect(parquet.Read[trade](p, filepath.Join(dir, "sub", "*.parquet")))
			run(t, p, cfg)
			require.ElementsMatch(t, want, got.Values(), "%+v", cfg)
			left, err := filesystem.Leftovers(t.Context(), dir+"/sub/*")
			require.NoError(t, err)
			require.Empty(t, left)
		}
	}
}

// single writes rows as one file.
func single[T any](t testing.TB, rows []T, opts ...parquet.WriteOption) string {
	path := filepath.Join(t.TempDir(), "x.parquet")
	p := pipeline.New()
	parquet.Write(pipeline.Create(p, rows...), path, append(opts, parquet.Single())...)
	run(t, p, local.Config{Parallelism: 1})
	return path
}

// Goal: memory does not grow with a file: its rows are in groups.
func TestWrite_rowGroups(t *testing.T) {
	path := single(t, trades(1000), parquet.RowGroup(300))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	info, err := f.Stat()
	require.NoError(t, err)
	file, err := lib.OpenFile(f, info.Size())
	require.NoError(t, err)
	var rows []int64
	for _, g := range file.RowGroups() {
		rows = append(rows, g.NumRows())
	}
	require.Equal(t, []int64{300, 300, 300, 100}, rows)
}

func TestWrite_failedRunLeavesNothing(t *testing.T) {
	for _, cfg := range []local.Config{{Parallelism: 2}, {Parallelism: 2, BundleEpochs: 1}} {
		dir := t.TempDir()
		p := pipeline.New()
		parquet.Write(pipeline.Map(pipeline.Create(p, trades(2000)...), func(tr trade) trade {
			if tr.Volume == 1900 {
				panic("1,900")
			}
			return tr
		}), dir+"/x.parquet")
		_, err := local.Run(t.Context(), p, cfg)
		require.ErrorContains(t, err, "panic: 1,900")
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left, "%+v", cfg)
	}
}

func TestWrite_noRows(t *testing.T) {
	path := single(t, []trade{})
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) { pipelinetest.Empty(t, parquet.Read[trade](p, path)) })
}

// Goal: a type takes the columns that it has, by name.
func TestRead_someColumns(t *testing.T) {
	type part struct {
		Volume int64  `parquet:"volume"`
		Symbol string `parquet:"symbol"`
		Extra  string `parquet:"extra,optional"`
	}
	path := single(t, trades(3))
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		pipelinetest.Equal(t, parquet.Read[part](p, path), part{0, "S0", ""}, part{1, "S1", ""}, part{2, "S2", ""})
	})
}

func TestSentences(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.parquet")
	require.NoError(t, os.WriteFile(text, []byte("not parquet at all, but long enough"), 0o666))
	good := single(t, trades(1000))
	b, err := os.ReadFile(good)
	require.NoError(t, err)
	damaged := filepath.Join(dir, "damaged.parquet")
	for i := 4; i < len(b)/2; i++ {
		b[i] ^= 0x55
	}
	require.NoError(t, os.WriteFile(damaged, b, 0o666))
	type other struct {
		Symbol struct{ A, B int64 } `parquet:"symbol"`
	}
	type impossible struct{ C chan int }
	for want, build := range map[string]func(p *pipeline.Pipeline){
		"text.parquet: not a Parquet file: ":                                         func(p *pipeline.Pipeline) { parquet.Read[trade](p, text) },
		"none.parquet: no such file":                                                 func(p *pipeline.Pipeline) { parquet.Read[trade](p, dir+"/none.parquet") },
		"parquet.Read: [: not a pattern":                                             func(p *pipeline.Pipeline) { parquet.Read[trade](p, "[") },
		"damaged.parquet#0:0: the row group can't be read: ":                         func(p *pipeline.Pipeline) { parquet.Read[trade](p, damaged) },
		"x.parquet: missing columns: symbol.A, symbol.B; there are: symbol, price, ": func(p *pipeline.Pipeline) { parquet.Read[other](p, good) },
		"rows of type int: they have to be structs":                                  func(p *pipeline.Pipeline) { parquet.Read[int](p, good) },
		"parquet.Write: rows of type string: they have":                              func(p *pipeline.Pipeline) { parquet.Write(pipeline.Create(p, "x"), "x") },
		"rows of type parquet_test.impossible have no":                               func(p *pipeline.Pipeline) { parquet.Read[impossible](p, good) },
		"parquet.Write: the path is empty":                                           func(p *pipeline.Pipeline) { parquet.Write(pipeline.Create(p, trade{}), "") },
		"parquet.Write: a row group of 0 rows":                                       func(p *pipeline.Pipeline) { parquet.Write(pipeline.Create(p, trade{}), "x", parquet.RowGroup(0)) },
		"it is a folder":                                                             func(p *pipeline.Pipeline) { parquet.Write(pipeline.Create(p, trade{}), dir, parquet.Single()) },
	} {
		err := pipelinetest.Fails(t, build)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "parquet/parquet_test.go:")
	}
}

// Goal: rows that are far more than a row group are read in little memory.
func TestRead_memory(t *testing.T) {
	path := single(t, trades(200_000), parquet.RowGroup(20_000))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n := 0
	p := pipeline.New()
	pipeline.ForEachLane(parquet.Read[trade](p, path), func(int) func(trade) { return func(trade) { n++ } })
	run(t, p, local.Config{Parallelism: 1})
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.Equal(t, 200_000, n)
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(64<<20))
}

func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	type reading struct {
		City        string  `parquet:"city,dict"`
		Temperature float64 `parquet:"temperature"`
	}
	ctx := context.Background()
	p := pipeline.New()
	parquet.Write(pipeline.Create(p, reading{"Ulm", 20}, reading{"Bonn", 31.5}), dir+"/readings.parquet")
	if _, err := local.Run(ctx, p, local.Config{}); err != nil {
		log.Fatal(err)
	}

	p = pipeline.New()
	pipeline.ForEach(parquet.Read[reading](p, dir+"/readings-*.parquet"), func(_ context.Context, r reading) error {
		fmt.Println(r.City, r.Temperature)
		return nil
	})
	if _, err := local.Run(ctx, p, local.Config{}); err != nil {
		log.Fatal(err)
	}
	// Unordered output:
	// Ulm 20
	// Bonn 31.5
}

func BenchmarkRead(b *testing.B) {
	const n = 200_000
	path := single(b, trades(n), parquet.RowGroup(50_000))
	for _, lanes := range []int{1, 2} {
		b.Run(fmt.Sprint("lanes=", lanes), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p := pipeline.New()
				pipeline.ForEachLane(parquet.Read[trade](p, path), func(int) func(trade) { return func(trade) {} })
				run(b, p, local.Config{Parallelism: lanes})
			}
			b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
