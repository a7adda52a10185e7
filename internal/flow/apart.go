package flow

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"reflect"
	"time"
	"unsafe"

	"github.com/millrace/millrace/internal/graph"
)

// A part of a row that is large lies apart, in a row of its own, so that what changes
// beside it is written without it. The row itself, the head, begins with a mark that
// says which parts lie apart, and leaves them out; a row without such parts has no mark.
// docs/format/rows.md draws both.
//
// Invariant: a delta leaves in the store the row of a part if and only if it leaves
// there a head whose mark has that part.

const (
	apartFrom  = 512           // bytes from which on a part goes into a row of its own
	apartUntil = apartFrom / 2 // fewer come back: a part about as large as the bound does not go to and fro
)

// partRow begins the names of rows of parts in the store. No window's bytes do: its end
// would be before its start.
var partRow = []byte("part")

// headMark begins the mark of a head. No row without one begins like this: a row begins
// with a byte that is 0 or 1, or with a number, and no number is written as a zero of two
// bytes.
var headMark = []byte{0x80, 0x00}

var errMark = errors.New("the mark of a row names parts that it does not have")

// apart is where the values of one cell lie.
type apart struct {
	small bool              // no value is ever large
	noted bool              // writes are noted: in marks, or for the time that values live
	marks *Column[partMark] // of the table at hand; nil: values do not come to lie apart
}

func (a *apart) apartOf() *apart { return a }

// partMark is what is known of a cell's value in one row: whether it has changed since
// the last delta, and, if it lies apart, about how long it was written.
type partMark uint8

const partChanged partMark = 1 << 7

// writtenApart is the mark of a value that a delta has written apart, in n bytes.
func writtenApart(n int) partMark { return partMark(bits.Len(uint(n))) }

func (m partMark) apart() bool   { return m&^partChanged != 0 }
func (m partMark) changed() bool { return m&partChanged != 0 }

// size is about how many bytes the value takes apart.
func (m partMark) size() int { return 3 << (m &^ partChanged) >> 2 }

// isSmall reports that values of T are never large: they point at nothing, and have few
// bytes themselves.
func isSmall[T any]() bool {
	t := reflect.TypeFor[T]()
	var v T
	return t == reflect.TypeFor[time.Time]() || !pointsAt(t) && unsafe.Sizeof(v) <= apartFrom/2
}

// declared is called when all state has been declared: it finds the cells whose values
// may lie apart. One that is all there is in a row need not.
func (l *Lane[K]) declared() {
	for i, c := range l.cells {
		a := c.apartOf()
		a.noted = c.lifeOf().after != 0
		if !a.small && len(l.cells)+len(l.timers) > 1 {
			l.large, a.noted = append(l.large, i), true
		}
	}
}

// partName is what begins the names of a cell's part rows.
func partName(decl string) []byte {
	p, err := graph.ParsePart(decl)
	if err != nil {
		panic("BUG: flow: " + err.Error())
	}
	return appendBytes(bytes.Clone(partRow), []byte(p.Name))
}

// write writes row r, whose name is its window and its key, or deletes it if it is empty:
// its parts that lie apart only if they have changed. It returns about how many bytes the
// row has in the store; 0: none.
func (l *Lane[K]) write(w graph.DeltaWriter, group int, name []byte, r uint32) (size int) {
	if l.empty(r) {
		w.Delete(group, name)
		for _, i := range l.large {
			if m := &l.cells[i].apartOf().marks.Vals[r]; m.apart() {
				w.Delete(group, l.partKey(i, name))
				*m = 0
			}
		}
		return 0
	}
	if len(l.large) == 0 {
		l.row = l.appendRow(l.row[:0], r)
		w.Put(group, name, l.row)
		return len(l.row)
	}
	b, at := l.row[:0], 0
	l.away = l.away[:0]
	for i, c := range l.cells {
		marks := c.apartOf().marks
		if marks == nil {
			b = appendCell(b, c, r)
			continue
		}
		m := &marks.Vals[r]
		if m.apart() && !m.changed() {
			l.away, size = append(l.away, i), size+m.size()
			continue
		}
		at = len(b)
		b = appendCell(b, c, r)
		switch n := len(b) - at; {
		case n >= apartFrom, n >= apartUntil && m.apart():
			w.Put(group, l.partKey(i, name), b[at:])
			b, *m = b[:at], writtenApart(n)
			l.away, size = append(l.away, i), size+n
		case m.apart():
			w.Delete(group, l.partKey(i, name))
			fallthrough
		default:
			*m = 0
		}
	}
	l.row = l.appendTimers(b, r)
	head := l.row
	if len(l.away) > 0 {
		l.head = append(appendMark(l.head[:0], l.away), l.row...)
		head = l.head
	}
	w.Put(group, name, head)
	return size + len(head)
}

