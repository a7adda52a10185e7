package transforms

import (
	"math"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Cache is what a lookup join remembers, on each lane by itself. The zero Cache
// remembers nothing. It begins empty, also after a restart.
type Cache struct {
	Size int // most keys; the one not used for longest makes room. 0: no cache

	// TTL is the age at which an answer is forgotten, to the millisecond. 0: never.
	TTL time.Duration

	// MissTTL is the same for the answer that a key has no value. 0: as TTL;
	// negative: such an answer is not remembered.
	MissTTL time.Duration
}

// check reports mistakes.
func (c Cache) check(fail failer, kind string) (ok bool) {
	switch {
	case c.Size < 0:
		fail("%s: the size of its cache is %d, want 0 or more", kind, c.Size)
	case c.TTL < 0:
		fail("%s: the TTL of its cache is %v, want 0 or more", kind, c.TTL)
	case c.Size == 0 && (c.TTL != 0 || c.MissTTL != 0):
		fail("%s: its cache has a TTL but no size: say how many keys each lane may remember", kind)
	default:
		return true
	}
	return false
}

// answers is a cache of one lane. It expires by the times that it is told, when
// an entry is asked for: the library's own expiry runs a goroutine that never ends.
type answers[K comparable, V any] struct {
	cfg Cache
	lru *simplelru.LRU[K, answer[V]]
}

type answer[V any] struct {
	v     Optional[V]
	until int64 // Unix ms; forgotten from then on
}

func newAnswers[K comparable, V any](cfg Cache) *answers[K, V] {
	lru, err := simplelru.NewLRU[K, answer[V]](cfg.Size, nil)
	if err != nil {
		panic("BUG: transforms: " + err.Error())
	}
	return &answers[K, V]{cfg, lru}
}

// Get implements pipeline.LookupCache.
func (c *answers[K, V]) Get(k K, nowMs int64) (v Optional[V], ok bool) {
	a, ok := c.lru.Get(k)
	if !ok {
		return v, false
	}
	if nowMs >= a.until {
		c.lru.Remove(k)
		return v, false
	}
	return a.v, true
}

// Put implements pipeline.LookupCache.
func (c *answers[K, V]) Put(k K, v Optional[V], nowMs int64) {
	ttl := c.cfg.TTL
	if !v.OK && c.cfg.MissTTL != 0 {
		ttl = c.cfg.MissTTL
	}
	switch {
	case ttl < 0:
	case ttl == 0:
		c.lru.Add(k, answer[V]{v, math.MaxInt64})
	default:
		c.lru.Add(k, answer[V]{v, nowMs + ttl.Milliseconds()})
	}
}
