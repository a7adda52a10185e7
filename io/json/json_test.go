package json_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/io/json"
	"github.com/millrace/millrace/io/text"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/runners/local"
)

type click struct {
	User string `json:"user"`
	Ms   int    `json:"ms"`
	Tags []string
	Note string `json:",omitempty"`
}

func clicks(n int) (out []click) {
	for i := range n {
		out = append(out, click{User: fmt.Sprint("user <", i, ">\n"), Ms: i, Tags: []string{strings.Repeat("x", i%40)}})
	}
	return out
}

// Goal: what was written is read, whatever lanes, pieces, compression and restarts.
func TestReadWrite_roundTrip(t *testing.T) {
	want := clicks(1000)
	for _, name := range []string{"clicks.json", "clicks.json.gz", "clicks.json.zst"} {
		for _, cfg := range []local.Config{{Parallelism: 1}, {Parallelism: 3}, {Parallelism: 2, BundleEpochs: 1, RestartEvery: 1}} {
			dir := t.TempDir()
			p := pipeline.New()
			json.Write(pipeline.Create(p, want...), filepath.Join(dir, name))
			_, err := local.Run(t.Context(), p, cfg)
			require.NoError(t, err)
			p = pipeline.New()
			got := pipeline.Collect(json.Read[click](p, dir+"/*", json.Text(text.PieceSize(3000))))
			_, err = local.Run(t.Context(), p, cfg)
			require.NoError(t, err)
			require.ElementsMatch(t, want, got.Values(), "%s, %+v", name, cfg)
		}
	}
}

// Goal: elements share no memory with a line that is read later.
func TestRead_elementsKeepTheirMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.json")
	require.NoError(t, os.WriteFile(path, []byte(`"one"`+"\n"+`{"a": 2}`+"\n   \n[3333333]\r\n"), 0o666))
	pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
		values := json.Read[keeper](p, path)
		pipelinetest.Equal(t, pipeline.Map(values, func(k keeper) string { return string(k.Raw) }), `"one"`, `{"a": 2}`, "[3333333]")
	})
}

// keeper keeps its bytes, as a method may that copies them.
type keeper struct{ Raw []byte }

func (k *keeper) UnmarshalJSON(b []byte) error {
	k.Raw = append([]byte(nil), b...)
	clear(b) // and may do with them what it likes
	return nil
}

func TestRead_sentences(t *testing.T) {
	for _, tc := range []struct {
		content, want string
		opts          []json.Option
	}{
		{"{\"user\":\"a\"}\n\n{\"user\":1}\n", "bad.json:14: json: cannot unmarshal number into Go struct field click.user of type string", nil},
		{"{\"user\":\"a\",\"x\":1}", `bad.json:0: json: unknown field "x"`, []json.Option{json.Strict()}},
		{"{}{}", "bad.json:0: there is something behind the value", []json.Option{json.Strict()}},
		{"{} ]", "bad.json:0: there is something behind the value", []json.Option{json.Strict()}},
		{"{}{}", "bad.json:0: invalid character '{' after top-level value", nil},
		{"{", "bad.json:0: unexpected end of JSON input", nil},
		{"{", "bad.json:0: unexpected end of JSON input", []json.Option{json.Strict()}},
	} {
		path := filepath.Join(t.TempDir(), "bad.json")
		require.NoError(t, os.WriteFile(path, []byte(tc.content), 0o666))
		err := pipelinetest.Fails(t, func(p *pipeline.Pipeline) { pipeline.Collect(json.Read[click](p, path, tc.opts...)) })
		require.ErrorContains(t, err, tc.want)
		require.ErrorContains(t, err, "json.Read (json/json_test.go:")
	}
	err := pipelinetest.Fails(t, func(p *pipeline.Pipeline) { pipeline.Collect(json.Read[click](p, "[")) })
	require.ErrorContains(t, err, "json.Read: [: not a pattern")
}

// A value that JSON has no form for fails the run, and leaves no file.
func TestWrite_sentences(t *testing.T) {
	dir := t.TempDir()
	err := pipelinetest.Fails(t, func(p *pipeline.Pipeline) {
		json.Write(pipeline.Create(p, refused{1}), dir+"/x.json")
	})
	require.ErrorContains(t, err, "json.Write (json/json_test.go:")
	require.ErrorContains(t, err, "1 is not for JSON")
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, files)
}

type refused struct{ N int }

func (r refused) MarshalJSON() ([]byte, error) { return nil, fmt.Errorf("%d is not for JSON", r.N) }

func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(dir+"/views.json", []byte(`{"page": "/", "ms": 20}`+"\n"+`{"page": "/slow", "ms": 900}`+"\n"), 0o666); err != nil {
		log.Fatal(err)
	}

	type view struct {
		Page string `json:"page"`
		Ms   int    `json:"ms"`
	}
	p := pipeline.New()
	views := json.Read[view](p, dir+"/views.json", json.Strict())
	slow := pipeline.Filter(views, func(v view) bool { return v.Ms > 100 })
	json.Write(slow, dir+"/slow.json", text.Single())
	if _, err := local.Run(context.Background(), p, local.Config{}); err != nil {
		log.Fatal(err)
	}
	out, err := os.ReadFile(dir + "/slow.json")
	fmt.Print(string(out), err)
	// Output:
	// {"page":"/slow","ms":900}
	// <nil>
}

func BenchmarkRead(b *testing.B) {
	dir := b.TempDir()
	p := pipeline.New()
	json.Write(pipeline.Create(p, clicks(50_000)...), dir+"/x.json", text.Single())
	_, err := local.Run(b.Context(), p, local.Config{})
	require.NoError(b, err)
	info, err := os.Stat(dir + "/x.json")
	require.NoError(b, err)
	for _, lanes := range []int{1, 2} {
		b.Run(fmt.Sprint("lanes=", lanes), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(info.Size())
			for b.Loop() {
				p := pipeline.New()
				pipeline.ForEachLane(json.Read[click](p, dir+"/x.json"), func(int) func(click) { return func(click) {} })
				_, err := local.Run(b.Context(), p, local.Config{Parallelism: lanes})
				require.NoError(b, err)
			}
		})
	}
}
