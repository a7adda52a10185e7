package csv_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/io/csv"
	"github.com/millrace/millrace/io/text"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/stretchr/testify/require"
)

type city struct {
	Name string  `csv:"name"`
	Pop  int64   `csv:"population"`
	Lat  float64 `csv:"lat"`
}

func put(t *testing.T, content string) string {
	path := filepath.Join(t.TempDir(), "cities.csv")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o666))
	return path
}

func TestReadWrite_roundTrip(t *testing.T) {
	for _, name := range []string{"cities.csv", "cities.csv.gz"} {
		dir := t.TempDir()
		var want []city
		for i := range 50 {
			want = append(want, city{fmt.Sprintf("a \"quoted\",\nname %d", i), int64(i), float64(i) / 4})
		}
		pipelinetest.Run(t, func(_ *pipelinetest.T, p *pipeline.Pipeline) {
			csv.Write(pipeline.Create(p, want...), filepath.Join(dir, name), text.Single())
		})
		pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
			pipelinetest.Equal(t, csv.Read[city](p, filepath.Join(dir, name)), want...)
		})
	}
}

func TestRead_columnsByNameAndWithout(t *testing.T) {
	named := put(t, "lat,unknown,name,population\n1.5,x,Ulm,3\n")
	bare := put(t, "Ulm;3;1.5\n")
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		pipelinetest.Equal(t, csv.Read[city](p, named), city{"Ulm", 3, 1.5})
		pipelinetest.Equal(t, csv.Read[city](p, bare, csv.Comma(';'), csv.Columns("name", "population", "lat")), city{"Ulm", 3, 1.5})
	})
}

func TestRead_emptyFile(t *testing.T) {
	path := put(t, "")
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) { pipelinetest.Empty(t, csv.Read[city](p, path)) })
}

func TestRead_sentences(t *testing.T) {
	for _, tc := range []struct{ content, want string }{
		{"name,population,lat\nUlm,3,1\nBonn,many,2\n", "cities.csv: line 3, column population: "},
		{"name,population,lat\nUlm,3\n", "cities.csv: record on line 2: wrong number of fields"},
		{"name,lat\nUlm,3\n", `missing columns: "population"`},
		{"name,population,lat\n\"Ulm,3,1\n", "cities.csv: parse error on line 2"},
	} {
		path := put(t, tc.content)
		err := pipelinetest.Fails(t, func(p *pipeline.Pipeline) { pipeline.Collect(csv.Read[city](p, path)) })
		require.ErrorContains(t, err, tc.want)
		require.ErrorContains(t, err, "csv.Read (csv/csv_test.go:")
	}
}
