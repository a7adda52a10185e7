package text_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/millrace/millrace/io/filesystem"
	"github.com/millrace/millrace/io/text"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
)

// folder is a new folder with one file; remove removes it.
func folder(name, content string) (dir string, remove func()) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o666); err != nil {
		log.Fatal(err)
	}
	return dir, func() { os.RemoveAll(dir) }
}

func run(p *pipeline.Pipeline) {
	if _, err := local.Run(context.Background(), p, local.Config{Parallelism: 1}); err != nil {
		log.Fatal(err)
	}
}

func ExampleRead() {
	dir, remove := folder("a.log", "GET /\nPOST /login\n")
	defer remove()

	p := pipeline.New()
	lines := text.Read(p, dir+"/*.log")
	pipeline.ForEach(lines, func(_ context.Context, line string) error {
		fmt.Println(line)
		return nil
	})
	run(p)
	// Unordered output:
	// GET /
	// POST /login
}

func ExampleReadWithSource() {
	dir, remove := folder("a.log", "GET /\nPOST /login\n")
	defer remove()

	p := pipeline.New()
	pipeline.ForEach(text.ReadWithSource(p, dir+"/a.log"), func(_ context.Context, l text.SourceLine) error {
		fmt.Printf("%s:%d: %s\n", filepath.Base(l.File), l.Offset, l.Line)
		return nil
	})
	run(p)
	// Unordered output:
	// a.log:0: GET /
	// a.log:6: POST /login
}

// A format with one record a line: its parser is all that it needs.
func ExampleReadRecords() {
	dir, remove := folder("points.txt", "1 2\n# a comment\n3 4\n")
	defer remove()

	type point struct{ X, Y int }
	p := pipeline.New()
	points := text.ReadRecords(p, "points.Read", dir+"/points.txt", func(context.Context, filesystem.File) (text.Parser[point], error) {
		return func(l text.SourceLine) (pt point, ok bool, err error) {
			if l.Line[0] == '#' {
				return pt, false, nil
			}
			_, err = fmt.Sscan(l.Line, &pt.X, &pt.Y)
			return pt, true, err
		}, nil
	})
	pipeline.ForEach(points, func(_ context.Context, pt point) error {
		fmt.Println(pt.X + pt.Y)
		return nil
	})
	run(p)
	// Unordered output:
	// 3
	// 7
}

func ExampleWrite() {
	dir, remove := folder("in.txt", "b\na\n")
	defer remove()

	p := pipeline.New()
	lines := text.Read(p, dir+"/in.txt")
	text.Write(lines, dir+"/out.txt")                // in as many files as there are lanes
	text.Write(lines, dir+"/one.txt", text.Single()) // in one
	run(p)
	files, err := filesystem.Match(context.Background(), dir+"/o*")
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range files {
		fmt.Println(filepath.Base(f.Path), f.Size)
	}
	// Output:
	// one.txt 4
	// out-00000-of-00001.txt 4
}

func ExampleTail() {
	dir, remove := folder("a.log", "GET /\nPOST /login\n")
	defer remove()

	ctx, enough := context.WithCancel(context.Background())
	p := pipeline.New()
	lines := text.Tail(p, dir+"/*.log")
	seen := 0
	pipeline.ForEach(lines, func(_ context.Context, line string) error {
		fmt.Println(line)
		if seen++; seen == 2 {
			enough() // it would go on for ever
		}
		return nil
	})
	if _, err := local.Run(ctx, p, local.Config{Parallelism: 1}); !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
	// Output:
	// GET /
	// POST /login
}

// A sink of a run that has no end: its files are ended by size, and appear when a
// checkpoint is committed.
func ExampleRollBytes() {
	dir, remove := folder("in.txt", "one\ntwo\nthree\nfour\n")
	defer remove()

	p := pipeline.New()
	text.Write(text.Read(p, dir+"/in.txt"), dir+"/out.txt", text.RollBytes(8), text.Single())
	run(p)
	files, err := filesystem.Match(context.Background(), dir+"/out*")
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range files {
		fmt.Println(filepath.Base(f.Path), f.Size)
	}
	// Output:
	// out-000000.txt 8
	// out-000001.txt 11
}
