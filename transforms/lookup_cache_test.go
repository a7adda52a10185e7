package transforms

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// When an answer is forgotten: put at 1,000 ms, asked for at some times.
func TestCache_forgets(t *testing.T) {
	const putAt = 1000
	known, miss := some("oslo"), Optional[string]{}
	for name, tc := range map[string]struct {
		cache  Cache
		answer Optional[string]
		knows  map[int64]bool // by ms since it was put
	}{
		"never":                      {Cache{Size: 1}, known, map[int64]bool{0: true, 1 << 40: true}},
		"at its TTL":                 {Cache{Size: 1, TTL: 5 * time.Second}, known, map[int64]bool{0: true, 4999: true, 5000: false}},
		"a miss, too":                {Cache{Size: 1, TTL: 5 * time.Second}, miss, map[int64]bool{4999: true, 5000: false}},
		"a miss sooner":              {Cache{Size: 1, TTL: 5 * time.Second, MissTTL: time.Second}, miss, map[int64]bool{999: true, 1000: false}},
		"a miss, and nothing else":   {Cache{Size: 1, MissTTL: time.Second}, miss, map[int64]bool{999: true, 1000: false}},
		"but not what is not a miss": {Cache{Size: 1, MissTTL: time.Second}, known, map[int64]bool{1000: true, 1 << 40: true}},
		"a miss at once":             {Cache{Size: 1, MissTTL: -1}, miss, map[int64]bool{0: false}},
	} {
		t.Run(name, func(t *testing.T) {
			for after, want := range tc.knows {
				c := newAnswers[string, string](tc.cache)
				c.Put("norway", tc.answer, putAt)
				got, ok := c.Get("norway", putAt+after)
				assert.Equal(t, want, ok, "after %d ms", after)
				if ok {
					assert.Equal(t, tc.answer, got)
				}
			}
		})
	}
}

// The key not used for longest makes room.
func TestCache_makesRoom(t *testing.T) {
	c := newAnswers[int, int](Cache{Size: 2})
	c.Put(1, some(1), 0)
	c.Put(2, some(2), 0)
	c.Get(1, 0)
	c.Put(3, some(3), 0)
	for k, want := range map[int]bool{1: true, 2: false, 3: true} {
		_, ok := c.Get(k, 0)
		assert.Equal(t, want, ok, "key %d", k)
	}
}
