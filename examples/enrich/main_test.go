package main

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/io/csv"
	"github.com/millrace/millrace/pipeline"
	"github.com/millrace/millrace/pipelinetest"
	"github.com/millrace/millrace/runners/local"
	"github.com/stretchr/testify/require"
)

var want = []pipeline.KV[string, int64]{
	pipeline.NewKV("drinks", int64(3*450)), pipeline.NewKV("spices", int64(4*120)), pipeline.NewKV("grain", int64(5*90)),
}

// busy refuses every other request for a product, the first one too.
func busy(h http.Handler) http.Handler {
	var mu sync.Mutex // guards asked
	asked := map[string]int{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked[r.URL.Path]++
		refuse := asked[r.URL.Path]%2 == 1
		mu.Unlock()
		if refuse {
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func TestEnrich(t *testing.T) {
	for name, h := range map[string]http.Handler{"well": shop(), "busy at times": busy(shop())} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(h)
			defer s.Close()
			pipelinetest.Run(t, func(t *pipelinetest.T, p *pipeline.Pipeline) {
				sums, lost := enrich(csv.Read[order](p, "testdata/orders.csv"), newCatalogue(s.URL, calls))
				pipelinetest.Equal(t, sums, want...)
				pipelinetest.Equal(t, lost, order{"A5", "moon", 1})
			})
		})
	}
}

// Each product is asked for once, however many orders there are of it.
func TestEnrich_asksOnce(t *testing.T) {
	var asked atomic.Int64
	h := shop()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		h.ServeHTTP(w, r)
	}))
	defer s.Close()
	p := pipeline.New()
	sums, _ := enrich(csv.Read[order](p, "testdata/orders.csv"), newCatalogue(s.URL, calls))
	out := pipeline.Collect(sums)
	_, err := local.Run(t.Context(), p, local.Config{Parallelism: 1})
	require.NoError(t, err)
	require.ElementsMatch(t, want, out.Values())
	require.EqualValues(t, 4, asked.Load())
}

func TestServe_ownCatalogue(t *testing.T) {
	base, stop, err := serve(shop())
	require.NoError(t, err)
	defer stop()
	p, ok, err := newCatalogue(base, 1).product(t.Context(), "tea")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, product{"tea", "drinks", 450}, p)
	_, ok, err = newCatalogue(base, 1).product(t.Context(), "sugar")
	require.NoError(t, err)
	require.False(t, ok)
}
