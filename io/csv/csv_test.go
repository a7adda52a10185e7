package csv_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/csv"
	"github.com/millrace/millrace/io/filesystem"
	"github.com/millrace/millrace/io/text"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/runners/local"
)

type city struct {
	Name string  `csv:"name"`
	Pop  int64   `csv:"population"`
	Lat  float64 `csv:"lat"`
	Note *string `csv:"note,omitempty"`
}

const header = "name,population,lat,note\n"

func put(t testing.TB, content string) string {
	path := filepath.Join(t.TempDir(), "cities.csv")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o666))
	return path
}

// cities have names that span lines if lines says so, and need quotes in any case.
func cities(n int, lines bool) (out []city) {
	for i := range n {
		name := fmt.Sprintf("a \"quoted\", name %d", i)
		if lines && i%3 == 0 {
			name += "\nin two lines"
		}
		c := city{Name: name, Pop: int64(i), Lat: float64(i) / 4}
		if i%2 == 0 {
			c.Note = new(string)
			*c.Note = fmt.Sprint("note ", i)
		}
		out = append(out, c)
	}
	return out
}

// Goal: what was written is read, whatever lanes, pieces, compression and restarts.
func TestReadWrite_roundTrip(t *testing.T) {
	for _, splittable := range []bool{false, true} {
		want := cities(1000, !splittable)
		for _, name := range []string{"cities.csv", "cities.csv.gz"} {
			for _, cfg := range []local.Config{{Parallelism: 1}, {Parallelism: 3}, {Parallelism: 2, BundleEpochs: 1, RestartEvery: 1}} {
				dir := t.TempDir()
				p := pipeline.New()
				csv.Write(pipeline.Create(p, want...), filepath.Join(dir, name))
				_, err := local.Run(t.Context(), p, cfg)
				require.NoError(t, err)
				p = pipeline.New()
				got := pipeline.Collect(csv.Read[city](p, dir+"/*", csv.Splittable(splittable, text.PieceSize(1000))))
				_, err = local.Run(t.Context(), p, cfg)
				require.NoError(t, err)
				require.ElementsMatch(t, want, got.Values(), "%s, %+v", name, cfg)
			}
		}
	}
}

// Goal: an only field that is empty makes no empty line, which would be passed over.
func TestWrite_onlyFieldEmpty(t *testing.T) {
	type only struct{ Note string }
	want := []only{{"a"}, {""}, {"b"}}
	path := filepath.Join(t.TempDir(), "notes.csv")
	p := pipeline.New()
	csv.Write(pipeline.Create(p, want...), path)
	_, err := local.Run(t.Context(), p, local.Config{})
	require.NoError(t, err)
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		pipelinetest.Equal(t, csv.Read[only](p, filepath.Dir(path)+"/*"), want...)
	})
}

func TestRead_shapes(t *testing.T) {
	ulm := city{Name: "Ulm", Pop: 3, Lat: 1.5}
	for _, tc := range []struct {
		story, content string
		opts           []csv.Option
		want           []city
	}{
		{"columns in another order, and more of them", "lat,unknown,note,name,population\n1.5,x,,Ulm,3\n", nil, []city{ulm}},
		{"no header", "Ulm;3;1.5;\n", []csv.Option{csv.Comma(';'), csv.Columns("name", "population", "lat", "note")}, []city{ulm}},
		{"no header, marked", "\ufeffUlm,3,1.5,\n", []csv.Option{csv.Columns("name", "population", "lat", "note")}, []city{ulm}},
		{"marked as UTF-8", "\ufeff" + header + "Ulm,3,1.5,\n", nil, []city{ulm}},
		{"lines of another system, none at the end", "name,population,lat,note\r\nUlm,3,1.5,\r\nUlm,3,1.5,", nil, []city{ulm, ulm}},
		{"empty lines", "\n\n" + header + "\nUlm,3,1.5,\n\n\nUlm,3,1.5,\n\n", nil, []city{ulm, ulm}},
		{"a header in quotes", "\"name\",\"population\",lat,\"note\"\nUlm,3,1.5,\n", nil, []city{ulm}},
		{"a header only", header, nil, nil},
		{"nothing", "", nil, nil},
		{"less than a mark", "\n", nil, nil},
	} {
		path := put(t, tc.content)
		for _, splittable := range []bool{false, true} {
			pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
				got := csv.Read[city](p, path, append(tc.opts, csv.Splittable(splittable, text.PieceSize(7)))...)
				if tc.want == nil {
					pipelinetest.Empty(t, got)
					return
				}
				pipelinetest.Equal(t, got, tc.want...)
			})
		}
	}
}

func TestRead_compressionOfAnotherName(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(header + "Ulm,3,1.5,\n"))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	path := put(t, b.String())
	for _, splittable := range []bool{false, true} {
		pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
			pipelinetest.Equal(t, csv.Read[city](p, path, csv.Compression(filesystem.Gzip), csv.Splittable(splittable)), city{Name: "Ulm", Pop: 3, Lat: 1.5})
		})
	}
}

