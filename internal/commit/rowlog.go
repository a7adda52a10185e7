package commit

import (
	"encoding/binary"
	"errors"
)

// RowLog collects the changed rows of one lane as bytes, for a changelog: [Replay] makes
// them again. It is a LaneWriter. As bytes, one after the other:
//
//	node:   | 0 | length uvarint | name |                        of all rows behind it
//	row:    | kind | group + 2 uvarint | length uvarint | key | length uvarint | value |
//	kind:   1 put, 2 append, 3 delete (without a value)
type RowLog struct {
	b    []byte
	node string
	any  bool // a node is named in b
}

// NewRowLog goes on behind b, whose memory it takes.
func NewRowLog(b []byte) *RowLog { return &RowLog{b: b} }

// Bytes is what was collected, behind what NewRowLog was given.
func (l *RowLog) Bytes() []byte { return l.b }

func (l *RowLog) Node(name string) {
	if l.any && name == l.node {
		return
	}
	l.node, l.any = name, true
	l.b = append(l.b, logNode)
	l.text([]byte(name))
}

func (l *RowLog) Put(group int, key, val []byte) {
	l.row(logPut, group, key)
	l.text(val)
}

func (l *RowLog) Append(group int, key, val []byte) {
	l.row(logAppend, group, key)
	l.text(val)
}

func (l *RowLog) Delete(group int, key []byte) { l.row(logDelete, group, key) }

const (
	logNode   = 0
	logPut    = 1
	logAppend = 2
	logDelete = 3
)

func (l *RowLog) row(kind byte, group int, key []byte) {
	l.b = binary.AppendUvarint(append(l.b, kind), uint64(group-EveryLane))
	l.text(key)
}

func (l *RowLog) text(b []byte) {
	l.b = append(binary.AppendUvarint(l.b, uint64(len(b))), b...)
}

var errRowLog = errors.New("changed rows are damaged")

// Replay does with w what was done with the RowLog that made b. The slices are those of b.
func Replay(b []byte, w LaneWriter) error {
	r := logReader{b}
	for named := false; len(r.b) > 0; {
		kind := r.b[0]
		r.b = r.b[1:]
		if kind == logNode {
			name, ok := r.text()
			if !ok {
				return errRowLog
			}
			w.Node(string(name))
			named = true
			continue
		}
		group, n := binary.Uvarint(r.b)
		if n <= 0 || !named || group > 1<<16 {
			return errRowLog
		}
		r.b = r.b[n:]
		key, ok := r.text()
		var val []byte
		if kind != logDelete && ok {
			val, ok = r.text()
		}
		if !ok {
			return errRowLog
		}
		switch g := int(group) + EveryLane; kind {
		case logPut:
			w.Put(g, key, val)
		case logAppend:
			w.Append(g, key, val)
		case logDelete:
			w.Delete(g, key)
		default:
			return errRowLog
		}
	}
	return nil
}

type logReader struct{ b []byte }

func (r *logReader) text() (text []byte, ok bool) {
	size, n := binary.Uvarint(r.b)
	if n <= 0 || size > uint64(len(r.b)-n) {
		return nil, false
	}
	text = r.b[n : n+int(size) : n+int(size)]
	r.b = r.b[n+int(size):]
	return text, true
}
