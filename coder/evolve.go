package coder

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Conversion makes, of the bytes of one coder, those of another one: of a type before
// and after it was changed. It is immutable.
type Conversion struct {
	from    *Description
	to      *Description
	changes []Change
	step    step
}

// Change is one difference between two types.
type Change struct {
	Path     string // of fields: "Items[].Price"; "" for the type itself
	From, To string // types; an empty From is a field that was added, an empty To one that was removed
}

// String says it in words: "field A.B: int32 becomes int64".
func (c Change) String() string {
	switch {
	case c.From == "":
		return fmt.Sprintf("field %s %s added", c.Path, c.To)
	case c.To == "":
		return fmt.Sprintf("field %s %s removed", c.Path, c.From)
	case c.From == c.To:
		return at(c.Path) + "fields in another order"
	}
	return at(c.Path) + c.From + " becomes " + c.To
}

// Incompatible is the error about a type that cannot become another one.
type Incompatible struct {
	Path     string // of fields: "Items[].Price"; "" for the type itself
	From, To string // types
	Why      string // more, if there is more to say
}

// Error says it in words: "field Items[].Price: string cannot become int64".
func (e *Incompatible) Error() string {
	s := at(e.Path) + e.From + " cannot become " + e.To
	if e.Why != "" {
		s += ": " + e.Why
	}
	return s
}

func at(path string) string {
	if path == "" {
		return ""
	}
	return "field " + path + ": "
}

// Convert finds out how values of one type become values of another one. Fields are
// matched by name, at any depth:
//
//	added           has its zero value, null if it is a pointer
//	removed         is dropped, except in the keys of maps
//	in other order  is put in order
//	a number        may become a wider one that holds all its values
//	T               may become *T
//
// All else is an [*Incompatible] error. A renamed field is one that was removed and one
// that was added, so its values are lost: give the new one the tag `beam:"old name"`.
func Convert(from, to *Description) (*Conversion, error) {
	c := &converter{}
	s, err := c.convert(from, to, "")
	if err != nil {
		return nil, err
	}
	return &Conversion{from, to, c.changes, s}, nil
}

// Same reports that the bytes stay as they are.
func (c *Conversion) Same() bool { return c.step == nil }

// Changes are the differences, in the order of the old type, what was added last.
func (c *Conversion) Changes() []Change { return c.changes }

// Append converts one value at the front of src, appends it to dst and returns dst with
// what follows the value.
func (c *Conversion) Append(dst, src []byte) (_, rest []byte, err error) {
	dst, rest, err = c.step.run(newWalk(), c.from, dst, src)
	if err != nil {
		return nil, nil, fmt.Errorf("convert %v: %w", c.from, err)
	}
	return dst, rest, nil
}

// step converts one value; nil copies it.
type step func(w *walk, dst, b []byte) (_, rest []byte, err error)

func (s step) run(w *walk, from *Description, dst, b []byte) ([]byte, []byte, error) {
	if s != nil {
		return s(w, dst, b)
	}
	rest, err := from.skip(w, b)
	if err != nil {
		return nil, nil, err
	}
	return append(dst, b[:len(b)-len(rest)]...), rest, nil
}

type converter struct{ changes []Change }

func inside(path, field string) string {
	if path == "" || field[0] == '[' {
		return path + field
	}
	return path + "." + field
}

func (c *converter) convert(from, to *Description, path string) (step, error) {
	refuse := func(why string) error {
		return &Incompatible{Path: path, From: from.String(), To: to.String(), Why: why}
	}
	if from.form != to.form {
		switch {
		case to.form == formNullable:
			c.changed(path, from, to)
			was := len(c.changes)
			inner, err := c.convert(from, to.args[0], path)
			if err != nil {
				return nil, pointed(err, path, from, to)
			}
			c.changes = c.changes[:was]
			return func(w *walk, dst, b []byte) ([]byte, []byte, error) { return inner.run(w, from, append(dst, 1), b) }, nil
		case from.form == formNullable:
			return nil, refuse("it may be null")
		case wider(from.form, to.form):
			c.changed(path, from, to)
			return func(_ *walk, dst, b []byte) ([]byte, []byte, error) {
				u, rest, err := from.readNumber(b)
				return to.appendNumber(dst, u), rest, err
			}, nil
		case from.form == formFloat && to.form == formDouble:
			c.changed(path, from, to)
			return func(_ *walk, dst, b []byte) ([]byte, []byte, error) {
				u, rest, err := readUint32(b)
				return appendDouble(dst, float64(math.Float32frombits(u))), rest, err
			}, nil
		}
		return nil, refuse("")
	}
	switch from.form {
	case formFixed:
		if from.n != to.n {
			return nil, refuse("")
		}
		return nil, nil
	case formOpaque:
		if from.id != to.id {
			return nil, refuse("only the program knows their bytes")
		}
		return nil, nil
	case formNullable:
		inner, err := c.convert(from.args[0], to.args[0], path)
		if err != nil || inner == nil {
			return nil, err
		}
		return func(w *walk, dst, b []byte) ([]byte, []byte, error) {
			set, b, err := readBool(b)
			if err != nil || !set {
				return append(dst, 0), b, err
			}
			return inner(w, append(dst, 1), b)
		}, nil
	case formIterable, formArray:
		if from.n != to.n {
			return nil, refuse("")
		}
		return c.elements(from, to, path)
	case formMap:
		return c.entries(from, to, path)
	case formKV:
		return c.pair(from, to, path)
	case formEither:
		return c.either(from, to, path)
	case formSharded:
		key, err := c.convert(from.args[0], to.args[0], inside(path, "Key"))
		if err != nil || key == nil {
			return nil, err
		}
		return func(w *walk, dst, b []byte) ([]byte, []byte, error) {
			shard, b, err := readBlock(b)
			if err != nil {
				return nil, nil, err
			}
			return key(w, appendBlock(dst, shard), b)
		}, nil
	case formBlock:
		return c.block(from, to, path)
	case formRow:
		return c.row(from, to, path)
	case formTuple:
		return c.tuple(from, to, path)
	}
	return nil, nil
}