func TestRead_sentences(t *testing.T) {
	for _, tc := range []struct{ story, content, whole, pieces string }{
		{"a bad number", header + "Ulm,3,1,\n\n\"Bo\nnn\",3,1,\nBonn,many,2,\n",
			"cities.csv:6: column population: csvutil: cannot unmarshal \"many\" into Go value of type int64", ""},
		{"a bad number in one line", header + "Ulm,3,1,\nBonn,many,2,\n",
			"cities.csv:3: column population: csvutil", "cities.csv:34: column population: csvutil"},
		{"too few fields", header + "Ulm,3,1,\nBonn,3\n",
			"cities.csv:3: the record has 2 fields, fewer than the 4 columns: the first that is missing is lat",
			"cities.csv:34: the record has 2 fields, fewer than the 4 columns: the first that is missing is lat"},
		{"too many fields", header + "Ulm,3,1,,Bonn\n",
			"cities.csv:2: the record has 5 fields, more than the 4 columns: the first without one is \"Bonn\"",
			"cities.csv:25: the record has 5 fields, more than the 4 columns: the first without one is \"Bonn\""},
		{"no such columns", "name,lat\nUlm,3\n",
			"cities.csv:1: missing columns: population, note; there are: name, lat",
			"cities.csv:1: missing columns: population, note; there are: name, lat"},
		{"a column twice", "name,population,lat,note,lat\n",
			"cities.csv:1: two columns are named lat", "cities.csv:1: two columns are named lat"},
		{"quotes not closed", header + "Ulm,3,1,\n\"Ulm,3,1,\n\n\n",
			"in the record that begins in line 3: extraneous or missing \" in quoted-field",
			"cities.csv:34: a value in quotes goes on in the next line, so that csv.Splittable does not fit"},
		{"a quote within a field", header + "Ul\"m,3,1,\n",
			"cities.csv:2: character 3: bare \" in non-quoted-field", "cities.csv:25: character 3: bare \" in non-quoted-field"},
		{"quotes not closed in the header", "\"name\n", "cities.csv: character ", ""},
	} {
		path := put(t, tc.content)
		for want, splittable := range map[string]bool{tc.whole: false, tc.pieces: true} {
			err := pipelinetest.Fails(t, func(p *pipeline.Pipeline) {
				pipeline.Collect(csv.Read[city](p, path, csv.Splittable(splittable)))
			})
			require.ErrorContains(t, err, want, tc.story)
			require.ErrorContains(t, err, "csv.Read (csv/csv_test.go:", tc.story)
		}
	}
	for want, build := range map[string]func(p *pipeline.Pipeline){
		"csv.Read: [: not a pattern":                                      func(p *pipeline.Pipeline) { csv.Read[city](p, "[") },
		"csv.Read: records of type int can't be read: ":                   func(p *pipeline.Pipeline) { csv.Read[int](p, "x") },
		"csv.Read: '\"' can't be between columns":                         func(p *pipeline.Pipeline) { csv.Read[city](p, "x", csv.Comma('"')) },
		"csv.Write: records of type string can't be written: ":            func(p *pipeline.Pipeline) { csv.Write(pipeline.Create(p, "x"), "x") },
		"csv.Write: the path is empty":                                    func(p *pipeline.Pipeline) { csv.Write(pipeline.Create(p, city{}), "") },
		"none.csv: no such file":                                          func(p *pipeline.Pipeline) { csv.Read[city](p, "none.csv") },
		"csv.Read (csv/csv_test.go:" /* of a bad header, when it runs */ : func(p *pipeline.Pipeline) { csv.Read[city](p, put(t, "a\n")) },
	} {
		err := pipelinetest.Fails(t, build)
		require.ErrorContains(t, err, want)
	}
}

// A panic of user code names the line.
func TestRead_panicNamesFileAndLine(t *testing.T) {
	path := put(t, header+"Ulm,3,1,\nBonn,4,1,\n")
	p := pipeline.New()
	pipeline.ForEach(csv.Read[city](p, path), func(_ context.Context, c city) error {
		if c.Name == "Bonn" {
			panic("not there")
		}
		return nil
	})
	_, err := local.Run(t.Context(), p, local.Config{Parallelism: 1})
	require.ErrorContains(t, err, "at input "+path+":3: panic: not there")
}

func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(dir+"/in.csv", []byte("id,city,temperature\n1,Ulm,20\n2,Bonn,31.5\n"), 0o666); err != nil {
		log.Fatal(err)
	}

	type reading struct {
		City        string  `csv:"city"`
		Temperature float64 `csv:"temperature"`
	}
	p := pipeline.New()
	readings := csv.Read[reading](p, dir+"/in.csv")
	hot := pipeline.Filter(readings, func(r reading) bool { return r.Temperature > 30 })
	csv.Write(hot, dir+"/hot.csv", text.Single())
	if _, err := local.Run(context.Background(), p, local.Config{}); err != nil {
		log.Fatal(err)
	}
	out, err := os.ReadFile(dir + "/hot.csv")
	fmt.Print(string(out), err)
	// Output:
	// city,temperature
	// Bonn,31.5
	// <nil>
}

func BenchmarkRead(b *testing.B) {
	path := put(b, header+strings.Repeat("a city of some name,123456,12.5,a note\n", 100_000))
	info, err := os.Stat(path)
	require.NoError(b, err)
	for _, splittable := range []bool{false, true} {
		for _, lanes := range []int{1, 2} {
			b.Run(fmt.Sprint("splittable=", splittable, "/lanes=", lanes), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(info.Size())
				for b.Loop() {
					p := pipeline.New()
					pipeline.ForEachLane(csv.Read[city](p, path, csv.Splittable(splittable)), func(int) func(city) { return func(city) {} })
					_, err := local.Run(b.Context(), p, local.Config{Parallelism: lanes})
					require.NoError(b, err)
				}
			})
		}
	}
}
