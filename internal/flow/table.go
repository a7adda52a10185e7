package flow

import (
	"reflect"
	"strings"
	"unsafe"

	"github.com/millrace/millrace/internal/keygroup"
)

const (
	used  = 1 << 7
	dirty = 1 << 6 // changed since the last delta
	grave = 1      // the row was removed; what is behind it may still be found
	none  = ^uint32(0)

	minSlots = 64
)

// Dir is a key directory by open addressing: key -> row, where the row is the
// slot itself and columns are parallel to the slots. The loads of control byte,
// key and state then need not wait for each other: at 1 M keys 60 ns an update,
// against 115 for an index into dense rows and 119 for a Go map.
//
// Rows move when the table grows or is swept of graves; who keeps row numbers
// registers with moved, where none stands for a row that was removed.
type Dir[K comparable] struct {
	hash  keygroup.Hasher[K]
	own   func(K) K // makes a key that keeps nothing else alive; nil when K is plain
	ctrl  []uint8   // 0: free, grave, or used | dirty | 6 bits of hash
	Keys  []K
	n     int
	dead  int      // graves
	moves int      // how often rows have moved
	dirty []uint32 // the changed rows, unless they are many
	many  bool     // so many have changed that it is quicker to look at all
	cols  []column
	moved []func(to []uint32)
}

type column interface {
	grow(n int, to []uint32)
	reset()
	zero(r uint32)
	touch(hash []uint64, mask uint64) uint8 // loads the rows that hashes begin at
	width() (bytes int, points bool)        // of a row; whether it points at more, which is not counted
}

// Column is one value for each row of a directory.
type Column[T any] struct{ Vals []T }

func (c *Column[T]) grow(n int, to []uint32) {
	old := c.Vals
	c.Vals = make([]T, n)
	for i, t := range to {
		if t != none {
			c.Vals[t] = old[i]
		}
	}
}

func (c *Column[T]) reset()        { clear(c.Vals) }
func (c *Column[T]) zero(r uint32) { var z T; c.Vals[r] = z }

func (c *Column[T]) touch(hash []uint64, mask uint64) (sum uint8) {
	for _, h := range hash {
		sum += firstByte(&c.Vals[h&mask])
	}
	return sum
}

// firstByte loads v's first byte, and with it v's cache line.
func firstByte[T any](v *T) uint8 {
	if unsafe.Sizeof(*v) == 0 {
		return 0
	}
	return *(*uint8)(unsafe.Pointer(v))
}

// NewDir makes an empty directory.
func NewDir[K comparable](hash keygroup.Hasher[K]) *Dir[K] {
	return &Dir[K]{hash: hash, own: cloner[K](), ctrl: make([]uint8, minSlots), Keys: make([]K, minSlots)}
}

// cloner returns a function that copies a string key, which may be a piece of a
// whole line or file, so that the table does not keep that alive.
func cloner[K comparable]() func(K) K {
	if reflect.TypeFor[K]().Kind() != reflect.String {
		return nil
	}
	return func(k K) K {
		s := strings.Clone(*(*string)(unsafe.Pointer(&k)))
		return *(*K)(unsafe.Pointer(&s))
	}
}

// AddColumn adds a column of T to d.
func AddColumn[T any, K comparable](d *Dir[K]) *Column[T] {
	c := &Column[T]{make([]T, len(d.ctrl))}
	d.cols = append(d.cols, c)
	return c
}

// Row finds k's row or makes it; fresh says which.
func (d *Dir[K]) Row(k K) (row uint32, fresh bool) {
	h := d.hash.Sum(k)
	n := d.n
	row = d.rowHashed(k, h)
	return row, d.n != n
}

// rowHashed is Row with the key's hash given.
func (d *Dir[K]) rowHashed(k K, h uint64) uint32 {
	tag := used | uint8(h>>40)&63
	ctrl := d.ctrl
	mask := uint64(len(ctrl) - 1)
	keys := d.Keys[:len(ctrl)]
	for i := h & mask; ; i = (i + 1) & mask {
		if s := ctrl[i]; s&^dirty == tag && keys[i] == k {
			return uint32(i)
		} else if s == 0 {
			return d.insert(k, h, i, tag)
		}
	}
}

// Find returns k's row, or none.
func (d *Dir[K]) Find(k K) uint32 { return d.findHashed(k, d.hash.Sum(k)) }

// findHashed is Find with the key's hash given.
func (d *Dir[K]) findHashed(k K, h uint64) uint32 {
	tag := used | uint8(h>>40)&63
	ctrl := d.ctrl
	mask := uint64(len(ctrl) - 1)
	keys := d.Keys[:len(ctrl)]
	for i := h & mask; ; i = (i + 1) & mask {
		if s := ctrl[i]; s&^dirty == tag && keys[i] == k {
			return uint32(i)
		} else if s == 0 {
			return none
		}
	}
}

