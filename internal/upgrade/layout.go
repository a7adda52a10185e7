package upgrade

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/commit"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// Layout knows the rows of one transform.
type Layout struct {
	node   commit.Node
	key    *coder.Description // nil: rows have no keys
	parts  []*shape           // of a row of a key, in order
	shared []*shape           // broadcast state: rows of their own
	parked *shape             // nil: no key can be parked
	other  *shape             // all rows of a transform without keys
}

// LayoutOf reads the declarations of a transform. A transform without declarations has a
// layout, too: its rows are shown as bytes.
func LayoutOf(n commit.Node) (*Layout, error) {
	l := &Layout{node: n}
	var err error
	if n.Key != "" {
		if l.key, err = coder.Describe(n.Key); err != nil {
			return nil, fmt.Errorf("%s: its key: %w", n.Name, err)
		}
	}
	var timers []*shape
	for _, decl := range n.State {
		s, err := shapeOf(decl)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n.Name, err)
		}
		switch s.part.Kind {
		case graph.PartEventTimer, graph.PartClockTimer, graph.PartEventTimers, graph.PartClockTimers:
			timers = append(timers, s)
		case graph.PartBroadcast:
			l.shared = append(l.shared, s)
		case graph.PartParked:
			l.parked = s
		case graph.PartView, graph.PartHeld, graph.PartWaiting, graph.PartPanes, graph.PartWriter, graph.PartClock:
			l.other = s
		default:
			l.parts = append(l.parts, s)
		}
	}
	l.parts = append(l.parts, timers...) // wherever they were declared
	return l, nil
}

// RowKind is what a row is about.
type RowKind uint8

const (
	KeyRow    RowKind = iota // the state of a key
	ParkedRow                // the elements of a key that wait behind one that failed
	SharedRow                // broadcast state
	LaneRow                  // elements or other things that belong to no key
	PartRow                  // a part of the state of a key that lies apart of it
)

// Entry is a row taken apart. The bytes of keys and parts are new.
type Entry struct {
	Kind    RowKind
	Name    []byte           // the row's own key in the store, of a row of no key
	Window  *window.Interval // nil: none, or several, see Parts
	Key     []byte           // the bytes of the key
	KeyType *coder.Description
	Parts   []Part
	Apart   []string // names of parts that are not in Parts, of which there are rows of their own
}

// Part is a part of a row: a cell, a timer, an accumulator. Bytes are those of a value
// that Type describes, not those in the row: the value of a cell is a nullable, a bag is
// an iterable, an ordered list one of tuples of time and value.
type Part struct {
	Name, Kind string // as declared
	Type       *coder.Description
	Bytes      []byte
}

// The rows of a Stateful that are not of a key, by their first bytes; no window begins
// like these.
var (
	outputRow    = []byte("output")
	firedRow     = []byte("fired")
	sidesRow     = []byte("sides")
	sharedPrefix = []byte("shared/")
	parkedPrefix = []byte("parked")
	partPrefix   = []byte("part")
)

var (
	errRest = errors.New("there is more in the row than was declared")
	errMark = errors.New("the row names parts that lie apart which it does not have")
)

// Split takes a row apart. What no declaration tells is one part of the name and kind
// "bytes".
func (l *Layout) Split(key, val []byte) (Entry, error) {
	e, err := l.split(key, val)
	if err != nil {
		return Entry{}, fmt.Errorf("row %q of %s: %w", key, l.node.Name, err)
	}
	return e, nil
}

func (l *Layout) split(key, val []byte) (e Entry, err error) {
	one, rest, err := l.find(key, &e)
	if err != nil {
		return e, err
	}
	switch e.Kind {
	case SharedRow:
		err = e.take(one, val)
	case ParkedRow:
		e.Key = bytes.Clone(rest)
		err = e.take(l.parked, val)
	case LaneRow:
		if e.Name = bytes.Clone(key); l.other != nil && l.other.take != nil && !bytes.Equal(key, sidesRow) {
			err = e.take(l.other, val)
			break
		}
		e.Parts = []Part{opaquePart(val)}
	case PartRow:
		e.Key = bytes.Clone(rest)
		err = e.take(one, val)
	case KeyRow:
		e.Key = bytes.Clone(rest)
		err = l.splitParts(&e, val)
	}
	if err == nil && (e.Kind == KeyRow || e.Kind == ParkedRow || e.Kind == PartRow) {
		rest, bad := l.key.Skip(e.Key)
		if bad == nil && len(rest) > 0 {
			bad = errRest
		}
		if bad != nil {
			err = fmt.Errorf("the key: %w", bad)
		}
	}
	return e, err
}

