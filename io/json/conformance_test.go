package json_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/json"
	"github.com/millrace/millrace/io/text"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest/connector"
	"github.com/millrace/millrace/runners/local"
)

func TestRead_conformance(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"clicks.json", "clicks.json.zst"} {
		p := pipeline.New()
		json.Write(pipeline.Create(p, clicks(30)...), filepath.Join(dir, name), text.Single())
		_, err := local.Run(t.Context(), p, local.Config{})
		require.NoError(t, err)
		t.Run(name, func(t *testing.T) {
			connector.TestSource(t, connector.Source[click]{
				Read: func(p *pipeline.Pipeline) pipeline.PCollection[click] {
					return json.Read[click](p, filepath.Join(dir, name), json.Text(text.PieceSize(400)))
				},
				Want: clicks(30),
			})
		})
	}
}

func TestWrite_conformance(t *testing.T) {
	for _, name := range []string{"clicks.json", "clicks.json.gz"} {
		t.Run(name, func(t *testing.T) {
			connector.TestSink(t, connector.Sink[click]{
				New: func(t testing.TB) connector.Target[click] {
					return connector.Files(t, name,
						func(c pipeline.PCollection[click], path string) { json.Write(c, path) },
						func(p *pipeline.Pipeline, pattern string) pipeline.PCollection[click] {
							return json.Read[click](p, pattern)
						})
				},
				Input: clicks(30),
			})
		})
	}
}
