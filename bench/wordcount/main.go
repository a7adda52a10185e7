// Command wordcount counts the words of one large generated text by the local
// runner, by a plain loop, and by Beam's in-process runner Prism, in one sitting,
// and prints a line of JSON for each and the ratios.
//
//	go run ./bench/wordcount -mb 20 -prism     # a small text, Prism too
//	go run ./bench/wordcount -mb 5000          # five gigabytes
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/millrace/millrace/bench/nexmark/gen"
	"github.com/millrace/millrace/io/text"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/runners/local"
	"github.com/millrace/millrace/transforms"
)

// result is one engine's run.
type result struct {
	Engine   string  `json:"engine"`
	Words    int64   `json:"words"`
	Distinct int64   `json:"distinct"`
	Seconds  float64 `json:"seconds"`
	Checksum string  `json:"checksum"`
	PeakMB   uint64  `json:"go_sys_mb,omitempty"` // memory that the Go runtime has had from the system so far
}

func main() {
	mb := flag.Int("mb", 20, "size of the text in MB")
	prism := flag.Bool("prism", false, "run Beam's Prism, too (builds it first)")
	loop := flag.Bool("loop", true, "run the plain loop, too")
	par := flag.Int("parallelism", runtime.NumCPU(), "lanes")
	dir := flag.String("dir", "", "where to put the text; default a temporary folder")
	flag.Parse()
	if err := compare(*mb, *par, *dir, *loop, *prism); err != nil {
		fmt.Fprintln(os.Stderr, "wordcount:", err)
		os.Exit(1)
	}
}

func compare(mb, par int, dir string, loop, prism bool) error {
	tmp, err := os.MkdirTemp(dir, "millrace-words-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	path := filepath.Join(tmp, "text.txt")
	if err := write(path, int64(mb)*1_000_000); err != nil {
		return err
	}
	ours, err := count(path, par)
	if err != nil {
		return err
	}
	if err := show(ours); err != nil {
		return err
	}
	var others []result
	if loop {
		r, err := plain(path)
		if err != nil {
			return err
		}
		others = append(others, r)
	}
	if prism {
		r, err := beam(path)
		if err != nil {
			return err
		}
		others = append(others, r)
	}
	for _, o := range others {
		if err := show(o); err != nil {
			return err
		}
		if o.Checksum != ours.Checksum {
			return fmt.Errorf("%s has checksum %s, we %s", o.Engine, o.Checksum, ours.Checksum)
		}
		fmt.Printf("millrace is %.1f times as fast as %s\n", o.Seconds/ours.Seconds, o.Engine)
	}
	return nil
}

func show(r result) error {
	b, err := json.Marshal(r)
	fmt.Println(string(b))
	return err
}

// write generates a text of about size bytes.
func write(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	var line []byte
	for i, n := uint64(0), int64(0); n < size; i++ {
		line = append(gen.AppendTextLine(line[:0], i), '\n')
		n += int64(len(line))
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return w.Flush()
}

// count is ours.
func count(path string, par int) (result, error) {
	p := pipeline.New()
	words := pipeline.FlatMapEmit(text.Read(p, path), func(line string, emit pipeline.Emit[string]) {
		for line != "" {
			word, rest, _ := strings.Cut(line, " ")
			emit(word)
			line = rest
		}
	})
	counts := pipeline.Pairs(transforms.Count(pipeline.KeyBy(words, func(w string) string { return w })))
	type sums struct {
		words, distinct int64
		checksum        uint64
		_               [104]byte // a cache line of its own
	}
	lanes := make([]sums, par)
	pipeline.ForEachLane(counts, func(lane int) func(pipeline.KV[string, int64]) {
		s := &lanes[lane]
		return func(kv pipeline.KV[string, int64]) {
			s.words += kv.Value
			s.distinct++
			s.checksum += gen.H2(gen.Fnv(kv.Key), uint64(kv.Value))
		}
	})
	start := time.Now()
	if _, err := local.Run(context.Background(), p, local.Config{Parallelism: par}); err != nil {
		return result{}, err
	}
	r := result{Engine: "millrace", Seconds: time.Since(start).Seconds()}
	var sum uint64
	for _, s := range lanes {
		r.Words, r.Distinct, sum = r.Words+s.words, r.Distinct+s.distinct, sum+s.checksum
	}
	r.Checksum = fmt.Sprintf("%016x", sum)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	r.PeakMB = m.Sys >> 20
	return r, nil
}

// plain is what one writes by hand: a scanner and a map.
func plain(path string) (result, error) {
	start := time.Now()
	f, err := os.Open(path)
	if err != nil {
		return result{}, err
	}
	defer f.Close()
	counts := map[string]*int64{}
	s := bufio.NewScanner(f)
	s.Buffer(make([]byte, 1<<20), 1<<20)
	r := result{Engine: "loop"}
	for s.Scan() {
		for line := s.Bytes(); len(line) > 0; {
			word, rest, _ := bytes.Cut(line, []byte{' '})
			line = rest
			r.Words++
			if n := counts[string(word)]; n != nil {
				*n++
				continue
			}
			n := int64(1)
			counts[string(word)] = &n
		}
	}
	var sum uint64
	for w, n := range counts {
		sum += gen.H2(gen.Fnv(w), uint64(*n))
	}
	r.Distinct, r.Seconds, r.Checksum = int64(len(counts)), time.Since(start).Seconds(), fmt.Sprintf("%016x", sum)
	return r, s.Err()
}

// beam runs bench/prism, a module of its own, on the same text.
func beam(path string) (r result, err error) {
	cmd := exec.Command("go", "-C", "bench/prism", "run", ".", path)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("run bench/prism (from the root of the repository): %w", err)
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte{'\n'})
	return r, json.Unmarshal(lines[len(lines)-1], &r)
}
