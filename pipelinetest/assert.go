package pipelinetest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/assert"
)

var update = flag.Bool("update", false, "rewrite golden files with what was seen")

// Equal asserts that c holds just these elements, in any order.
func Equal[E any](t *T, c pipeline.PCollection[E], want ...E) {
	t.Helper()
	check(t, c, func(got []E) {
		t.Helper()
		missing, extra := compare(want, got)
		if len(missing)+len(extra) > 0 {
			t.Errorf("the collection is not as expected (- missing, + not expected; %d of %d match):\n%s",
				len(want)-len(missing), len(want), diff(lines(missing), lines(extra)))
		}
	})
}

// EqualKeyed is [Equal] of a keyed collection, for keys with one value each.
func EqualKeyed[K comparable, V any](t *T, c pipeline.Keyed[K, V], want map[K]V) {
	t.Helper()
	pairs := make([]pipeline.KV[K, V], 0, len(want))
	for k, v := range want {
		pairs = append(pairs, pipeline.KV[K, V]{Key: k, Value: v})
	}
	Equal(t, pipeline.Pairs(c), pairs...)
}

// Contains asserts that c holds these elements, each as often as given, and perhaps others.
func Contains[E any](t *T, c pipeline.PCollection[E], want ...E) {
	t.Helper()
	check(t, c, func(got []E) {
		t.Helper()
		if missing, _ := compare(want, got); len(missing) > 0 {
			t.Errorf("the collection of %d elements lacks:\n%s", len(got), diff(lines(missing), nil))
		}
	})
}

// Empty asserts that c has no element.
func Empty[E any](t *T, c pipeline.PCollection[E]) {
	t.Helper()
	Equal(t, c)
}

// Satisfies asserts what f says of all elements, in no order: f gets a t that
// testify's functions take. Use it also where the ways to run may differ.
func Satisfies[E any](t *T, c pipeline.PCollection[E], f func(t *T, got []E)) {
	t.Helper()
	out := pipeline.Collect(c)
	t.checks = append(t.checks, func() { t.Helper(); f(t, out.Values()) })
}

// EqualCounter asserts the sum of a counter over all transforms: one that user
// code counts with, or one of the engine's, such as droppedDueToLateness.
func EqualCounter(t *T, name string, want int64) {
	t.Helper()
	t.checks = append(t.checks, func() {
		t.Helper()
		if got := t.result.Counter(name); got != want {
			t.Errorf("counter %s is %d, want %d", name, got, want)
		}
	})
}

// EqualPerWindow asserts the elements of each window, in any order.
func EqualPerWindow[E any](t *T, c pipeline.PCollection[E], want map[window.Interval][]E) {
	t.Helper()
	var flat []InWindow[E]
	for w, es := range want {
		for _, e := range es {
			flat = append(flat, InWindow[E]{Start: w.Start, End: w.End, Value: e})
		}
	}
	Equal(t, windows(c), flat...)
}

// InWindow is an element and its window, in Unix milliseconds.
type InWindow[E any] struct {
	Start, End int64
	Value      E
}

func windows[E any](c pipeline.PCollection[E]) pipeline.PCollection[InWindow[E]] {
	return pipeline.ParDo(c, func(_ *pipeline.DoFn, emit pipeline.Emit[InWindow[E]]) func(pipeline.Elem, E) error {
		return func(e pipeline.Elem, v E) error {
			w := e.Window()
			emit(InWindow[E]{w.Start, w.End, v})
			return nil
		}
	})
}

// Golden asserts that c's elements, one a line as %v prints them and sorted, are
// those of testdata/name. With the flag -update the file is written instead.
func Golden[E any](t *T, c pipeline.PCollection[E], name string) {
	t.Helper()
	check(t, c, func(got []E) {
		t.Helper()
		path := filepath.Join("testdata", name)
		text := strings.Join(lines(got), "\n") + "\n"
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("%v (run the test with -update to write it)", err)
		}
		if string(want) != text {
			t.Errorf("%s differs (- in the file, + seen; -update rewrites it):\n%s", path,
				diff(strings.Split(strings.TrimSuffix(string(want), "\n"), "\n"), lines(got)))
		}
	})
}

// check collects c and checks it after the run, also against the other ways to run.
func check[E any](t *T, c pipeline.PCollection[E], f func(got []E)) {
	t.Helper()
	out, i := pipeline.Collect(c), len(t.checks)
	t.checks = append(t.checks, func() {
		t.Helper()
		got := out.Values()
		f(got)
		t.same(i, lines(got))
	})
}

// compare pairs off equal elements, as testify understands equality.
func compare[E any](want, got []E) (missing, extra []E) {
	byText := map[string][]E{}
	for _, g := range got {
		k := line(g)
		byText[k] = append(byText[k], g)
	}
	for _, w := range want {
		same := byText[line(w)]
		i := slices.IndexFunc(same, func(g E) bool { return assert.ObjectsAreEqual(w, g) })
		if i < 0 {
			missing = append(missing, w)
			continue
		}
		byText[line(w)] = slices.Delete(same, i, i+1)
	}
	for _, g := range byText {
		extra = append(extra, g...)
	}
	return missing, extra
}

func line(v any) string { return fmt.Sprintf("%+v", v) }

// lines is the elements as text, sorted.
func lines[E any](vs []E) []string {
	out := make([]string, len(vs))
	for i, v := range vs {
		out[i] = line(v)
	}
	slices.Sort(out)
	return out
}
