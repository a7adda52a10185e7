package commit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// recordVersion is the first byte of a record. What reads a record knows this
// version and all before it.
const recordVersion = 1

// ErrNewer is what reading something fails with that a later version of Millrace
// has written.
var ErrNewer = errors.New("written by a newer version of Millrace")

// The bits of a record's and of a node's flags.
const (
	flagEnded    = 1
	flagShuffle  = 2
	flagPrepared = 4
	flagSlots    = 8

	flagSource   = 1
	flagStateful = 2
)

// AppendRecord appends r to b: docs/format/statelog.md. Equal records give equal
// bytes. A nil slice or map is an empty one.
func AppendRecord(b []byte, r *Record) []byte {
	w := recordWriter{append(b, recordVersion)}
	w.flags(r.Ended, len(r.Shuffle) > 0, r.Prepared > 0, r.Slots > 0)
	w.uint(r.Epoch)
	w.int(int64(r.Lanes))
	w.int(int64(r.Hint))
	w.uint(r.Manifest.Hash)
	w.uint(uint64(len(r.Manifest.Nodes)))
	for i := range r.Manifest.Nodes {
		w.node(&r.Manifest.Nodes[i])
	}
	w.uint(uint64(len(r.Splits)))
	roots := make([]string, 0, len(r.Splits))
	for root := range r.Splits {
		roots = append(roots, root)
	}
	slices.Sort(roots)
	for _, root := range roots {
		w.string(root)
		w.uint(uint64(len(r.Splits[root])))
		for _, s := range r.Splits[root] {
			w.string(s.ID)
			w.flags(s.Done)
			w.string(string(s.Pos))
			w.int(int64(s.Lane))
		}
	}
	w.uint(uint64(len(r.Times)))
	for _, t := range r.Times {
		w.string(t.Node)
		w.int(int64(t.Lane))
		w.int(t.In)
		w.int(t.Out)
	}
	if len(r.Shuffle) > 0 {
		w.string(string(r.Shuffle))
	}
	if r.Prepared > 0 {
		w.uint(r.Prepared)
	}
	if r.Slots > 0 {
		w.uint(uint64(r.Slots))
	}
	return w.b
}

type recordWriter struct{ b []byte }

func (w *recordWriter) uint(v uint64) { w.b = binary.AppendUvarint(w.b, v) }
func (w *recordWriter) int(v int64)   { w.b = binary.AppendVarint(w.b, v) }

func (w *recordWriter) string(s string) {
	w.uint(uint64(len(s)))
	w.b = append(w.b, s...)
}

func (w *recordWriter) strings(list []string) {
	w.uint(uint64(len(list)))
	for _, s := range list {
		w.string(s)
	}
}

// flags appends one byte: 1, 2, 4 and so on for those that are set.
func (w *recordWriter) flags(set ...bool) {
	var v byte
	for i, x := range set {
		if x {
			v |= 1 << i
		}
	}
	w.b = append(w.b, v)
}

func (w *recordWriter) node(n *Node) {
	for _, s := range [...]string{n.Name, n.Kind, n.Position, n.Windowing, n.Key} {
		w.string(s)
	}
	w.strings(n.State)
	w.strings(n.Out)
	w.flags(n.Source, n.Stateful)
}

