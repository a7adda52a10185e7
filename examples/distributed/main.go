// Command distributed counts the words of a book, or of any files, in several processes.
//
//	go run ./examples/distributed -runner=distributed -workers=3 -out counts.txt
//
// In another terminal, while it runs (-in with more files takes longer):
//
//	go run ./examples/distributed -runner=distributed attach
package main

import (
	"flag"
	"fmt"
	"strings"

	"github.com/millrace/millrace/io/text"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners"
	_ "github.com/millrace/millrace/runners/distributed" // for -runner=distributed
	"github.com/millrace/millrace/transforms"
)

func main() {
	in := flag.String("in", text.Sample(), "files to count, a glob; the default is Newton's Opticks, which comes with Go")
	out := flag.String("out", "counts.txt", "where to write the counts")
	runners.Main(func(p *pipeline.Pipeline) { count(p, *in, *out) })
}

// count writes how often each word of the files in stands there.
func count(p *pipeline.Pipeline, in, out string) {
	words := pipeline.FlatMap(text.Read(p, in), strings.FieldsSeq)
	counts := transforms.Count(pipeline.KeyBy(words, strings.ToLower))
	text.Write(pipeline.MapKV(counts, func(w string, n int64) string { return fmt.Sprintf("%s %d", w, n) }), out)
}
