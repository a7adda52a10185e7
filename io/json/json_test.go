package json_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/io/json"
	"github.com/millrace/millrace/io/text"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/stretchr/testify/require"
)

type click struct {
	User string `json:"user"`
	Ms   int    `json:"ms"`
}

func TestReadWrite_roundTrip(t *testing.T) {
	for _, name := range []string{"clicks.json", "clicks.json.gz"} {
		dir := t.TempDir()
		var want []click
		for i := range 100 {
			want = append(want, click{fmt.Sprint("user ", i), i})
		}
		pipelinetest.Run(t, func(_ *pipelinetest.T, p *pipeline.Pipeline) {
			json.Write(pipeline.Create(p, want...), filepath.Join(dir, name), text.Single())
		})
		pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
			pipelinetest.Equal(t, json.Read[click](p, filepath.Join(dir, name)), want...)
		})
	}
}

func TestRead_sentences(t *testing.T) {
	for _, tc := range []struct {
		content, want string
		opts          []json.Option
	}{
		{"{\"user\":\"a\"}\n\n{\"user\":1}\n", "bad.json:14: json: cannot unmarshal number into Go struct field click.user of type string", nil},
		{"{\"user\":\"a\",\"x\":1}", `bad.json:0: json: unknown field "x"`, []json.Option{json.Strict()}},
		{"{}{}", "bad.json:0: more than one value in a line", []json.Option{json.Strict()}},
		{"{", "bad.json:0: unexpected end of JSON input", nil},
	} {
		path := filepath.Join(t.TempDir(), "bad.json")
		require.NoError(t, os.WriteFile(path, []byte(tc.content), 0o666))
		err := pipelinetest.Fails(t, func(p *pipeline.Pipeline) { pipeline.Collect(json.Read[click](p, path, tc.opts...)) })
		require.ErrorContains(t, err, tc.want)
		require.ErrorContains(t, err, "json.Read (json/json_test.go:")
	}
}
