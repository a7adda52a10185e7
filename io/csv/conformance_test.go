package csv_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/csv"
	"github.com/millrace/millrace/io/filesystem"
	"github.com/millrace/millrace/io/text"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest/connector"
)

type street struct {
	Name string `csv:"name"`
	Nr   int    `csv:"nr"`
}

func TestRead_conformance(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"a.csv":     "name,nr\nHigh,1\n\"Low, lower\",2\n\n\"two\nlines\",3\nlast,4",
		"b.csv":     "nr,name\r\n5,five\r\n6,six\r\n",
		"head.csv":  "name,nr\n",
		"empty.csv": "",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	in, err := os.ReadFile(filepath.Join(dir, "a.csv"))
	require.NoError(t, err)
	w, err := filesystem.Create(t.Context(), filepath.Join(dir, "c.csv.gz"))
	require.NoError(t, err)
	z, err := filesystem.Compressor(w, "c.csv.gz", filesystem.ByName)
	require.NoError(t, err)
	_, err = z.Write(in)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	require.NoError(t, w.Commit())

	a := []street{{"High", 1}, {"Low, lower", 2}, {"two\nlines", 3}, {"last", 4}}
	b := []street{{"five", 5}, {"six", 6}}
	for _, tc := range []struct {
		story, pattern string
		opts           []csv.Option
		want           []street
	}{
		{"values of several lines", "a.csv", nil, a},
		{"compressed", "c.csv.gz", nil, a},
		{"several files", "{a,b,head}.csv", nil, append(b, a...)},
		{"an empty file", "empty.csv", nil, nil},
		{"in pieces", "b.csv", []csv.Option{csv.Splittable(true, text.PieceSize(5))}, b},
	} {
		t.Run(tc.story, func(t *testing.T) {
			connector.TestSource(t, connector.Source[street]{
				Read: func(p *pipeline.Pipeline) pipeline.PCollection[street] {
					return csv.Read[street](p, filepath.Join(dir, tc.pattern), tc.opts...)
				},
				Want: tc.want,
			})
		})
	}
}

func TestWrite_conformance(t *testing.T) {
	for _, single := range []bool{false, true} {
		t.Run(fmt.Sprint("single ", single), func(t *testing.T) {
			s := connector.Sink[street]{New: func(t testing.TB) connector.Target[street] {
				return connector.Files(t, "streets.csv",
					func(c pipeline.PCollection[street], path string) {
						if single {
							csv.Write(c, path, text.Single())
							return
						}
						csv.Write(c, path)
					},
					func(p *pipeline.Pipeline, pattern string) pipeline.PCollection[street] {
						return csv.Read[street](p, pattern)
					})
			}}
			for i := range 30 {
				s.Input = append(s.Input, street{fmt.Sprintf("a \"street\"\n, %d", i), i})
			}
			connector.TestSink(t, s)
		})
	}
}
