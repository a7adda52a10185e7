package statepebble

import (
	"fmt"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/keygroup"
)

// Get appends the value of a key's row, as of the newest committed epoch, to buf. It
// allocates only if buf is too small.
func (s *Store) Get(node string, group int, key, buf []byte) (val []byte, ok bool, err error) {
	if err := checkGroup(group); err != nil {
		return buf, false, err
	}
	v, err := s.look()
	if err != nil {
		return buf, false, err
	}
	defer v.letGo()
	n, ok := v.nodes[node]
	if !ok {
		return buf, false, nil
	}
	g, err := v.getter()
	if err != nil {
		return buf, false, s.reading(node, err)
	}
	g.key = append(g.key[:0], 0, 0, 0, 0)
	putHead(g.key, n, group, 0)
	g.key = append(g.key, key...)
	if ok = g.it.SeekPrefixGE(g.key); ok {
		if val, err = g.it.ValueAndErr(); err == nil {
			buf = append(buf, val...)
		}
	} else {
		err = g.it.Error()
	}
	if err != nil {
		_ = g.it.Close()
		return buf, false, s.reading(node, err)
	}
	v.put(g)
	return buf, ok, nil
}

// Scan calls f with the rows of one group whose keys begin with prefix, in the order
// of keys, until f fails.
func (s *Store) Scan(node string, group int, prefix []byte, f func(key, val []byte) error) error {
	if err := checkGroup(group); err != nil {
		return err
	}
	v, err := s.look()
	if err != nil {
		return err
	}
	defer v.letGo()
	n, ok := v.nodes[node]
	if !ok {
		return nil
	}
	low := make([]byte, 4, 4+len(prefix))
	putHead(low, n, group, 0)
	low = append(low, prefix...)
	it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: low, UpperBound: behind(low)})
	if err != nil {
		return s.reading(node, err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		val, err := it.ValueAndErr()
		if err != nil {
			break // which Close says again
		}
		if err := f(it.Key()[4:], slices.Clip(val)); err != nil {
			_ = it.Close()
			return err
		}
	}
	return s.reading(node, it.Close())
}

// Rows calls f with every row of the newest committed epoch that want wants.
func (s *Store) Rows(want commit.Want, f func(commit.Row) error) error {
	v, err := s.look()
	if err != nil {
		return err
	}
	defer v.letGo()
	for _, name := range slices.Sorted(maps.Keys(v.nodes)) {
		if want.Node != nil && !want.Node(name) {
			continue
		}
		if err := s.rows(v.snap, v.nodes[name], name, want, f); err != nil {
			return err
		}
	}
	return nil
}

// rows calls f with the rows of one node.
func (s *Store) rows(r pebble.Reader, n number, name string, want commit.Want, f func(commit.Row) error) error {
	low, high := n.span()
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: low, UpperBound: high})
	if err != nil {
		return s.reading(name, err)
	}
	at, wanted := place{group: -3}, false
	var seek []byte
	for ok := it.First(); ok; {
		_, p, key, err := cutHead(it.Key())
		if err != nil {
			_ = it.Close()
			return s.reading(name, &DamageError{Err: err})
		}
		if p != at {
			at, wanted = p, wants(want, p)
		}
		if !wanted {
			seek = nextWanted(want, p).after(seek, n)
			ok = it.SeekGE(seek)
			continue
		}
		val, err := it.ValueAndErr()
		if err != nil {
			break
		}
		if err := f(commit.Row{Node: name, Lane: p.lane, Group: p.group, Key: key, Val: slices.Clip(val)}); err != nil {
			_ = it.Close()
			return err
		}
		ok = it.Next()
	}
	return s.reading(name, it.Close())
}

func wants(want commit.Want, p place) bool {
	switch {
	case p.group >= 0:
		return want.Group == nil || want.Group(p.group)
	case p.group == commit.LaneBound:
		return want.Lane == nil || want.Lane(p.lane)
	}
	return true
}

// nextWanted is the last place, from p on, before one that may be wanted.
func nextWanted(want commit.Want, p place) place {
	if p.group >= 0 {
		for p.group+1 < keygroup.N && !want.Group(p.group+1) {
			p.group++
		}
	}
	return p
}

// behind is the least key that is behind all that begin with b; nil if none is.
func behind(b []byte) []byte {
	b = slices.Clone(b)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i]++; b[i] != 0 {
			return b[:i+1]
		}
	}
	return nil
}

func checkGroup(group int) error {
	if group < 0 || group >= keygroup.N {
		return fmt.Errorf("BUG: statepebble: rows of group %d are not read one by one", group)
	}
	return nil
}

func (s *Store) reading(node string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("state in %s: read rows of %s: %w", s.dir, node, blame(err))
}
