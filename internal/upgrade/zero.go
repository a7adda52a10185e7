package upgrade

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/graph"
	"github.com/millrace/millrace/window"
)

// Parts are the parts of the row of a key, in order, without bytes.
func (l *Layout) Parts() []Part {
	parts := make([]Part, len(l.parts))
	for i, s := range l.parts {
		parts[i] = Part{Name: s.part.Name, Kind: s.part.Kind, Type: s.typ}
	}
	return parts
}

// KeyType describes the keys; nil if rows have none.
func (l *Layout) KeyType() *coder.Description { return l.key }

// RowKey is what names the row of a key and window in the store.
func (l *Layout) RowKey(w window.Interval, key []byte) []byte {
	return append(appendWindow(nil, w), key...)
}

// PartKey is what names the row of a part that lies apart of the row of a key and window.
func (l *Layout) PartKey(name string, w window.Interval, key []byte) []byte {
	return append(appendWindow(appendBytes(bytes.Clone(partPrefix), []byte(name)), w), key...)
}

// Zero is the row of a key for which nothing has been kept yet: all parts are null,
// empty or zero. It fails where a part has no zero value that this process knows.
func (l *Layout) Zero(w window.Interval, key []byte) (Entry, error) {
	e := Entry{Window: &w, Key: bytes.Clone(key), KeyType: l.key, Parts: l.Parts()}
	for i := range e.Parts {
		p := &e.Parts[i]
		b, err := p.Type.AppendZero(nil)
		if err != nil {
			return Entry{}, fmt.Errorf("a new row of %s: %s %s: %w", l.node.Name, p.Kind, p.Name, err)
		}
		p.Bytes = b
	}
	return e, nil
}

// Content is the type of what a part holds, without the time of expiry that may
// follow it.
func (p Part) Content() (typ *coder.Description, expires bool) {
	inner, ok := strings.CutPrefix(p.Type.ID(), tupleURN+"{value ")
	if !ok {
		return p.Type, false
	}
	if inner, ok = strings.CutSuffix(inner, ", expires "+maybeID+"}"); !ok {
		return p.Type, false
	}
	return mustDescribe(inner), true
}

// Cell is the part of a name; ok is false if the row does not have it: it lies apart, or
// there is none, or one whose end is not known stands before it.
func (e *Entry) Cell(name string) (p *Part, ok bool) {
	for i := range e.Parts {
		if e.Parts[i].Name == name && e.Parts[i].Kind != opaqueKind {
			return &e.Parts[i], true
		}
	}
	return nil, false
}

// GoType is the ID of the coder of the Go type by which people read and write a part:
// that of a value that may be missing is the value's own (optional), an ordered list is
// a slice of pairs of time and value. Parts that are no cells have none.
func (p Part) GoType() (id string, optional, ok bool) {
	typ, _ := p.Content()
	switch p.Kind {
	case graph.PartValue, graph.PartCombining:
		inner := strings.TrimSuffix(strings.TrimPrefix(typ.ID(), nullableURN+"<"), ">")
		return inner, true, true
	case graph.PartBag, graph.PartSet, graph.PartMap, graph.PartGrouped, graph.PartCombined, graph.PartSliced:
		return typ.ID(), false, true
	case graph.PartOrderedList:
		elem := strings.TrimSuffix(strings.TrimPrefix(typ.ID(), listURN+"<"+tupleURN+"{time "+instantID+", value "), "}>")
		return listOf("beam:coder:kv:v1<" + varintID + "," + elem + ">"), false, true
	}
	return "", false, false
}
