package schemas

import (
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/io/kafka"
)

// Cache remembers what load found for good, and for a while that it found nothing; an
// outage is not remembered. Several goroutines that ask for the same at once may each
// load it.
type Cache[K comparable, V any] struct {
	load  func(K) (V, error)
	found atomic.Pointer[map[K]V] // replaced, never changed
	mu    sync.Mutex              // guards what follows, and replacing found
	lost  map[K]miss
}

type miss struct {
	err   error
	until time.Time
}

const (
	missFor  = 10 * time.Second
	missMost = 1000 // damaged records have any number of ids
)

// NewCache makes an empty one.
func NewCache[K comparable, V any](load func(K) (V, error)) *Cache[K, V] {
	c := &Cache[K, V]{load: load, lost: map[K]miss{}}
	c.found.Store(&map[K]V{})
	return c
}

// Get neither locks nor allocates for what was found before.
func (c *Cache[K, V]) Get(k K) (V, error) {
	if v, ok := (*c.found.Load())[k]; ok {
		return v, nil
	}
	if err := c.missed(k); err != nil {
		return *new(V), err
	}
	v, err := c.load(k)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		if _, out := errors.AsType[*kafka.Outage](err); !out {
			if len(c.lost) >= missMost {
				clear(c.lost)
			}
			c.lost[k] = miss{err, time.Now().Add(missFor)}
		}
		return v, err
	}
	next := maps.Clone(*c.found.Load())
	next[k] = v
	c.found.Store(&next)
	return v, nil
}

func (c *Cache[K, V]) missed(k K) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, ok := c.lost[k]
	if ok && time.Now().After(m.until) {
		delete(c.lost, k)
		return nil
	}
	return m.err
}
