package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// product is what the catalogue says of a product.
type product struct {
	Name  string `json:"name"`
	Shelf string `json:"shelf"`
	Cents int64  `json:"cents"`
}

// catalogue is a client of the service. It may be used by many goroutines.
type catalogue struct {
	base string
	http *http.Client
}

// newCatalogue keeps as many connections open as there may be calls in flight:
// the default of two for each host would open a new one for most calls.
func newCatalogue(base string, calls int) *catalogue {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = calls
	return &catalogue{base, &http.Client{Transport: t}}
}

// product asks for one product. A product that is not there is no error; one that
// the service can't give now is, and worth another try.
func (c *catalogue) product(ctx context.Context, name string) (p product, ok bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/products/"+url.PathEscape(name), nil)
	if err != nil {
		return p, false, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return p, false, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		err = json.NewDecoder(resp.Body).Decode(&p)
		return p, err == nil, err
	case http.StatusNotFound:
		return p, false, nil
	}
	return p, false, fmt.Errorf("product %q: the catalogue answers %s", name, resp.Status)
}

// shop is a catalogue of three products, for those who have none at hand.
func shop() http.Handler {
	products := map[string]product{
		"tea":  {"tea", "drinks", 450},
		"salt": {"salt", "spices", 120},
		"rye":  {"rye", "grain", 90},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /products/{name}", func(w http.ResponseWriter, r *http.Request) {
		p, ok := products[r.PathValue("name")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(p)
	})
	return mux
}

// serve serves h on a free port of this machine, until stop is called.
func serve(h http.Handler) (base string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(l)
	}()
	return "http://" + l.Addr().String(), func() { s.Close(); <-done }, nil
}