// farAway is how far from its home no key should be: at the load that tables grow at,
// one in 10^12 is. Keys that come in the order of another table's slots, as restored
// ones do, crowd at one end of a smaller table, and finding each a place would take
// time that grows with their square; a larger table parts them.
const farAway = 512

func (d *Dir[K]) insert(k K, h, i uint64, tag uint8) uint32 {
	far := (i-h)&uint64(len(d.ctrl)-1) > farAway && d.n*8 > len(d.ctrl)
	if far || (d.n+d.dead+1)*10 > len(d.ctrl)*7 {
		if far {
			d.resize(2 * len(d.ctrl))
		} else {
			d.rehash()
		}
		mask := uint64(len(d.ctrl) - 1)
		for i = h & mask; d.ctrl[i] != 0; i = (i + 1) & mask {
		}
	} else if d.dead > 0 {
		mask := uint64(len(d.ctrl) - 1)
		for i = h & mask; d.ctrl[i]&used != 0; i = (i + 1) & mask {
		}
		if d.ctrl[i] == grave {
			d.dead--
		}
	}
	if d.own != nil {
		k = d.own(k)
	}
	d.n++
	d.ctrl[i], d.Keys[i] = tag, k
	return uint32(i)
}

// rehash makes a table without graves: larger, of the same size, or smaller, as
// the rows that are left want it.
func (d *Dir[K]) rehash() {
	n := len(d.ctrl)
	switch {
	case (d.n+1)*10 > n*4:
		n *= 2
	case d.n*10 < n && n > minSlots:
		n /= 2
	}
	d.resize(n)
}

// resize makes a table of n slots, without graves.
func (d *Dir[K]) resize(n int) {
	ctrl, keys := d.ctrl, d.Keys
	d.dead = 0
	d.moves++
	mask := uint64(n - 1)
	d.ctrl, d.Keys = make([]uint8, n), make([]K, n)
	to := make([]uint32, len(ctrl))
	for i, s := range ctrl {
		to[i] = none
		if s&used == 0 {
			continue
		}
		j := d.hash.Sum(keys[i]) & mask
		for d.ctrl[j] != 0 {
			j = (j + 1) & mask
		}
		d.ctrl[j], d.Keys[j], to[i] = s, keys[i], uint32(j)
	}
	for _, c := range d.cols {
		c.grow(n, to)
	}
	changed := d.dirty[:0]
	for _, r := range d.dirty {
		if to[r] != none {
			changed = append(changed, to[r])
		}
	}
	d.dirty = changed
	for _, f := range d.moved {
		f(to)
	}
}

// Touch marks a row as changed.
func (d *Dir[K]) Touch(r uint32) {
	if d.ctrl[r]&dirty == 0 {
		d.ctrl[r] |= dirty
		if !d.many {
			d.dirty = append(d.dirty, r)
			d.many = len(d.dirty)*32 > len(d.ctrl)
		}
	}
}

// EachDirty calls f for every changed row and forgets that it changed: in row
// order, which memory likes, when many have (82 -> 21 ms for a million keys).
func (d *Dir[K]) EachDirty(f func(r uint32)) {
	if d.many {
		for i, s := range d.ctrl {
			if s&dirty != 0 {
				d.ctrl[i] = s &^ dirty
				f(uint32(i))
			}
		}
	} else {
		for _, r := range d.dirty {
			if d.ctrl[r]&dirty != 0 { // else removed since
				d.ctrl[r] &^= dirty
				f(r)
			}
		}
	}
	d.dirty, d.many = d.dirty[:0], false
}

// Len is the number of rows.
func (d *Dir[K]) Len() int { return d.n }

// Group is the key group of a row.
func (d *Dir[K]) Group(r uint32) int { return keygroup.Group(d.hash.Sum(d.Keys[r])) }

// Each calls f for every row.
func (d *Dir[K]) Each(f func(r uint32)) {
	for i, s := range d.ctrl {
		if s&used != 0 {
			f(uint32(i))
		}
	}
}

// Remove removes row r. Other rows stay where they are. The store is not told.
func (d *Dir[K]) Remove(r uint32) {
	var k K
	d.Keys[r] = k
	for _, c := range d.cols {
		c.zero(r)
	}
	d.n--
	if mask := uint32(len(d.ctrl) - 1); d.ctrl[(r+1)&mask] != 0 {
		d.ctrl[r], d.dead = grave, d.dead+1
		return
	}
	d.ctrl[r] = 0 // nothing is behind it, nor behind the graves before it
	for mask, i := uint32(len(d.ctrl)-1), r-1; d.ctrl[i&mask] == grave; i-- {
		d.ctrl[i&mask], d.dead = 0, d.dead-1
	}
}

// has reports that row r is in use.
func (d *Dir[K]) has(r uint32) bool { return d.ctrl[r]&used != 0 }

// Reset empties the directory and keeps its memory.
func (d *Dir[K]) Reset() {
	clear(d.ctrl)
	clear(d.Keys)
	d.n, d.dead, d.dirty, d.many = 0, 0, d.dirty[:0], false
	for _, c := range d.cols {
		c.reset()
	}
}
