package archtest

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Goal: the tree itself.
func TestArchitecture(t *testing.T) {
	pkgs, err := load(os.DirFS("../.."))
	require.NoError(t, err)
	require.Greater(t, len(pkgs), 5, "the module's root is not where this test looks for it")
	for _, problem := range check(pkgs) {
		t.Error(problem)
	}
}

// Goal: each rule, by a tree that breaks it and nothing else.
func TestCheck(t *testing.T) {
	const ours = module + "/"
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{
			name: "downward, and test files look where they like",
			files: map[string]string{
				"pipeline/doc.go":           doc("pipeline", ours+"internal/flow", ours+"window"),
				"pipeline/pipeline_test.go": "package pipeline\nimport _ \"" + ours + "runners\"\n",
				"runners/local/local.go":    doc("local", ours+"internal/runner", ours+"internal/engine", "flag"),
			},
		},
		{
			name:  "upward",
			files: map[string]string{"window/window.go": doc("window", ours+"pipeline")},
			want:  []string{"window (row 2: event time) imports pipeline (row 5: building), which is not below it"},
		},
		{
			name:  "sideways",
			files: map[string]string{"io/csv/csv.go": doc("csv", ours+"io/json", ours+"io/filesystem")},
			want:  []string{"io/csv (row 6: runners, transforms, connectors) imports io/json (row 6: runners, transforms, connectors), which is not below it"},
		},
		{
			name:  "sideways within a tree of programs",
			files: map[string]string{"bench/nexmark/main.go": doc("main", ours+"bench/nexmark/gen")},
		},
		{
			name:  "from one tree of programs to another",
			files: map[string]string{"bench/nexmark/main.go": doc("main", ours+"examples/wordcount")},
			want:  []string{"bench/nexmark (row 9: programs) imports examples/wordcount (row 9: programs), which is not below it"},
		},
		{
			name:  "downward and still wrong",
			files: map[string]string{"transforms/count.go": doc("transforms", ours+"internal/engine")},
			want:  []string{"transforms imports internal/engine: the public contract is then missing something"},
		},
		{
			name:  "an example that users could not have written",
			files: map[string]string{"examples/join/main.go": doc("main", ours+"internal/graph")},
			want:  []string{"examples/join imports internal/graph: an example shows what users can write themselves"},
		},
		{
			name:  "a package that nobody thought about",
			files: map[string]string{"util/util.go": doc("util")},
			want:  []string{"util is in no row: enter it in internal/archtest/rows.go"},
		},
		{
			name:  "no package comment",
			files: map[string]string{"window/window.go": "package window\n"},
			want:  []string{"window has no package comment"},
		},
		{
			name:  "the package comment of another package",
			files: map[string]string{"window/window.go": "// Package windows is.\npackage window\n"},
			want:  []string{`window: the package comment does not begin with "Package window"`},
		},
		{
			name:  "a library out of its place",
			files: map[string]string{"internal/engine/bus.go": doc("engine", "github.com/nats-io/nats.go")},
			want:  []string{"internal/engine imports github.com/nats-io/nats.go, which is for internal/natsbus, runners/distributed only"},
		},
		{
			name:  "a library by a side door",
			files: map[string]string{"runners/local/bus.go": doc("local", ours+"internal/natsbus")},
			want:  []string{"runners/local imports " + ours + "internal/natsbus, which is for runners/distributed, internal/natsbus/natstest, internal/chaos, bench/shuffle only"},
		},
		{
			name:  "flags in the middle",
			files: map[string]string{"transforms/top.go": doc("transforms", "flag")},
			want:  []string{"transforms imports flag, which is for runners, runners/local, runners/distributed, runners/beam, internal/runner, pipelinetest, internal/kafkatest/cmd/..., cmd/..., examples/..., bench/... only"},
		},
		{
			name: "everybody's program links Kafka",
			files: map[string]string{
				"runners/runners.go":           doc("runners", ours+"runners/distributed"),
				"runners/distributed/kafka.go": doc("distributed", "github.com/segmentio/kafka-go"),
			},
			want: []string{
				"runners/distributed imports github.com/segmentio/kafka-go, which is for io/kafka/..., bench/kafka only",
				"runners > runners/distributed > github.com/segmentio/kafka-go: every program would link it",
			},
		},
		{
			name: "method twins",
			files: map[string]string{
				"pipeline/doc.go":           doc("pipeline"),
				"pipeline/methods_go127.go": "//go:build go1.27\n\npackage pipeline\n\nfunc (c C[T]) Map[U any](f func(T) U) C[U] {\n\treturn Map(c, f)\n}\n",
			},
		},
		{
			name: "a feature that only a newer Go has",
			files: map[string]string{
				"pipeline/doc.go":   doc("pipeline"),
				"pipeline/newer.go": "//go:build !windows && go1.27\n\npackage pipeline\n\ntype New int\n\nfunc (c C[T]) Map[U any](f func(T) U) C[U] {\n\tlog()\n\treturn Map(c, f)\n}\n",
			},
			want: []string{
				"pipeline/newer.go:5: only method twins may need a newer Go than go.mod's: type New int",
				"pipeline/newer.go:7: a method twin does nothing but return a function of its receiver: func (c C[T]) Map[U any](f func(T) U) C[U] {",
			},
		},
		{
			name: "other modules, test data and hidden folders are nobody's packages",
			files: map[string]string{
				"bench/prism/go.mod":   "module x\n",
				"bench/prism/main.go":  "package main\n",
				"window/testdata/a.go": "package nothing\n",
				".cache/a.go":          "package nothing\n",
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fsys := fstest.MapFS{}
			for name, text := range tc.files {
				fsys[name] = &fstest.MapFile{Data: []byte(text)}
			}
			pkgs, err := load(fsys)
			require.NoError(t, err)
			assert.Equal(t, tc.want, check(pkgs))
		})
	}
}

// doc is a file of package name with a package comment and the imports.
func doc(name string, imports ...string) string {
	var b strings.Builder
	b.WriteString("// Package " + name + " is for a test.\npackage " + name + "\n")
	for _, path := range imports {
		b.WriteString("import _ \"" + path + "\"\n")
	}
	return b.String()
}

// Goal: a table that contradicts itself would check nothing.
func TestRows_nameEachPackageOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rows {
		for _, p := range r.packages {
			assert.False(t, seen[p], "%s is in two rows", p)
			seen[p] = true
		}
	}
}

func TestNeedsNewerGo(t *testing.T) {
	for constraint, want := range map[string]bool{
		"//go:build go1.27":          true,
		"//go:build go1.27 && linux": true,
		"//go:build go1.26":          false,
		"//go:build !go1.27":         false,
		"//go:build linux":           false,
		"// go:build go1.27":         false,
		"":                           false,
	} {
		assert.Equal(t, want, needsNewerGo(constraint+"\n\npackage p\n"), constraint)
	}
}