// DecodeRecord reads what AppendRecord wrote, all of b. It keeps nothing of b. Bytes
// that AppendRecord would not write are an error, one that is [ErrNewer] when a later
// version wrote them. Memory is taken only for what b holds.
func DecodeRecord(b []byte) (*Record, error) {
	d := recordReader{b: b, size: len(b)}
	if v := d.byte(); d.err == nil && v != recordVersion {
		if v > recordVersion {
			return nil, fmt.Errorf("record of version %d: %w", v, ErrNewer)
		}
		return nil, fmt.Errorf("record of version %d: there is none", v)
	}
	r := &Record{}
	flags := d.flags(flagEnded | flagShuffle | flagPrepared | flagSlots)
	r.Ended = flags&flagEnded != 0
	r.Epoch = d.uint()
	r.Lanes = d.int()
	r.Hint = d.int()
	r.Manifest.Hash = d.uint()
	r.Manifest.Nodes = readList(&d, 8, d.node)
	r.Splits = d.splits()
	r.Times = readList(&d, 4, func() Time { return Time{d.string(), d.int(), d.int64(), d.int64()} })
	if flags&flagShuffle != 0 {
		if r.Shuffle = slices.Clone(d.bytes()); d.err == nil && len(r.Shuffle) == 0 {
			d.fail("an empty position where there should be none")
		}
	}
	if flags&flagPrepared != 0 {
		if r.Prepared = d.uint(); d.err == nil && r.Prepared == 0 {
			d.fail("an epoch 0 where there should be none")
		}
	}
	if flags&flagSlots != 0 {
		n := d.uint()
		if r.Slots = int(n); d.err == nil && (n == 0 || n > math.MaxUint16) {
			d.fail("slots that there can't be")
		}
	}
	if d.err == nil && len(d.b) > 0 {
		d.fail("bytes behind the end")
	}
	if d.err != nil {
		return nil, d.err
	}
	return r, nil
}

// recordReader reads from the front of b until something is wrong; then all that it
// reads is zero.
type recordReader struct {
	b    []byte
	size int
	err  error
}

func (d *recordReader) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("record at byte %d of %d: %s", d.size-len(d.b), d.size, what)
	}
	d.b = nil
}

func (d *recordReader) byte() byte {
	if len(d.b) == 0 {
		d.fail("it ends too soon")
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

// flags reads a byte of which only the known bits may be set.
func (d *recordReader) flags(known byte) byte {
	v := d.byte()
	if v&^known != 0 {
		d.fail("flags that are not known")
	}
	return v
}

func (d *recordReader) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || n > 1 && d.b[n-1] == 0 {
		d.fail("no number in its shortest form")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *recordReader) int64() int64 {
	u := d.uint()
	return int64(u>>1) ^ -int64(u&1)
}

func (d *recordReader) int() int {
	v := d.int64()
	if v < math.MinInt32 || v > math.MaxInt32 {
		d.fail("a lane that cannot be")
		return 0
	}
	return int(v)
}

// count reads how many pieces follow, each of at least least bytes.
func (d *recordReader) count(least int) int {
	n := d.uint()
	if n > uint64(len(d.b)/least) {
		d.fail("a length beyond the end")
		return 0
	}
	return int(n)
}

func (d *recordReader) bytes() []byte {
	n := d.count(1)
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *recordReader) string() string { return string(d.bytes()) }

// readList reads a list whose pieces take at least least bytes; nil if it is empty.
func readList[T any](d *recordReader, least int, read func() T) []T {
	n := d.count(least)
	if n == 0 {
		return nil
	}
	list := make([]T, 0, min(n, 1024))
	for range n {
		if v := read(); d.err == nil {
			list = append(list, v)
		} else {
			return nil
		}
	}
	return list
}

func (d *recordReader) node() Node {
	n := Node{Name: d.string(), Kind: d.string(), Position: d.string(), Windowing: d.string(), Key: d.string()}
	n.State = readList(d, 1, d.string)
	n.Out = readList(d, 1, d.string)
	flags := d.flags(flagSource | flagStateful)
	n.Source, n.Stateful = flags&flagSource != 0, flags&flagStateful != 0
	return n
}

func (d *recordReader) splits() map[string][]Split {
	n := d.count(2)
	if n == 0 {
		return nil
	}
	m := make(map[string][]Split, min(n, 1024))
	last := ""
	for i := range n {
		root := d.string()
		if d.err == nil && i > 0 && root <= last {
			d.fail("roots out of order")
		}
		last = root
		m[root] = readList(d, 4, d.split)
		if d.err != nil {
			return nil
		}
	}
	return m
}

func (d *recordReader) split() Split {
	s := Split{ID: d.string()}
	s.Done = d.flags(1) != 0
	if p := d.bytes(); len(p) > 0 {
		s.Pos = slices.Clone(p)
	}
	s.Lane = d.int()
	return s
}