// find says what kind of row a key names, and what follows the window in it. one is the
// part that a row is of that has but one.
func (l *Layout) find(key []byte, e *Entry) (one *shape, rest []byte, err error) {
	if name, ok := bytes.CutPrefix(key, sharedPrefix); ok {
		for _, s := range l.shared {
			if s.part.Name == string(name) {
				e.Kind, e.Name = SharedRow, bytes.Clone(key)
				return s, nil, nil
			}
		}
	}
	if rest, ok := bytes.CutPrefix(key, parkedPrefix); ok && l.parked != nil {
		e.Kind, e.KeyType = ParkedRow, l.key
		return nil, rest, nil
	}
	if rest, ok := bytes.CutPrefix(key, partPrefix); ok && l.hasCells() {
		return l.findPart(rest, e)
	}
	if l.key == nil || bytes.Equal(key, outputRow) || bytes.Equal(key, firedRow) {
		e.Kind = LaneRow
		if l.other != nil && l.other.part.Kind == graph.PartPanes {
			w, _, err := takeWindow(key)
			e.Window = &w
			return nil, nil, err
		}
		return nil, nil, nil
	}
	w, rest, err := takeWindow(key)
	if err != nil {
		return nil, nil, err
	}
	e.KeyType = l.key
	if len(l.parts) != 1 || l.parts[0].part.Kind != graph.PartMerging {
		e.Window = &w
	}
	return nil, rest, nil
}

// findPart is find of what follows the first word in the key of a part that lies apart.
func (l *Layout) findPart(key []byte, e *Entry) (one *shape, rest []byte, err error) {
	name, key, err := takeBytes(key)
	if err != nil {
		return nil, nil, err
	}
	i := l.cell(string(name))
	if i < 0 {
		return nil, nil, fmt.Errorf("it is of a state %q, which is not declared", name)
	}
	w, rest, err := takeWindow(key)
	e.Kind, e.KeyType, e.Window = PartRow, l.key, &w
	return l.parts[i], rest, err
}

// hasCells reports that rows of keys have cells, as those of a Stateful: such may lie apart.
func (l *Layout) hasCells() bool { return l.key != nil && len(l.parts) > 0 && l.parts[0].isCell() }

// cell is the number of the cell of a name among the parts, or -1.
func (l *Layout) cell(name string) int {
	return slices.IndexFunc(l.parts, func(s *shape) bool { return s.part.Name == name && s.isCell() })
}

func (s *shape) isCell() bool { return isCell(s.part.Kind) }

func isCell(kind string) bool {
	switch kind {
	case graph.PartValue, graph.PartCombining, graph.PartBag, graph.PartSet, graph.PartMap, graph.PartOrderedList:
		return true
	}
	return false
}

// take makes s the one part of e.
func (e *Entry) take(s *shape, val []byte) error {
	b, rest, err := s.take(nil, val)
	if err == nil && len(rest) > 0 {
		err = errRest
	}
	e.Parts = []Part{{s.part.Name, s.part.Kind, s.typ, b}}
	return err
}

// splitParts takes the row of a key apart. Behind a part that does not tell where it
// ends, all is one opaque part.
func (l *Layout) splitParts(e *Entry, val []byte) (err error) {
	if val, err = l.takeMark(e, val); err != nil {
		return err
	}
	for i, s := range l.parts {
		if slices.Contains(e.Apart, s.part.Name) {
			continue
		}
		if !s.typ.Ends() && i+1 < len(l.parts) {
			e.Parts = append(e.Parts, opaquePart(val))
			return nil
		}
		var b []byte
		if b, val, err = s.take(nil, val); err != nil {
			return fmt.Errorf("%s %s: %w", s.part.Kind, s.part.Name, err)
		}
		e.Parts = append(e.Parts, Part{s.part.Name, s.part.Kind, s.typ, b})
	}
	if len(val) > 0 {
		return errRest
	}
	return nil
}