func (c *converter) changed(path string, from, to fmt.Stringer) {
	c.changes = append(c.changes, Change{path, from.String(), to.String()})
}

// wider reports that every number of one form is one of the other.
func wider(from, to form) bool {
	a, b := widths[from], widths[to]
	return a.bits != 0 && a.bits < b.bits && (a.signed == b.signed || b.signed)
}

var widths = map[form]struct {
	bits   int
	signed bool
}{
	formInt8: {8, true}, formInt16: {16, true}, formInt32: {32, true}, formInt64: {64, true},
	formUint8: {8, false}, formUint16: {16, false}, formUint32: {32, false}, formUint64: {64, false},
}

func (c *converter) elements(from, to *Description, path string) (step, error) {
	elem, err := c.convert(from.args[0], to.args[0], inside(path, "[]"))
	if err != nil || elem == nil {
		return nil, err
	}
	return func(w *walk, dst, b []byte) ([]byte, []byte, error) {
		head, n := len(dst), 0
		dst = append(dst, 0, 0, 0, 0)
		b, err := from.elements(w, b, func(b []byte) (rest []byte, err error) {
			n++
			dst, rest, err = elem(w, dst, b)
			return rest, err
		})
		if err != nil {
			return nil, nil, err
		}
		binary.BigEndian.PutUint32(dst[head:], uint32(n))
		return dst, b, nil
	}, nil
}

