package upgrade

import (
	"fmt"
	"slices"

	"github.com/millrace/millrace/coder"
)

// migration makes the rows of a new version of a transform from those of the old one.
type migration struct {
	old, new *Layout
	parts    []partStep // of the new rows of keys, in order
	panes    bool       // windows that fired once become panes
	shared   map[string]*coder.Conversion
	parked   *coder.Conversion
	noParked error // what is wrong if anything is parked
	other    *coder.Conversion
}

// partStep says where a part of a new row comes from.
type partStep struct {
	from int // index of the old part; -1: it is empty
	conv *coder.Conversion
}

// dropAll is the migration of state that is not taken.
var dropAll = &migration{}

// row migrates one row.
func (m *migration) row(group int, key, val []byte, put func(group int, key, val []byte)) error {
	if m == dropAll {
		return nil
	}
	e, err := m.old.Split(key, val)
	if err != nil {
		return err
	}
	keep, err := m.entry(&e)
	if err != nil {
		return fmt.Errorf("row %q of %s: %w", key, m.new.node.Name, err)
	}
	if !keep {
		return nil
	}
	if key, val, err = m.new.Join(e); err != nil {
		return err
	}
	put(group, key, val)
	return nil
}

// entry makes an old entry a new one; false: there is nothing left of it.
func (m *migration) entry(e *Entry) (keep bool, err error) {
	switch e.Kind {
	case SharedRow:
		name := e.Parts[0].Name
		conv := m.shared[name]
		if conv == nil {
			return false, nil
		}
		for _, s := range m.new.shared {
			if s.part.Name == name {
				e.Parts[0], err = converted(e.Parts[0], s, conv)
			}
		}
		return true, err
	case ParkedRow:
		if m.parked == nil {
			return false, m.noParked
		}
		e.Parts[0], err = converted(e.Parts[0], m.new.parked, m.parked)
		return true, err
	case LaneRow:
		if m.panes { // "fired": nothing that panes know
			return false, nil
		}
		if e.Parts[0].Kind != opaqueKind {
			e.Parts[0], err = converted(e.Parts[0], m.new.other, m.other)
		}
		return true, err
	}
	if e.Kind == PartRow {
		return m.partRow(e)
	}
	parts := make([]Part, 0, len(m.parts))
	var apart []string
	for i, step := range m.parts {
		s := m.new.parts[i]
		if m.panes {
			contents, _, err := step.conv.Append(nil, e.Parts[0].Bytes)
			if err != nil {
				return false, err
			}
			parts = append(parts, Part{s.part.Name, s.part.Kind, s.typ, s.freshCell(nil, e.Window.Last(), contents)})
			continue
		}
		var p Part
		switch name := s.part.Name; {
		case step.from < 0:
			zero, err := s.typ.AppendZero(nil)
			if err != nil {
				return false, err
			}
			p = Part{name, s.part.Kind, s.typ, zero}
		case slices.Contains(e.Apart, name):
			apart = append(apart, name)
			continue
		default:
			was := m.old.parts[step.from]
			old, ok := e.Cell(was.part.Name)
			if !ok {
				return false, fmt.Errorf("%s %s lies behind a part whose coder is not registered", was.part.Kind, was.part.Name)
			}
			if p, err = m.cell(*old, was, s, step.conv); err != nil {
				return false, err
			}
		}
		parts = append(parts, p)
	}
	e.Parts, e.Apart = parts, apart
	return !e.Empty(), nil
}

// partRow is entry of a part that lies apart: it still does, however short it is now.
func (m *migration) partRow(e *Entry) (keep bool, err error) {
	for i, step := range m.parts {
		if is := m.new.parts[i]; step.from >= 0 && is.part.Name == e.Parts[0].Name {
			e.Parts[0], err = m.cell(e.Parts[0], m.old.parts[step.from], is, step.conv)
			return true, err
		}
	}
	return false, nil
}

// converted is p with its bytes converted for s.
func converted(p Part, s *shape, conv *coder.Conversion) (Part, error) {
	b, _, err := conv.Append(nil, p.Bytes)
	return Part{p.Name, s.part.Kind, s.typ, b}, err
}

// cell converts a cell, and its time of expiry where it has one.
func (m *migration) cell(p Part, was, is *shape, conv *coder.Conversion) (Part, error) {
	b, expiry, err := conv.Append(nil, p.Bytes)
	if err != nil {
		return p, fmt.Errorf("%s %s: %w", p.Kind, p.Name, err)
	}
	if is.expires() {
		if lifetime(was) != lifetime(is) {
			expiry = []byte{0}
		}
		b = append(b, expiry...)
	}
	return Part{p.Name, is.part.Kind, is.typ, b}, nil
}

// Name is what an old transform is called now; false if its rows, the positions of its
// splits and its watermarks are not to be taken. One without state has watermarks only.
func (r *Result) Name(old string) (now string, ok bool) {
	for i := range r.Transforms {
		if t := &r.Transforms[i]; t.Old == old {
			return t.Name, t.Outcome == Kept || t.Outcome == Migrated
		}
	}
	now, ok = r.stateless[old]
	return now, ok
}

// Migration returns what makes new rows of the rows of an old transform; nil if they are
// taken as they are. It calls put for each row that there is to be instead, none if the
// row is dropped; put's slices are its to keep. The rows then belong to Result.Name.
func (r *Result) Migration(old string) func(group int, key, val []byte, put func(group int, key, val []byte)) error {
	for i := range r.Transforms {
		if t := &r.Transforms[i]; t.Old == old {
			if t.step == nil {
				return nil
			}
			return t.step.row
		}
	}
	return dropAll.row // a transform without state that had rows all the same
}

// Changed reports whether anything is to be done to rows before they can be read: some
// are migrated, dropped, or belong to another name.
func (r *Result) Changed() bool {
	for i := range r.Transforms {
		if t := &r.Transforms[i]; t.step != nil || t.Old != "" && t.Name != t.Old {
			return true
		}
	}
	return false
}
