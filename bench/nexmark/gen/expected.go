package gen

import (
	"fmt"
	"strings"
	"sync"

	"github.com/millrace/millrace/bench/peers"
)

// Expected is the number of outputs and the checksum (16 hex digits) that query
// has to reach over n events (w1: lines). ok is false where none is on file for
// that n; bench/peers/expected.tsv has the list.
func Expected(query string, n uint64) (count uint64, sum string, ok bool) {
	r, ok := expected()[run{query, n}]
	return r.count, r.sum, ok
}

type run struct {
	query string
	n     uint64
}

type result struct {
	count uint64
	sum   string
}

var expected = sync.OnceValue(func() map[run]result {
	m := map[run]result{}
	for line := range strings.Lines(peers.ExpectedTSV) {
		var k run
		var r result
		if _, err := fmt.Sscan(line, &k.query, &k.n, &r.count, &r.sum); err != nil {
			panic(fmt.Sprintf("BUG: gen: bad line in expected.tsv: %q: %v", line, err))
		}
		m[k] = r
	}
	return m
})