// headMark begins what stands before the parts of a row of which some lie apart: a zero
// of two bytes, which no such row begins with otherwise.
var headMark = []byte{0x80, 0x00}

// takeMark reads which parts of the row of a key lie apart, if any do.
func (l *Layout) takeMark(e *Entry, val []byte) (rest []byte, err error) {
	rest, ok := bytes.CutPrefix(val, headMark)
	if !ok || !l.hasCells() {
		return val, nil
	}
	n, rest, err := takeCount(rest)
	last := -1
	for ; n > 0 && err == nil; n-- {
		var i int
		if i, rest, err = takeCount(rest); err != nil {
			break
		}
		if i <= last || i >= len(l.parts) || !l.parts[i].isCell() {
			return nil, errMark
		}
		e.Apart, last = append(e.Apart, l.parts[i].part.Name), i
	}
	if err == nil && last < 0 {
		err = errMark
	}
	return rest, err
}

// appendMark is the inverse.
func (l *Layout) appendMark(dst []byte, apart []string) ([]byte, error) {
	if len(apart) == 0 {
		return dst, nil
	}
	var cells []int
	for _, name := range apart {
		i := l.cell(name)
		if i < 0 {
			return nil, fmt.Errorf("%w: %q", errMark, name)
		}
		cells = append(cells, i)
	}
	slices.Sort(cells)
	dst = binary.AppendUvarint(append(dst, headMark...), uint64(len(cells)))
	for _, i := range cells {
		dst = binary.AppendUvarint(dst, uint64(i))
	}
	return dst, nil
}

// opaqueKind is the kind of parts that are shown as bytes.
const opaqueKind = "bytes"

func opaquePart(val []byte) Part {
	return Part{opaqueKind, opaqueKind, opaqueType, bytes.Clone(val)}
}

// Join puts a row together again: the inverse of Split, also of parts that were changed.
func (l *Layout) Join(e Entry) (key, val []byte, err error) {
	key, shapes := l.keyOf(e)
	if val, err = l.appendMark(nil, e.Apart); err != nil {
		return nil, nil, fmt.Errorf("join a row of %s: %w", l.node.Name, err)
	}
	i := 0
	for _, p := range e.Parts {
		if p.Kind == opaqueKind {
			val = append(val, p.Bytes...)
			continue
		}
		if i == len(shapes) || shapes[i].part.Name != p.Name || shapes[i].part.Kind != p.Kind {
			return nil, nil, fmt.Errorf("join a row of %s: %s %q is not its part %d", l.node.Name, p.Kind, p.Name, i+1)
		}
		var rest []byte
		if val, rest, err = shapes[i].put(val, p.Bytes); err == nil && len(rest) > 0 {
			err = errRest
		}
		if err != nil {
			return nil, nil, fmt.Errorf("join a row of %s: %s %s: %w", l.node.Name, p.Kind, p.Name, err)
		}
		i++
	}
	return key, val, nil
}

// keyOf is the key of a row in the store, and its parts.
func (l *Layout) keyOf(e Entry) (key []byte, shapes []*shape) {
	switch e.Kind {
	case SharedRow:
		for _, s := range l.shared {
			if string(e.Name) == string(sharedPrefix)+s.part.Name {
				shapes = []*shape{s}
			}
		}
		return e.Name, shapes
	case ParkedRow:
		return append(bytes.Clone(parkedPrefix), e.Key...), []*shape{l.parked}
	case LaneRow:
		if l.other != nil && l.other.put != nil {
			shapes = []*shape{l.other}
		}
		return e.Name, shapes
	}
	var w window.Interval
	if e.Window != nil {
		w = *e.Window
	}
	if e.Kind == PartRow {
		if len(e.Parts) == 1 {
			if i := l.cell(e.Parts[0].Name); i >= 0 {
				shapes = l.parts[i : i+1]
			}
			key = l.PartKey(e.Parts[0].Name, w, e.Key)
		}
		return key, shapes
	}
	for _, s := range l.parts {
		if !slices.Contains(e.Apart, s.part.Name) {
			shapes = append(shapes, s)
		}
	}
	return l.RowKey(w, e.Key), shapes
}

