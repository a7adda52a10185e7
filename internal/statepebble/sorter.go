package statepebble

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"maps"
	"slices"
)

// sorter brings rows in the order of their keys before the library sees them, which
// then need not sort them, and reads them from one end to the other: with millions of
// rows that is half of the cost. It keeps its memory.
type sorter struct {
	sorted []entry
	chunks [][]byte
	val    []byte
}

// entry points to a row.
type entry struct {
	prefix uint64 // of the key behind number and place
	chunk  uint32
	off    uint32
}

// change is a row to write, or one to delete. The slices are valid until the next one.
type change struct {
	kind     kind
	key, val []byte
}

// each calls f with the rows of all parts in the order of keys. Of changes with one
// key it makes one.
func (s *sorter) each(parts []*rows, f func(change) error) error {
	s.sort(parts)
	defer func() {
		clear(s.chunks)
		s.chunks = s.chunks[:0]
	}()
	for list := s.sorted; len(list) > 0; {
		var c change
		c.kind, c.key, c.val = s.at(list[0])
		same := 1
		for same < len(list) && s.sameKey(list[0], list[same], c.key) {
			same++
		}
		if same > 1 {
			c.kind, c.val = s.fold(list[:same])
		}
		if err := f(c); err != nil {
			return err
		}
		list = list[same:]
	}
	return nil
}

// sort fills sorted: by number, place, key, and time. Numbers and places are few, so
// that each gets its stretch, which is sorted by itself.
func (s *sorter) sort(parts []*rows) {
	next := map[number]*[placesN]int{} // where the next entry of a place goes
	for _, r := range parts {
		for n := range r.counts {
			next[n] = new([placesN]int)
		}
	}
	total := 0
	var ends []int
	for _, n := range slices.Sorted(maps.Keys(next)) {
		for p := range placesN {
			next[n][p] = total
			for _, r := range parts {
				if c := r.counts[n]; c != nil {
					total += int(c[p])
				}
			}
			if total > next[n][p] {
				ends = append(ends, total)
			}
		}
	}
	if cap(s.sorted) < total {
		s.sorted = make([]entry, total)
	}
	s.sorted = s.sorted[:total]
	var n number
	var at *[placesN]int
	for _, r := range parts {
		for _, c := range r.chunks {
			for b := c; len(b) > 0; {
				e := entry{chunk: uint32(len(s.chunks)), off: uint32(len(c) - len(b))}
				var key []byte
				_, key, _, b = cutRow(b)
				if m := number(binary.BigEndian.Uint16(key)); m != n || at == nil {
					n, at = m, next[m]
				}
				e.prefix = prefix(key[4:])
				p := slot(binary.BigEndian.Uint16(key[2:]))
				s.sorted[at[p]] = e
				at[p]++
			}
			s.chunks = append(s.chunks, c)
		}
	}
	start := 0
	for _, end := range ends {
		slices.SortFunc(s.sorted[start:end], s.compare)
		start = end
	}
}

// prefix is the first eight bytes of a key, as a number of the same order.
func prefix(key []byte) uint64 {
	if len(key) >= 8 {
		return binary.BigEndian.Uint64(key)
	}
	var b [8]byte
	copy(b[:], key)
	return binary.BigEndian.Uint64(b[:])
}

func (s *sorter) at(e entry) (k kind, key, val []byte) {
	k, key, val, _ = cutRow(s.chunks[e.chunk][e.off:])
	return k, key, val
}

func (s *sorter) compare(a, b entry) int {
	if a.prefix != b.prefix {
		return cmp.Compare(a.prefix, b.prefix)
	}
	_, x, _ := s.at(a)
	_, y, _ := s.at(b)
	if c := bytes.Compare(x, y); c != 0 {
		return c
	}
	if a.chunk != b.chunk {
		return cmp.Compare(a.chunk, b.chunk)
	}
	return cmp.Compare(a.off, b.off)
}

func (s *sorter) sameKey(a, b entry, key []byte) bool {
	if a.prefix != b.prefix {
		return false
	}
	_, other, _ := s.at(b)
	return bytes.Equal(key, other)
}

// fold makes one change of those of one row.
func (s *sorter) fold(list []entry) (k kind, val []byte) {
	s.val = s.val[:0]
	k = appendTo
	for _, e := range list {
		is, _, v := s.at(e)
		switch {
		case is != appendTo:
			k, s.val = is, append(s.val[:0], v...)
		case k == remove:
			k, s.val = put, append(s.val, v...)
		default:
			s.val = append(s.val, v...)
		}
	}
	return k, s.val
}
