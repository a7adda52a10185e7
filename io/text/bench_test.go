package text

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

// BenchmarkRead is the lines of a file, beside the loop that one would write by
// hand: a bufio.Scanner, with a string of each line and without.
func BenchmarkRead(b *testing.B) {
	content := strings.Repeat("a line of some length, as logs have them, more or less\n", 1_000_000)
	path := put(b, "x.txt", content)
	for _, lanes := range []int{1, 2} {
		b.Run(fmt.Sprint("lanes=", lanes), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				p := pipeline.New()
				pipeline.ForEachLane(Read(p, path), func(int) func(string) { return func(string) {} })
				if _, err := local.Run(b.Context(), p, local.Config{Parallelism: lanes}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for _, kind := range []string{"Bytes", "Text"} {
		b.Run("scanner="+kind, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				f, err := os.Open(path)
				require.NoError(b, err)
				n := 0
				s := bufio.NewScanner(f)
				s.Buffer(make([]byte, blockSize), 16<<20)
				for s.Scan() {
					if kind == "Text" {
						n += len(s.Text())
						continue
					}
					n += len(s.Bytes())
				}
				require.Positive(b, n)
				require.NoError(b, f.Close())
			}
		})
	}
}

func BenchmarkWrite(b *testing.B) {
	const n = 1_000_000
	dir := b.TempDir()
	for _, lanes := range []int{1, 2} {
		b.Run(fmt.Sprint("lanes=", lanes), func(b *testing.B) {
			line := strings.Repeat("x", 54)
			b.ReportAllocs()
			b.SetBytes(n * int64(len(line)+1))
			for b.Loop() {
				p := pipeline.New()
				Write(pipeline.Map(pipeline.Generate(p, n, func(i uint64, e *uint64) { *e = i }), func(uint64) string { return line }), dir+"/out.txt")
				if _, err := local.Run(b.Context(), p, local.Config{Parallelism: lanes}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
