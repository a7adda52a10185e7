// Command prism counts the words of a file with Beam's Go SDK on Prism, its
// runner in the same process, and prints one JSON line:
//
//	go -C bench/prism run . /path/to/text
//
// It is the measuring stick of Millrace's own word count. Words are what
// strings.Fields says; the checksum is that of query w1 in
// bench/peers/NEXMARK.md. seconds runs from the submission of the built
// pipeline to its end, the start of Prism's job server included.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem/local"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/textio"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/transforms/stats"
)

func init() {
	register.Function2x0(split)
	register.Function2x0(tally)
	register.Emitter1[string]()
}

// result is the line that is printed.
type result struct {
	Engine   string  `json:"engine"`
	Words    uint64  `json:"words"`    // all words of the file
	Distinct uint64  `json:"distinct"` // different ones
	Seconds  float64 `json:"seconds"`
	Checksum string  `json:"checksum"` // 16 hex digits
}

func main() {
	beam.Init()
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: prism FILE")
		os.Exit(2)
	}
	res, err := count(context.Background(), os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "prism:", err)
		os.Exit(1)
	}
	line, err := json.Marshal(res)
	if err != nil {
		fmt.Fprintln(os.Stderr, "prism:", err)
		os.Exit(1)
	}
	fmt.Println(string(line))
}

// total is what tally has seen. Prism runs the functions of a pipeline in the
// process that submits it, so they can leave it here.
var total struct{ words, distinct, sum atomic.Uint64 }

// count runs the pipeline. It may be called once at a time.
func count(ctx context.Context, file string) (*result, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(file); err != nil {
		return nil, err
	}
	total.words.Store(0)
	total.distinct.Store(0)
	total.sum.Store(0)

	p, s := beam.NewPipelineWithRoot()
	words := beam.ParDo(s, split, textio.Read(s, file))
	beam.ParDo0(s, tally, stats.Count(s, words))
	start := time.Now()
	if _, err := prism.Execute(ctx, p); err != nil {
		return nil, fmt.Errorf("count words of %s: %w", file, err)
	}
	return &result{
		Engine:   "prism",
		Words:    total.words.Load(),
		Distinct: total.distinct.Load(),
		Seconds:  time.Since(start).Round(time.Millisecond).Seconds(),
		Checksum: fmt.Sprintf("%016x", total.sum.Load()),
	}, nil
}

func split(line string, emit func(string)) {
	for word := range strings.FieldsSeq(line) {
		emit(word)
	}
}

func tally(word string, n int) {
	total.words.Add(uint64(n))
	total.distinct.Add(1)
	total.sum.Add(h2(fnv(word), uint64(n)))
}

// fnv, h2 and mix64 are as bench/peers/NEXMARK.md says.

func fnv(s string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001b3
	}
	return h
}

func h2(a, b uint64) uint64 { return mix64(a*(mix64(1)|1) + b*(mix64(2)|1)) }

func mix64(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}
