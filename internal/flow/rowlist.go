package flow

import (
	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// appendRowKey appends what names the row of k in w in a store, its group before it.
func appendRowKey[K comparable](b []byte, group int, w window.Interval, cod coder.Coder[K], k K) []byte {
	b = append(b, byte(group>>8), byte(group))
	return cod.Append(appendWindow(b, w), k)
}

func splitRowKey[K comparable](b []byte, cod coder.Coder[K]) (w window.Interval, k K, err error) {
	w, b, err = takeWindow(b)
	if err == nil {
		k, _, err = cod.Decode(b)
	}
	return w, k, err
}

// rowList is what to do with rows at the next delta, in a few pieces of memory: an
// allocation for each would cost more than the rows.
type rowList struct {
	rowBlock
	full []rowBlock
}

type rowBlock struct {
	bytes []byte
	rows  []listedRow
}

// listedRow says where the key of a row, its group before it, and its value end.
type listedRow struct{ key, val uint32 }

// rowBlockSize is the size from which on another block is begun: so many bytes need
// not be copied to add a row, and are garbage soon.
const rowBlockSize = 64 << 10

// add lists a row: bytes are those of the list with its key and value behind them, and
// the value begins at val.
func (l *rowList) add(bytes []byte, val int) {
	l.bytes = bytes
	l.rows = append(l.rows, listedRow{uint32(val), uint32(len(bytes))})
	if len(bytes) >= rowBlockSize {
		l.full = append(l.full, l.rowBlock)
		l.rowBlock = rowBlock{make([]byte, 0, rowBlockSize+rowBlockSize/8), make([]listedRow, 0, len(l.rows)+len(l.rows)/8)}
	}
}

// addKey lists a row without a value: bytes are those of the list with its key.
func (l *rowList) addKey(bytes []byte) { l.add(bytes, len(bytes)) }

// take calls f for each row, and empties the list.
func (l *rowList) take(f func(group int, key, val []byte)) {
	for _, b := range append(l.full, l.rowBlock) {
		at := uint32(0)
		for _, r := range b.rows {
			k := b.bytes[at:r.key]
			f(int(k[0])<<8|int(k[1]), k[2:], b.bytes[r.key:r.val])
			at = r.val
		}
	}
	*l = rowList{}
}

// drop takes rows of chosen groups out of the list.
func (l *rowList) drop(chosen func(group int) bool) {
	rows := *l
	*l = rowList{}
	rows.take(func(group int, key, val []byte) {
		if !chosen(group) {
			b := append(append(l.bytes, byte(group>>8), byte(group)), key...)
			l.add(append(b, val...), len(b))
		}
	})
}

// delete has the rows deleted, and empties the list.
func (l *rowList) delete(w graph.DeltaWriter) {
	l.take(func(group int, key, _ []byte) { w.Delete(group, key) })
}