// Gather puts a part that lay apart into its row e. It fails behind a part whose end is
// not known.
func (l *Layout) Gather(e *Entry, p Part) error {
	at := 0
	for _, s := range l.parts {
		if s.part.Name == p.Name && s.isCell() {
			break
		}
		if !slices.Contains(e.Apart, s.part.Name) {
			at++
		}
	}
	if at > len(e.Parts) || slices.ContainsFunc(e.Parts[:at], func(p Part) bool { return p.Kind == opaqueKind }) {
		return fmt.Errorf("%s %q of %s lies behind a part whose coder this program has not registered", p.Kind, p.Name, l.node.Name)
	}
	e.Parts = slices.Insert(e.Parts, at, p)
	e.Apart = slices.DeleteFunc(e.Apart, func(name string) bool { return name == p.Name })
	return nil
}

// Empty reports that a row of a key has nothing in it: it need not be.
func (e Entry) Empty() bool {
	for _, p := range e.Parts {
		switch p.Kind {
		case graph.PartValue, graph.PartCombining, graph.PartBag, graph.PartSet, graph.PartMap, graph.PartOrderedList,
			graph.PartEventTimer, graph.PartClockTimer, graph.PartEventTimers, graph.PartClockTimers:
		default:
			return false
		}
		if len(bytes.Trim(p.Bytes, "\x00")) > 0 { // null and an empty list are zeros, and all else is not
			return false
		}
	}
	return e.Kind == KeyRow && len(e.Apart) == 0
}

// AppendJSON appends the entry as an object:
//
//	{"key": …, "window": {"start": …, "end": …}, "state": {"seen": 5, "last": null}}
//
// The global window is left out. A row of no key has "row" instead of "key" (its name); elements that are parked have
// "parked" instead of "state". A part that lies apart is an object of its own. Parts are in the form of [coder.Description.AppendJSON].
func (e Entry) AppendJSON(dst []byte) (_ []byte, err error) {
	if e.Kind == KeyRow || e.Kind == ParkedRow || e.Kind == PartRow {
		dst = append(dst, `{"key":`...)
		if dst, _, err = e.KeyType.AppendJSON(dst, e.Key); err != nil {
			return nil, err
		}
	} else {
		dst = append(dst, `{"row":`...)
		if dst, err = jsonString(dst, e.Name); err != nil {
			return nil, err
		}
	}
	if e.Window != nil && *e.Window != window.Global {
		dst = append(dst, `,"window":`...)
		b := coder.IntervalWindows().Append(nil, coder.IntervalWindow{Start: e.Window.Start, End: e.Window.End})
		if dst, _, err = intervalType.AppendJSON(dst, b); err != nil {
			return nil, err
		}
	}
	if e.Kind == ParkedRow {
		dst = append(dst, `,"parked":`...)
		dst, _, err = e.Parts[0].Type.AppendJSON(dst, e.Parts[0].Bytes)
		return append(dst, '}'), err
	}
	dst = append(dst, `,"state":{`...)
	for i, p := range e.Parts {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = jsonString(dst, []byte(p.Name)); err != nil {
			return nil, err
		}
		if dst, _, err = p.Type.AppendJSON(append(dst, ':'), p.Bytes); err != nil {
			return nil, fmt.Errorf("%s %s: %w", p.Kind, p.Name, err)
		}
	}
	return append(dst, "}}"...), nil
}

var stringType, intervalType, opaqueType = mustDescribe(stringID), mustDescribe(intervalID), mustDescribe("millrace:row:bytes")

func mustDescribe(id string) *coder.Description {
	d, err := coder.Describe(id)
	if err != nil {
		panic("BUG: upgrade: " + err.Error())
	}
	return d
}

func jsonString(dst, s []byte) ([]byte, error) {
	dst, _, err := stringType.AppendJSON(dst, appendBytes(nil, s))
	return dst, err
}
