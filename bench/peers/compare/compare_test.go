package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/bench/nexmark/gen"
)

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		name, out string
		want      result
		cpuNs     float64
		err       string
	}{
		{
			name:  "a loop",
			out:   `{"engine":"go-loop","query":"q0","par":1,"events":1000000,"seconds":0.017,"events_per_s":60018505,"out_count":920000,"checksum":"8077ca296eb994ff","rss_mb":2,"cpu_s":0.02,"ns_per_event":16.66}` + "\n",
			want:  result{Events: 1_000_000, EventsPerS: 60018505, OutCount: 920_000, Checksum: "8077ca296eb994ff", RSSMB: 2, CPUS: 0.02},
			cpuNs: 20,
		},
		{
			name:  "a virtual machine, whose start-up is no work, after what its build left on the line",
			out:   "warning\n\x1b[0m\x1b[0m{\"events\":1000000,\"events_per_s\":6582015,\"out_count\":1,\"checksum\":\"ff\",\"rss_mb\":612,\"cpu_s\":5.53,\"run_cpu_s\":0.13}\n\n",
			want:  result{Events: 1_000_000, EventsPerS: 6582015, OutCount: 1, Checksum: "ff", RSSMB: 612, CPUS: 5.53, RunCPUS: 0.13},
			cpuNs: 130,
		},
		{name: "nothing", out: "\n", err: "it printed no result"},
		{name: "half a line", out: `{"events":10`, err: `parse its result: unexpected end of JSON input: {"events":10`},
		{name: "some other object", out: `{"level":"warn"}`, err: `parse its result: no rate: {"level":"warn"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parse([]byte(tc.out))
			if tc.err != "" {
				require.EqualError(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tc.want, got)
			assert.InDelta(t, tc.cpuNs, got.cpuNs(), 1e-6)
		})
	}
}

func TestResultCheck(t *testing.T) {
	good := result{OutCount: 920_000, Checksum: "8077ca296eb994ff"}
	assert.NoError(t, good.check("q0", 1_000_000))
	assert.EqualError(t, good.check("q0", 17), "bench/peers/expected.tsv has no result of q0 over 17 events to check against")
	assert.EqualError(t, result{OutCount: 919_999, Checksum: "8077ca296eb994ff"}.check("q0", 1_000_000),
		"wrong result: 919999 outputs, checksum 8077ca296eb994ff; want 920000, 8077ca296eb994ff")
}

func TestMedian(t *testing.T) {
	rate := func(r result) float64 { return r.EventsPerS }
	rs := func(rates ...float64) (rs []result) {
		for _, x := range rates {
			rs = append(rs, result{EventsPerS: x})
		}
		return rs
	}
	assert.Equal(t, 0.0, median(nil, rate))
	assert.Equal(t, 3.0, median(rs(9, 1, 3), rate))
	assert.Equal(t, 2.5, median(rs(4, 1, 2, 3), rate))
}

func TestContenders(t *testing.T) {
	for _, tc := range []struct {
		name, query string
		par         int
		engines     []string
		want        string
	}{
		{"all", "q0", 2, engineNames, "go x1, ours x1, ours x2, timely x2, flink x2"},
		{"one lane: ours need not run twice", "q0", 1, engineNames, "go x1, ours x1, timely x1, flink x1"},
		{"timely has no q2", "q2", 2, engineNames, "go x1, ours x1, ours x2, flink x2"},
		{"no loop, so no run on one lane", "q0", 2, []string{"ours", "flink"}, "ours x2, flink x2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var labels []string
			for _, c := range contenders(tc.query, tc.par, tc.engines) {
				labels = append(labels, c.label())
			}
			assert.Equal(t, tc.want, strings.Join(labels, ", "))
		})
	}
	t.Run("timely's word count is the one with a combiner", func(t *testing.T) {
		assert.Equal(t, []contender{{"timely", "w1", "w1c", 2}}, contenders("w1", 2, []string{"timely"}))
	})
}

// Goal: a default that expected.tsv doesn't know would fail every run.
func TestDefaultN_isOnFile(t *testing.T) {
	for q, n := range defaultN {
		_, _, ok := gen.Expected(q, n)
		assert.True(t, ok, "%s over %d", q, n)
	}
}

func TestReport(t *testing.T) {
	of := func(engine string, par int, err error, rs ...result) sample {
		return sample{contender{engine, "q0", "q0", par}, rs, err}
	}
	rate := func(m, rss float64) result {
		return result{Events: 1_000_000, EventsPerS: m * 1e6, RSSMB: rss, CPUS: 0.02}
	}
	samples := []sample{
		of("go", 1, nil, rate(70, 2), rate(60, 2), rate(65, 2)),
		of("ours", 1, nil, rate(52, 9)),
		of("ours", 2, nil, rate(100, 10), rate(90, 12)),
		of("timely", 2, errors.New("run q0 of 50000000 on timely x2: exit status 1: no query")),
		of("flink", 2, nil, rate(90, 600)),
	}
	ratios := judge("q0", samples)
	var b strings.Builder
	writeSamples(&b, samples)
	writeRatios(&b, ratios)
	assert.Equal(t, `     engine  runs  M events/s  CPU ns/event  peak MiB       result
      go x1     3       65.00          20.0         2  as expected
    ours x1     1       52.00          20.0         9  as expected
    ours x2     2       95.00          20.0        11  as expected
  timely x2     0        0.00           0.0         0       FAILED
   flink x2     1       90.00          20.0       600  as expected
run q0 of 50000000 on timely x2: exit status 1: no query
comparison                    ratio  floor  goal  verdict
ours x1 / go x1, events/s     0.80   0.6    0.85  floor met, goal missed
ours x2 / flink x2, events/s  1.06   1.2    1.9   floor missed
flink x2 / ours x2, memory    54.55  4      20    goal met
`, b.String())
	assert.Equal(t, []string{"q0 on timely x2 failed", "q0: ours x2 / flink x2, events/s: 1.06, floor 1.2"}, complaints("q0", samples, ratios))
}

func TestJudge_wordCountHasNoLimitAgainstTheLoop(t *testing.T) {
	r := result{EventsPerS: 1}
	ratios := judge("w1", []sample{
		{contender: contender{"go", "w1", "w1", 1}, results: []result{r}},
		{contender: contender{"ours", "w1", "w1", 1}, results: []result{r}},
	})
	require.Len(t, ratios, 1)
	assert.Equal(t, noLimit, ratios[0].verdict())
}

func TestConfig_wrongOnes(t *testing.T) {
	good := config{queries: []string{"q0"}, engines: []string{"ours"}, par: 1, runs: 1}
	require.NoError(t, good.validate())
	for _, tc := range []struct {
		spoil func(*config)
		want  string
	}{
		{func(c *config) { c.queries = []string{"q0", "q12"} }, `no query "q12": there is q0, q1, q2, q3, q5, q7, w1, w2, w3`},
		{func(c *config) { c.engines = []string{"spark"} }, `no engine "spark": there is ours, go, timely, flink`},
		{func(c *config) { c.runs = 0 }, "-par 1 -runs 0: both must be 1 or more"},
	} {
		c := good
		tc.spoil(&c)
		assert.EqualError(t, c.validate(), tc.want)
	}
}