func (c *converter) entries(from, to *Description, path string) (step, error) {
	was := len(c.changes)
	key, err := c.convert(from.args[0], to.args[0], inside(path, "[key]"))
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(c.changes[was:], func(c Change) bool { return c.To == "" }) {
		return nil, &Incompatible{Path: inside(path, "[key]"), From: from.args[0].String(), To: to.args[0].String(), Why: "keys that differ in a field which was removed would become one"}
	}
	val, err := c.convert(from.args[1], to.args[1], inside(path, "[value]"))
	if err != nil || key == nil && val == nil {
		return nil, err
	}
	return func(w *walk, dst, b []byte) ([]byte, []byte, error) {
		var entries [][2][]byte
		b, err := from.entries(w, b, func(k, v []byte) (err error) {
			var e [2][]byte
			if e[0], _, err = key.run(w, from.args[0], nil, k); err != nil {
				return err
			}
			if e[1], _, err = val.run(w, from.args[1], nil, v); err != nil {
				return err
			}
			entries = append(entries, e)
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
		if key != nil {
			slices.SortFunc(entries, func(x, y [2][]byte) int { return bytes.Compare(x[0], y[0]) })
		}
		dst = appendCount(dst, len(entries))
		for _, e := range entries {
			dst = append(append(dst, e[0]...), e[1]...)
		}
		return dst, b, nil
	}, nil
}

func (c *converter) pair(from, to *Description, path string) (step, error) {
	key, err := c.convert(from.args[0], to.args[0], inside(path, "Key"))
	if err != nil {
		return nil, err
	}
	val, err := c.convert(from.args[1], to.args[1], inside(path, "Value"))
	if err != nil || key == nil && val == nil {
		return nil, err
	}
	return func(w *walk, dst, b []byte) ([]byte, []byte, error) {
		dst, b, err := key.run(w, from.args[0], dst, b)
		if err != nil {
			return nil, nil, err
		}
		return val.run(w, from.args[1], dst, b)
	}, nil
}

func (c *converter) either(from, to *Description, path string) (step, error) {
	var steps [2]step
	for i := range steps {
		var err error
		if steps[i], err = c.convert(from.args[i], to.args[i], inside(path, "["+sides[i]+"]")); err != nil {
			return nil, err
		}
	}
	if steps[0] == nil && steps[1] == nil {
		return nil, nil
	}
	return func(w *walk, dst, b []byte) ([]byte, []byte, error) {
		right, b, err := readBool(b)
		if err != nil {
			return nil, nil, err
		}
		i := side(right)
		return steps[i].run(w, from.args[i], append(dst, byte(i)), b)
	}, nil
}

func (c *converter) block(from, to *Description, path string) (step, error) {
	inner, err := c.convert(from.args[0], to.args[0], path)
	if err != nil || inner == nil {
		return nil, err
	}
	return func(w *walk, dst, b []byte) ([]byte, []byte, error) {
		part, b, err := from.readPart(w, b)
		if err != nil {
			return nil, nil, err
		}
		v, _, err := inner(w, nil, part)
		return appendBlock(dst, v), b, err
	}, nil
}

// tuple converts the fields of a tuple, which stay what they are; only their types change.
// Their names are ours and enter no path.
func (c *converter) tuple(from, to *Description, path string) (step, error) {
	if !slices.EqualFunc(from.fields, to.fields, func(x, y describedField) bool { return x.name == y.name }) {
		return nil, &Incompatible{Path: path, From: from.String(), To: to.String()}
	}
	steps := make([]step, len(from.fields))
	same := true
	for i, f := range from.fields {
		var err error
		if steps[i], err = c.convert(f.d, to.fields[i].d, path); err != nil {
			return nil, err
		}
		same = same && steps[i] == nil
	}
	if same {
		return nil, nil
	}
	return func(w *walk, dst, b []byte) (_, rest []byte, err error) {
		for i, s := range steps {
			if dst, b, err = s.run(w, from.fields[i].d, dst, b); err != nil {
				return nil, nil, err
			}
		}
		return dst, b, nil
	}, nil
}

// rowStep is where a field of the new row comes from.
type rowStep struct {
	from int // index in the old row; -1: it was added
	step step
	zero []byte // for a row that does not have it; nil: null
}

func (c *converter) row(from, to *Description, path string) (step, error) {
	index := make(map[string]int, len(from.fields))
	for i, f := range from.fields {
		index[f.name] = i
	}
	same := len(from.fields) == len(to.fields)
	kept := make(map[string]bool, len(to.fields))
	last, ordered := -1, true
	steps := make([]rowStep, len(to.fields))
	var added []Change
	for i, f := range to.fields {
		s := &steps[i]
		var err error
		if !f.nullable {
			if s.zero, err = f.d.AppendZero([]byte{}); err != nil { // wanted for what was added only, and for rows older than from
				s.zero = nil
			}
		}
		was, ok := index[f.name]
		if !ok {
			if err != nil {
				return nil, fmt.Errorf("%sit was added: %w", at(inside(path, f.name)), err)
			}
			s.from, same = -1, false
			added = append(added, Change{Path: inside(path, f.name), To: f.String()})
			continue
		}
		kept[f.name] = true
		ordered = ordered && was > last
		last = was
		s.from = was
		if s.step, err = c.field(from.fields[was], f, inside(path, f.name)); err != nil {
			return nil, err
		}
		same = same && was == i && s.step == nil && from.fields[was].nullable == f.nullable
	}
	for _, f := range from.fields {
		if !kept[f.name] {
			c.changes = append(c.changes, Change{Path: inside(path, f.name), From: f.String()})
		}
	}
	c.changes = append(c.changes, added...)
	if !ordered {
		c.changed(path, from, from)
	}
	if same {
		return nil, nil
	}
	return func(w *walk, dst, b []byte) ([]byte, []byte, error) {
		old, b, err := from.split(w, b, nil)
		if err != nil {
			return nil, nil, err
		}
		fields := make([][]byte, len(steps))
		for i, s := range steps {
			switch {
			case s.from < 0 || s.from >= len(old):
				if fields[i] = s.zero; fields[i] == nil && !to.fields[i].nullable {
					return nil, nil, fmt.Errorf("field %s is not in the row, and its zero value is not known", to.fields[i].name)
				}
			case old[s.from] == nil: // null, so both are pointers
			case s.step == nil:
				fields[i] = old[s.from]
			default:
				if fields[i], _, err = s.step(w, []byte{}, old[s.from]); err != nil {
					return nil, nil, fmt.Errorf("field %s: %w", to.fields[i].name, err)
				}
			}
		}
		return to.appendRow(dst, fields), b, nil
	}, nil
}

// field converts a field that both rows have.
func (c *converter) field(from, to describedField, path string) (step, error) {
	if from.nullable && !to.nullable {
		return nil, &Incompatible{Path: path, From: from.String(), To: to.String(), Why: "it may be null"}
	}
	was := len(c.changes)
	s, err := c.convert(from.d, to.d, path)
	if from.nullable == to.nullable {
		return s, err
	}
	if err != nil {
		return nil, pointed(err, path, from, to)
	}
	c.changes = c.changes[:was]
	c.changed(path, from, to)
	return s, nil
}

// pointed names the types as they are where the error is about what a pointer points to.
func pointed(err error, path string, from, to fmt.Stringer) error {
	if e, ok := errors.AsType[*Incompatible](err); ok && e.Path == path {
		e.From, e.To = from.String(), to.String()
	}
	return err
}
