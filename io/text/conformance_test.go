package text_test

import (
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/text"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest/connector"
)

func TestRead_conformance(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("long ", 30)
	lines := []string{"one", "", "three", long, "five", "ünf", "seven", "eight", "last"}
	content := strings.Join(lines, "\n")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.txt"), []byte(content), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b.txt"), []byte("x\r\ny\r\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "empty.txt"), nil, 0o600))
	f, err := os.Create(filepath.Join(dir, "c.gz"))
	require.NoError(t, err)
	z := gzip.NewWriter(f)
	_, err = z.Write([]byte(content))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	require.NoError(t, f.Close())

	for _, tc := range []struct {
		story, pattern string
		opts           []text.ReadOption
		want           []string
	}{
		{"one piece", "a.txt", nil, lines},
		{"many pieces", "a.txt", []text.ReadOption{text.PieceSize(7)}, lines},
		{"compressed", "c.gz", nil, lines},
		{"lines skipped", "a.txt", []text.ReadOption{text.SkipLines(4)}, lines[4:]},
		{"several files", "{a,b,empty}.txt", []text.ReadOption{text.PieceSize(40)}, append([]string{"x", "y"}, lines...)},
		{"an empty file", "empty.txt", nil, nil},
	} {
		t.Run(tc.story, func(t *testing.T) {
			connector.TestSource(t, connector.Source[string]{
				Read: func(p *pipeline.Pipeline) pipeline.PCollection[string] {
					return text.Read(p, filepath.Join(dir, tc.pattern), tc.opts...)
				},
				Want: tc.want,
			})
		})
	}
	t.Run("with places", func(t *testing.T) {
		connector.TestSource(t, connector.Source[text.SourceLine]{
			Read: func(p *pipeline.Pipeline) pipeline.PCollection[text.SourceLine] {
				return text.ReadWithSource(p, filepath.Join(dir, "b.txt"))
			},
			Want: []text.SourceLine{{File: filepath.Join(dir, "b.txt"), Line: "x"}, {File: filepath.Join(dir, "b.txt"), Offset: 3, Line: "y"}},
		})
	})
}

func TestWrite_conformance(t *testing.T) {
	for _, tc := range []struct {
		name string
		opts []text.WriteOption
	}{
		{"out.txt", nil},
		{"out.txt", []text.WriteOption{text.Single()}},
		{"out.gz", nil},
		{"out.zst", []text.WriteOption{text.Single()}},
		{"out.txt", []text.WriteOption{text.RollEach()}},
		{"out.txt", []text.WriteOption{text.RollBytes(100), text.Single()}},
		{"out.gz", []text.WriteOption{text.RollBytes(1), text.RollAfter(time.Hour), text.RollEach()}},
		{"out.zst", []text.WriteOption{text.RollAfter(time.Millisecond), text.Single(), text.RollBytes(300), text.RollEach()}},
	} {
		t.Run(fmt.Sprint(tc.name, len(tc.opts)), func(t *testing.T) {
			s := connector.Sink[string]{New: func(t testing.TB) connector.Target[string] {
				return connector.Files(t, tc.name,
					func(c pipeline.PCollection[string], path string) { text.Write(c, path, tc.opts...) },
					func(p *pipeline.Pipeline, pattern string) pipeline.PCollection[string] { return text.Read(p, pattern) })
			}}
			for i := range 40 {
				s.Input = append(s.Input, fmt.Sprint("line ", i, strings.Repeat(".", i)))
			}
			connector.TestSink(t, s)
		})
	}
}
