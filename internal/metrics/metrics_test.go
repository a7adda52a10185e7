package metrics

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Goal: the text is what Prometheus reads: metrics of one name together, buckets that add up,
// labels escaped.
func TestHandler(t *testing.T) {
	h := &Histogram{}
	for _, d := range []time.Duration{0, time.Millisecond, 3 * time.Millisecond, time.Minute} {
		h.Observe(d)
	}
	handler := Handler(func(p *Page) {
		p.Counter("a_total", "first\nof all", 7, "slot", "1", "job", `a"b\`)
		p.Gauge("b", "second", 0.5)
		p.Counter("a_total", "first\nof all", 8, "slot", "2", "job", "c")
		p.Histogram("c_seconds", "third", h, "slot", "1")
	})
	r := httptest.NewRecorder()
	handler.ServeHTTP(r, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, `# HELP a_total first\nof all
# TYPE a_total counter
a_total{slot="1",job="a\"b\\"} 7
a_total{slot="2",job="c"} 8
# HELP b second
# TYPE b gauge
b 0.5
# HELP c_seconds third
# TYPE c_seconds histogram
c_seconds_bucket{slot="1",le="0.0001"} 1
c_seconds_bucket{slot="1",le="0.0002"} 1
c_seconds_bucket{slot="1",le="0.0005"} 1
c_seconds_bucket{slot="1",le="0.001"} 2
c_seconds_bucket{slot="1",le="0.002"} 2
c_seconds_bucket{slot="1",le="0.005"} 3
c_seconds_bucket{slot="1",le="0.01"} 3
c_seconds_bucket{slot="1",le="0.02"} 3
c_seconds_bucket{slot="1",le="0.05"} 3
c_seconds_bucket{slot="1",le="0.1"} 3
c_seconds_bucket{slot="1",le="0.2"} 3
c_seconds_bucket{slot="1",le="0.5"} 3
c_seconds_bucket{slot="1",le="1"} 3
c_seconds_bucket{slot="1",le="2"} 3
c_seconds_bucket{slot="1",le="5"} 3
c_seconds_bucket{slot="1",le="10"} 3
c_seconds_bucket{slot="1",le="+Inf"} 4
c_seconds_sum{slot="1"} 60.004
c_seconds_count{slot="1"} 4
`, r.Body.String())
	r = httptest.NewRecorder()
	handler.ServeHTTP(r, httptest.NewRequest("GET", "/", nil))
	require.Equal(t, 404, r.Code)
}

// Goal: the mean is that of all, also of what is longer than the last bucket.
func TestHistogram_Mean(t *testing.T) {
	h := &Histogram{}
	require.Zero(t, h.Mean())
	h.Observe(time.Millisecond)
	h.Observe(59 * time.Second)
	require.Equal(t, 29_500_500*time.Microsecond, h.Mean())
}
