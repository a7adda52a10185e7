package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

func TestMain(m *testing.M) {
	beam.Init()
	os.Exit(m.Run())
}

func TestCount_isThatOfAPlainLoop(t *testing.T) {
	text := "to be  or not\tto be\n\nthat is the question\nnot the answer"
	file := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := count(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]uint64{}
	for word := range strings.FieldsSeq(text) {
		counts[word]++
	}
	var sum uint64
	for word, n := range counts {
		sum += h2(fnv(word), n)
	}
	want := result{Engine: "prism", Words: 13, Distinct: 9, Checksum: fmt.Sprintf("%016x", sum), Seconds: got.Seconds}
	if *got != want {
		t.Errorf("got %+v, want %+v", *got, want)
	}
}

func TestCount_missingFile(t *testing.T) {
	if _, err := count(t.Context(), filepath.Join(t.TempDir(), "nothing")); !os.IsNotExist(err) {
		t.Errorf("got %v, want: does not exist", err)
	}
}

func TestMix64_knownAnswer(t *testing.T) {
	if got := mix64(1); got != 0x5692161d100b05e5 {
		t.Errorf("mix64(1) = %x", got)
	}
}