// partKey names the part of cell i that lies apart of a row. It is valid until the next call.
func (l *Lane[K]) partKey(i int, name []byte) []byte {
	l.part = append(append(l.part[:0], l.names[i]...), name...)
	return l.part
}

// appendMark appends the mark of a row whose parts of these numbers lie apart.
func appendMark(b []byte, parts []int) []byte {
	b = binary.AppendUvarint(append(b, headMark...), uint64(len(parts)))
	for _, i := range parts {
		b = binary.AppendUvarint(b, uint64(i))
	}
	return b
}

// takeMark reads the mark of a row, if it has one. The numbers of parts are valid until
// the next call, or the next delta.
func (l *Lane[K]) takeMark(b []byte) (parts []int, rest []byte, err error) {
	b, ok := bytes.CutPrefix(b, headMark)
	if !ok {
		return nil, b, nil
	}
	l.away = l.away[:0]
	n, b, err := takeUint(b)
	for ; n > 0 && err == nil; n-- {
		var i uint64
		if i, b, err = takeUint(b); err != nil {
			break
		}
		if last := len(l.away) - 1; i >= uint64(len(l.cells)) || last >= 0 && int(i) <= l.away[last] {
			return nil, nil, errMark
		}
		l.away = append(l.away, int(i))
	}
	return l.away, b, err
}

// eachPart calls f with the names of the parts of a row that lie apart, by the row's name
// and value. They are valid during the call only.
func (l *Lane[K]) eachPart(name, val []byte, f func(i int, key []byte) error) error {
	parts, _, err := l.takeMark(val)
	for _, i := range parts {
		if err == nil {
			err = f(i, l.partKey(i, name))
		}
	}
	return err
}

// cellOfPart finds the cell of a part row by its name, and the row's own name in it.
func (l *Lane[K]) cellOfPart(key []byte) (i int, name []byte, err error) {
	for i, n := range l.names {
		if name, ok := bytes.CutPrefix(key, n); ok {
			return i, name, nil
		}
	}
	return 0, nil, fmt.Errorf("no state is declared that the row %q is of", key)
}

// loadPart loads what lies apart of row r, of cell i. Where such values do not come to
// lie apart any more, kept is false: its row is to be deleted, and the head to be written.
func (l *Lane[K]) loadPart(i int, b []byte, r uint32) (kept bool, err error) {
	n := len(b)
	if b, err = l.loadCell(i, b, r); err == nil && len(b) > 0 {
		err = fmt.Errorf("%d bytes follow a state", len(b))
	}
	marks := l.cells[i].apartOf().marks
	if err != nil || marks == nil {
		return false, err
	}
	marks.Vals[r] = writtenApart(n)
	return true, nil
}

// takePart puts the part of cell i, read from the store, into row r of the table at hand.
func (o *stateful[K, V, O]) takePart(i int, key, val []byte, r uint32) error {
	kept, err := o.l.loadPart(i, val, r)
	if err != nil || kept {
		return err
	}
	d := o.l.K.Dir
	d.Touch(r)
	g := d.Group(r)
	o.gone.addKey(append(append(o.gone.bytes, byte(g>>8), byte(g)), key...))
	return nil
}

// lose has the next delta delete row r of t, and its parts that lie apart.
func (o *stateful[K, V, O]) lose(t *table[K], r uint32) {
	o.gone.addKey(o.rowKey(o.gone.bytes, t, r))
	for j, i := range o.l.large {
		if !t.marks[j].Vals[r].apart() {
			continue
		}
		g := t.dir.Group(r)
		b := append(o.gone.bytes, byte(g>>8), byte(g))
		b = appendWindow(append(b, o.l.names[i]...), t.win)
		o.gone.addKey(o.s.Key.Append(b, t.dir.Keys[r]))
	}
}

// touchParts marks all parts of row r as changed.
func (t *table[K]) touchParts(r uint32) {
	for _, m := range t.marks {
		m.Vals[r] |= partChanged
	}
}
