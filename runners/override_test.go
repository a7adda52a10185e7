package runners

import (
	"compress/gzip"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/io/generate"
	"github.com/millrace/millrace/io/kafka"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/transforms"
	"github.com/millrace/millrace/window"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type click struct {
	Page string
	N    int
}

// nobody is where no broker is.
const nobody = "kafka://127.0.0.1:1/"

// perMinute counts clicks by page and minute of Kafka's time, from Kafka to Kafka.
func perMinute(p *pipeline.Pipeline) {
	clicks := kafka.Read(p, nobody+"clicks", kafka.JSON[click](), kafka.Named("clicks"))
	pages := pipeline.Map(clicks.Windowed(window.Fixed(time.Minute)), func(c click) string { return c.Page })
	counts := pipeline.Pairs(transforms.Count(pipeline.KeyBy(pages, func(page string) string { return page })))
	kafka.Write(counts, nobody+"counts", kafka.JSON[pipeline.KV[string, int64]](), kafka.Named("counts"))
}

// file writes a file of lines, and returns its path.
func file(t *testing.T, name string, lines ...string) string {
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o666))
	return path
}

func linesOf(t *testing.T, path string) []string {
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

// Goal: what reads and writes Kafka runs without any, from file to file, also on
// several lanes; the event times of the file count.
func TestOverride_kafkaWithoutKafka(t *testing.T) {
	in := file(t, "clicks.jsonl",
		`{"Page":"/a","at":"2026-11-24T09:00:01Z"}`, ``, `{"Page":"/b","at":1795510802000}`,
		`{"Page":"/a","at":"2026-11-24T09:00:59.999Z"}`, `{"Page":"/a","at":"2026-11-24T10:01:00+01:00"}`)
	for _, lanes := range []string{"1", "3"} {
		out := filepath.Join(t.TempDir(), "out.jsonl")
		code, stdout, stderr := command(t.Context(), perMinute, "-parallelism="+lanes, "-source", "clicks=file:"+in+"?time=at", "-sink=counts=file:"+out+"?time=at&value=count")
		require.Zero(t, code, stderr)
		require.Empty(t, stdout)
		require.ElementsMatch(t, []string{
			`{"at":"2026-11-24T09:00:59.999Z","count":{"Key":"/a","Value":2}}`,
			`{"at":"2026-11-24T09:00:59.999Z","count":{"Key":"/b","Value":1}}`,
			`{"at":"2026-11-24T09:01:59.999Z","count":{"Key":"/a","Value":1}}`,
		}, linesOf(t, out))
	}
}

// Goal: what a sink wrote is what a source reads, with its times, compressed too.
func TestOverride_andBack(t *testing.T) {
	copied := func(p *pipeline.Pipeline) {
		kafka.Write(kafka.Read(p, nobody+"a", kafka.JSON[*click]()), nobody+"b", kafka.JSON[*click]())
	}
	want := []string{`{"at":"1970-01-01T00:00:00.007Z","v":{"Page":"<a>","N":1}}`, `{"at":"2026-11-24T09:00:59.999Z","v":null}`}
	in := file(t, "in.jsonl", want...)
	var packed strings.Builder
	z := gzip.NewWriter(&packed)
	fmt.Fprint(z, strings.Join(want, "\n")) // the last line has no end
	require.NoError(t, z.Close())
	zipped := filepath.Join(filepath.Dir(in), "in.jsonl.gz")
	require.NoError(t, os.WriteFile(zipped, []byte(packed.String()), 0o666))
	for _, from := range []string{in, zipped, "//" + in} {
		out := filepath.Join(t.TempDir(), "new folder", "out.jsonl")
		code, _, stderr := command(t.Context(), copied, "-source=kafka.Read=file:"+from+"?time=at&value=v", "-sink=kafka.Write=file:"+out+"?time=at&value=v")
		require.Zero(t, code, stderr)
		require.Equal(t, want, linesOf(t, out))
	}
}

// Goal: all files of a pattern, more of them than lanes.
func TestOverride_pattern(t *testing.T) {
	dir := filepath.Dir(file(t, "none.txt", "not JSON"))
	for i := range 5 {
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.jsonl", i)), []byte(fmt.Sprintf("%d\n%d\n", 2*i, 2*i+1)), 0o666))
	}
	code, stdout, stderr := command(t.Context(), func(p *pipeline.Pipeline) {
		pipeline.Collect(transforms.SumGlobally(pipeline.Create(p, 5)), pipeline.Named("sum"))
	}, "-source=Create=file:"+dir+"/*.jsonl", "-sink=sum=-", "-parallelism=2")
	require.Zero(t, code, stderr)
	require.Equal(t, "45\n", stdout)
}

func endless(p *pipeline.Pipeline) {
	pipeline.Collect(generate.Elements(p, func(i uint64) int { return int(i) }, generate.Rate(1000)), pipeline.Named("numbers"))
}

// Goal: the terminal shows what an endless run writes, while it runs.
func TestOverride_terminal(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	code := run(ctx, flag.NewFlagSet("prog", flag.ContinueOnError), []string{"-sink=numbers=-", "-parallelism=1"}, endless, writer(func(b []byte) {
		if strings.Contains(string(b), "17") {
			cancel()
		}
	}), writer(func([]byte) {}))
	require.Equal(t, ExitInterrupted, code)
}

// Goal: a run without an end writes one file after the other, each whole when it is there.
func TestOverride_rolls(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	dir := t.TempDir()
	ended := make(chan int, 1)
	go func() {
		code, _, _ := command(ctx, endless, "-parallelism=2", "-sink=numbers=file:"+dir+"/out.jsonl?roll=1ms&value=n", "-state-dir="+filepath.Join(dir, "state"), "-checkpoint-interval=5ms")
		ended <- code
	}()
	var files []string
	require.Eventually(t, func() (there bool) {
		files, _ = filepath.Glob(filepath.Join(dir, "out-*.jsonl"))
		return len(files) >= 3
	}, 20*time.Second, time.Millisecond)
	cancel()
	require.Equal(t, ExitInterrupted, <-ended)
	seen := map[string]bool{}
	for _, f := range files {
		for _, line := range linesOf(t, f) {
			require.Regexp(t, `^\{"n":\d+\}$`, line)
			require.False(t, seen[line], line)
			seen[line] = true
		}
	}
}

// writer is a function that takes what is written.
type writer func([]byte)

func (w writer) Write(b []byte) (int, error) { w(b); return len(b), nil }

func TestOverride_mistakes(t *testing.T) {
	in := file(t, "in.jsonl", `{"Page":"/a"}`)
	for _, tc := range []struct {
		story string
		build func(*pipeline.Pipeline)
		args  string
		want  string
	}{
		{"no name", perMinute, "-source=file:x", `want name=file:path`},
		{"no path", perMinute, "-source=clicks=", `want name=file:path`},
		{"a bare path", perMinute, "-source=clicks=in.jsonl", `"in.jsonl": want file: and a path, as file:in.jsonl`},
		{"an empty path", perMinute, "-source=clicks=file:", `the path is empty`},
		{"no place for files", perMinute, "-source=clicks=kafka://h:9092/t", `kafka://h:9092/t: no files are known under kafka://`},
		{"the terminal is no source", perMinute, "-source=clicks=-", `"-": want file: and a path`},
		{"twice", perMinute, "-source=clicks=file:a -source=clicks=file:b", `the source "clicks" is given twice`},
		{"an unknown parameter", perMinute, "-source=clicks=file:a?times=at", `times=at: there are the parameters time, value, each once`},
		{"no duration", perMinute, "-sink=counts=file:a?roll=often", `-sink counts=file:a?roll=often: roll=often: want a time as 10s`},
		{"a time that has no place", perMinute, "-sink=counts=file:a?time=at", `then value has to say in which the value is`},
		{"an unknown source", perMinute, "-source=orders=file:" + in, `-source orders=file:` + in + `: there is no source of this name; there is clicks (runners/override_test.go:`},
		{"a sink is no source", perMinute, "-source=counts=file:" + in, `there is no source of this name; there is clicks (`},
		{"an unknown sink", perMinute, "-sink=out=-", `-sink out=-: there is no sink of this name; there is counts (runners/override_test.go:`},
		{"no sink at all", small, "-sink=out=-", `-sink out=-: there is no sink of this name; the pipeline has no sink`},
		{"a file that would never appear", endless, "-sink=numbers=file:out.jsonl", `the source generate.Elements has no end, and a file appears when the run has ended`},
	} {
		t.Run(tc.story, func(t *testing.T) {
			code, _, stderr := command(t.Context(), tc.build, strings.Fields(tc.args)...)
			assert.Equal(t, ExitUsage, code)
			assert.Contains(t, stderr, tc.want)
		})
	}
}

// Goal: a file that does not fit says so, with the line.
func TestOverride_badFiles(t *testing.T) {
	const good = `{"Page":"/a","N":1,"at":1}`
	for _, tc := range []struct{ story, bad, params, want string }{
		{"another type", `{"Page":7}`, "", `cannot unmarshal number into Go struct field click.Page of type string`},
		{"no JSON", `Page=7`, "", `invalid character 'P' looking for beginning of value`},
		{"a value of several lines", `{"Page":`, "", `unexpected end of JSON input: each value has to be on a line of its own`},
		{"two values", `{} {}`, "", `invalid character '{' after top-level value`},
		{"no time", `{"Page":"/a"}`, "?time=at", `the time in field "at": there is none`},
		{"no time, but a null", `{"at":null}`, "?time=at", `the time in field "at": null: want Unix milliseconds, or a string as "2026-11-24T09:00:00Z"`},
		{"a time like none", `{"at":"yesterday"}`, "?time=at", `the time in field "at": "yesterday": want Unix milliseconds`},
		{"a time beyond all", `{"at":9223372036854775807}`, "?time=at", `is beyond all times`},
		{"no object", `[1]`, "?time=at", `cannot unmarshal array into Go value of type map`},
		{"no value", `{"at":2}`, "?time=at&value=at2", `there is no field "at2" for the value`},
		{"longer than lines may be", `{"Page":"` + strings.Repeat("x", lineMost) + `"}`, "", `the line is longer than 16777216 bytes`},
	} {
		t.Run(tc.story, func(t *testing.T) {
			first := good
			if strings.Contains(tc.params, "at2") {
				first = `{"at":1,"at2":{}}`
			}
			in := file(t, "in.jsonl", first, "", tc.bad, first)
			out := filepath.Join(t.TempDir(), "out.jsonl")
			code, _, stderr := command(t.Context(), perMinute, "-source=clicks=file:"+in+tc.params, "-sink=counts=file:"+out)
			assert.Equal(t, ExitFailed, code)
			assert.Regexp(t, `the run failed: clicks \(runners/override_test.go:\d+\), at input `, stderr)
			assert.Contains(t, stderr, in+":3: ")
			assert.Contains(t, stderr, tc.want)
			assert.NoFileExists(t, out)
		})
	}
	missing := filepath.Join(t.TempDir(), "missing.jsonl")
	code, _, stderr := command(t.Context(), perMinute, "-source=clicks=file:"+missing, "-sink=counts=-")
	assert.Equal(t, ExitFailed, code)
	assert.Contains(t, stderr, missing+": no such file")
}

// Goal: what has no JSON fails as an element does.
func TestOverride_noJSON(t *testing.T) {
	functions := func(p *pipeline.Pipeline) {
		pipeline.Collect(pipeline.Map(pipeline.Create(p, 1.5, 0), func(f float64) float64 { return 1 / f }), pipeline.Named("inverses"))
	}
	code, _, stderr := command(t.Context(), functions, "-sink=inverses=-")
	require.Equal(t, ExitFailed, code)
	require.Contains(t, stderr, "json: unsupported value: +Inf")
	out := filepath.Join(t.TempDir(), "out.jsonl")
	code, _, stderr = command(t.Context(), functions, "-sink=inverses=file:"+out, "-on-error=dead-letter")
	require.Zero(t, code, stderr)
	require.Equal(t, []string{"0.6666666666666666"}, linesOf(t, out))
}

// Goal: pictures show what stands in for what.
func TestOverride_isShown(t *testing.T) {
	in := file(t, "in.jsonl", `{"Page":"/a"}`)
	instead := []string{"-source=clicks=file:" + in, "-sink=counts=-"}
	code, stdout, _ := command(t.Context(), perMinute, append(instead, "-graph=mermaid")...)
	require.Zero(t, code)
	require.Contains(t, stdout, `["clicks = file:`+in+`<br/><i>click</i>"]`)
	require.Contains(t, stdout, `["counts = -"]`)
}

// Goal: a job that goes on after a crash goes on within its files; and it does not go
// on from what it kept of the real source.
func TestOverride_goesOn(t *testing.T) {
	const n = 300_000
	var lines []string
	for i := range n {
		lines = append(lines, fmt.Sprint(i))
	}
	in, dir := file(t, "in.jsonl", lines...), t.TempDir()
	out := filepath.Join(dir, "out.jsonl")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	job := func(stop func(int)) func(*pipeline.Pipeline) {
		return func(p *pipeline.Pipeline) {
			c := pipeline.Map(generate.Elements(p, func(i uint64) int { return -int(i) }, generate.Rate(1)), func(i int) int { stop(i); return i })
			pipeline.Collect(c, pipeline.Named("numbers"))
		}
	}
	args := []string{"-state-dir=" + filepath.Join(dir, "state"), "-checkpoint-interval=1ms", "-parallelism=1",
		"-source=generate.Elements=file:" + in, "-sink=numbers=file:" + out}
	code, _, stderr := command(ctx, job(func(i int) {
		if i == n/2 {
			cancel()
		}
	}), args...)
	require.Equal(t, ExitInterrupted, code)
	require.Contains(t, stderr, "stopped at checkpoint", "the run has to be cut off behind one")
	least := n
	code, _, stderr = command(t.Context(), job(func(i int) { least = min(i, least) }), args...)
	require.Zero(t, code, stderr)
	require.Greater(t, least, 0, "the second run has begun anew")
	require.Equal(t, lines, linesOf(t, out))

	code, stdout, stderr := command(t.Context(), job(func(int) {}), append(args, "plan")...)
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "generate.Elements")
	code, _, stderr = command(t.Context(), job(func(int) {}), args[:3]...)
	require.Equal(t, ExitFailed, code)
	require.Contains(t, stderr, "it was a json.Read and is a generate.Elements now")
}

// Goal: a file has values, also where the source could have brought bad records.
func TestOverride_sourceWithBad(t *testing.T) {
	in := file(t, "in.jsonl", `{"Page":"/a","N":1}`, `{"Page":"/b","N":2}`)
	code, stdout, stderr := command(t.Context(), func(p *pipeline.Pipeline) {
		clicks, bad := kafka.ReadWithBad(p, nobody+"clicks", kafka.JSON[click](), kafka.Named("clicks"))
		others, worse := kafka.ReadWithBad(p, nobody+"others", kafka.JSON[click](), kafka.Named("others"))
		pipeline.Collect(pipeline.Flatten(clicks, others), pipeline.Named("all"))
		kafka.WriteBad(pipeline.Flatten(bad, worse), nobody+"bad", kafka.Named("bad"))
	}, "-source=clicks=file:"+in, "-source=others=file:"+in, "-sink=all=-", "-sink=bad=-", "-parallelism=1")
	require.Zero(t, code, stderr)
	require.Equal(t, strings.Repeat(`{"Page":"/a","N":1}`+"\n"+`{"Page":"/b","N":2}`+"\n", 2), stdout)
}
