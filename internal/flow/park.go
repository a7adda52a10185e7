package flow

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/internal/keygroup"
)

// parking is the keys of one operator that are parked: an element of theirs
// failed for good, and everything that comes for them waits behind it, in order,
// while other keys run on. What still waits at the end of the input goes to the
// dead letters.
type parking[K comparable, V any] struct {
	key  coder.Coder[K]
	val  coder.Coder[V]
	hash keygroup.Hasher[K]
	keys map[string]*parkedKey[V] // by the key's bytes
	buf  []byte
}

type parkedKey[V any] struct {
	group   int
	cause   string
	waiting []Stamped[V] // the one that failed first
	saved   int          // appends in the store: the cause, then values
	given   bool         // to the dead letters
}

// parkedRow begins the names of parked rows in the store. No window's bytes do:
// its end would be before its start.
var parkedRow = []byte("parked")

func newParking[K comparable, V any](key coder.Coder[K], val coder.Coder[V]) *parking[K, V] {
	return &parking[K, V]{key: key, val: val, hash: keygroup.Of[K](key.Append), keys: map[string]*parkedKey[V]{}}
}

// waits takes v if its key is parked.
func (p *parking[K, V]) waits(c *graph.Ctx, v coder.KV[K, V]) bool {
	if len(p.keys) == 0 {
		return false
	}
	p.buf = p.key.Append(p.buf[:0], v.Key)
	k := p.keys[string(p.buf)]
	if k == nil {
		return false
	}
	k.waiting = append(k.waiting, Stamped[V]{c.TS, v.Value})
	return true
}

// park parks v's key, with v as the first to wait.
func (p *parking[K, V]) park(c *graph.Ctx, v coder.KV[K, V], err error) {
	p.keys[string(p.key.Append(nil, v.Key))] = &parkedKey[V]{
		group: keygroup.Group(p.hash.Sum(v.Key)), cause: err.Error(), waiting: []Stamped[V]{{c.TS, v.Value}},
	}
}

// giveUp hands everything that waits to the dead letters, each key's in order.
func (p *parking[K, V]) giveUp(c *graph.Ctx, n *graph.Node) {
	g := &guard[coder.KV[K, V]]{node: n, cod: coder.KVOf(p.key, p.val), key: func(v coder.KV[K, V]) []byte { return p.key.Append(nil, v.Key) }}
	names := make([]string, 0, len(p.keys))
	for name, k := range p.keys {
		if !k.given {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		k := p.keys[name]
		key, _, err := p.key.Decode([]byte(name))
		if err != nil {
			panic("BUG: flow: a key does not decode what it encoded: " + err.Error())
		}
		for i, w := range k.waiting {
			why := errors.New(k.cause)
			if i > 0 {
				why = fmt.Errorf("waited behind an element of its key that failed: %s", k.cause)
			}
			c.TS, c.Op = w.TS, n.ID
			f := g.failure(c, coder.KV[K, V]{Key: key, Value: w.Value}, why)
			if c.Run.OnFailure == nil || !c.Run.OnFailure(c, f) {
				c.Fail(why)
				return
			}
		}
		k.waiting, k.saved, k.given = nil, 0, true
	}
}

// delta appends what has come to wait behind the cause; a key that was given up
// is forgotten.
func (p *parking[K, V]) delta(w graph.DeltaWriter) {
	for name, k := range p.keys {
		row := append(bytes.Clone(parkedRow), name...)
		if k.given {
			w.Delete(k.group, row)
			continue
		}
		if k.saved == 0 {
			w.Append(k.group, row, appendBytes(nil, []byte(k.cause)))
			k.saved = 1
		}
		for ; k.saved <= len(k.waiting); k.saved++ {
			s := k.waiting[k.saved-1]
			w.Append(k.group, row, appendBytes(nil, p.val.Append(appendInt(nil, s.TS), s.Value)))
		}
	}
}

func (p *parking[K, V]) load(name, val []byte) error {
	key, _, err := p.key.Decode(name)
	if err != nil {
		return err
	}
	cause, val, err := takeBytes(val)
	if err != nil {
		return err
	}
	k := &parkedKey[V]{group: keygroup.Group(p.hash.Sum(key)), cause: string(cause), saved: 1}
	for len(val) > 0 {
		var b []byte
		if b, val, err = takeBytes(val); err != nil {
			return err
		}
		var s Stamped[V]
		if s.TS, b, err = takeInt(b); err != nil {
			return err
		}
		if s.Value, _, err = p.val.Decode(b); err != nil {
			return err
		}
		k.waiting = append(k.waiting, s)
		k.saved++
	}
	p.keys[string(name)] = k
	return nil
}
