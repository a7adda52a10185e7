// Command wordcount counts the words of a book, or of any files.
//
//	go run ./examples/wordcount
//	go run ./examples/wordcount -in 'logs/*.txt.gz' -top 50 -out counts.txt
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/millrace/millrace/io/text"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners"
	"github.com/millrace/millrace/transforms"
)

func main() {
	in := flag.String("in", text.Sample(), "files to count, a glob; the default is Newton's Opticks, which comes with Go")
	out := flag.String("out", "", "write all counts to this file instead of the most frequent ones to the terminal")
	top := flag.Int("top", 10, "how many words to print")
	start := time.Now()
	var report *summary
	runners.Main(func(p *pipeline.Pipeline) {
		counts := Count(text.Read(p, *in))
		if *out != "" {
			lines := pipeline.MapKV(counts, func(w string, n int64) string { return fmt.Sprintf("%s %d", w, n) })
			text.Write(lines, *out, text.Single())
			return
		}
		report = summarise(counts, *top)
	})
	if report != nil {
		report.print(os.Stdout, *in, time.Since(start))
	}
}

// Count is the number of times each word occurs, in any case.
func Count(lines pipeline.PCollection[string]) pipeline.Keyed[string, int64] {
	words := pipeline.FlatMapEmit(lines, func(line string, emit pipeline.Emit[string]) {
		for word := range strings.FieldsFuncSeq(line, func(r rune) bool { return !unicode.IsLetter(r) && r != '\'' }) {
			emit(strings.ToLower(word))
		}
	})
	return transforms.Count(pipeline.KeyBy(words, func(w string) string { return w }))
}
