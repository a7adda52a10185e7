package coder

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendJSON appends one value at the front of b as JSON and returns it with what
// follows the value:
//
//	integers             numbers, of up to 64 bits
//	floats               numbers; "NaN", "Infinity" and "-Infinity"
//	strings              strings; {"base64": "…"} where they are not UTF-8
//	bytes, opaque values strings in base64
//	time.Time            a string of RFC 3339; {"seconds": …, "nanos": …} outside of the years 0 to 9999
//	pointers             null or the value; a pointer to a pointer that is not null is [value]
//	slices, arrays       arrays
//	maps                 objects where all keys are strings in UTF-8, otherwise arrays of [key, value]
//	structs              objects with all fields, in order
//	KV, ShardedKey       {"key": …, "value": …}, {"shard": …, "key": …}
//	one of two inputs    {"left": …} or {"right": …}
//	GlobalWindow         "global"
//	IntervalWindow       {"start": …, "end": …} in Unix milliseconds
func (d *Description) AppendJSON(dst, b []byte) (_, rest []byte, err error) {
	dst, rest, err = d.json(newWalk(), dst, b)
	if err != nil {
		return nil, nil, err
	}
	return dst, rest, nil
}

func (d *Description) json(w *walk, dst, b []byte) ([]byte, []byte, error) {
	switch d.form {
	case formBool:
		v, b, err := readBool(b)
		return strconv.AppendBool(dst, v), b, err
	case formInt64, formInt8, formInt16, formInt32:
		u, b, err := d.readNumber(b)
		return strconv.AppendInt(dst, int64(u), 10), b, err
	case formUint64, formUint8, formUint16, formUint32:
		u, b, err := d.readNumber(b)
		return strconv.AppendUint(dst, u, 10), b, err
	case formFloat:
		u, b, err := readUint32(b)
		return appendJSONFloat(dst, float64(math.Float32frombits(u)), 32), b, err
	case formDouble:
		u, b, err := readUint64(b)
		return appendJSONFloat(dst, math.Float64frombits(u), 64), b, err
	case formString:
		v, b, err := readBlock(b)
		return appendJSONString(dst, v), b, err
	case formBytes:
		v, b, err := readBlock(b)
		return appendBase64(dst, v), b, err
	case formFixed:
		v, b, err := d.readFixed(b)
		return appendBase64(dst, v), b, err
	case formTime:
		sec, nano, b, err := readTime(b)
		return appendJSONTime(dst, sec, nano), b, err
	case formNullable:
		set, b, err := readBool(b)
		if err != nil || !set {
			return append(dst, "null"...), b, err
		}
		if d.args[0].form != formNullable {
			return d.args[0].json(w, dst, b)
		}
		dst, b, err = d.args[0].json(w, append(dst, '['), b)
		return append(dst, ']'), b, err
	case formIterable, formArray:
		dst = append(dst, '[')
		first := true
		b, err := d.elements(w, b, func(b []byte) ([]byte, error) {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			var err error
			dst, b, err = d.args[0].json(w, dst, b)
			return b, err
		})
		return append(dst, ']'), b, err
	case formMap:
		return d.jsonMap(w, dst, b)
	case formKV:
		dst, b, err := d.args[0].json(w, append(dst, `{"key":`...), b)
		if err != nil {
			return nil, nil, err
		}
		dst, b, err = d.args[1].json(w, append(dst, `,"value":`...), b)
		return append(dst, '}'), b, err
	case formEither:
		right, b, err := readBool(b)
		if err != nil {
			return nil, nil, err
		}
		dst, b, err = d.args[side(right)].json(w, fmt.Appendf(dst, "{%q:", sides[side(right)]), b)
		return append(dst, '}'), b, err
	case formSharded:
		shard, b, err := readBlock(b)
		if err != nil {
			return nil, nil, err
		}
		dst = append(appendJSONString(append(dst, `{"shard":`...), shard), `,"key":`...)
		dst, b, err = d.args[0].json(w, dst, b)
		return append(dst, '}'), b, err
	case formGlobal:
		return append(dst, `"global"`...), b, nil
	case formInterval:
		v, b, err := IntervalWindows().Decode(b)
		return fmt.Appendf(dst, `{"start":%d,"end":%d}`, v.Start, v.End), b, err
	case formBlock:
		part, b, err := d.readPart(w, b)
		if err != nil {
			return nil, nil, err
		}
		dst, _, err = d.args[0].json(w, dst, part)
		return dst, b, err
	case formMillis:
		ms, b, err := ReadVarint(b)
		return appendJSONInstant(dst, ms), b, err
	case formRow:
		return d.jsonRow(w, dst, b)
	case formTuple:
		dst = append(dst, '{')
		for i, f := range d.fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendJSONString(dst, []byte(f.name)), ':')
			var err error
			if dst, b, err = f.d.json(w, dst, b); err != nil {
				return nil, nil, err
			}
		}
		return append(dst, '}'), b, nil
	}
	rest, err := d.skipOpaque(b)
	if err != nil {
		return nil, nil, err
	}
	return appendBase64(dst, b[:len(b)-len(rest)]), rest, nil
}

func (d *Description) jsonRow(w *walk, dst, b []byte) ([]byte, []byte, error) {
	fields, b, err := d.split(w, b, nil)
	if err != nil {
		return nil, nil, err
	}
	for i, f := range d.fields {
		dst = append(dst, "{,"[min(i, 1)])
		dst = append(appendJSONString(dst, []byte(f.name)), ':')
		var v []byte
		if i < len(fields) {
			v = fields[i]
		} else if !f.nullable { // a row from before the field was added
			if v, err = f.d.AppendZero([]byte{}); err != nil {
				return nil, nil, err
			}
		}
		if v == nil {
			dst = append(dst, "null"...)
			continue
		}
		if dst, _, err = f.d.json(w, dst, v); err != nil {
			return nil, nil, fmt.Errorf("field %s: %w", f.name, err)
		}
	}
	if len(d.fields) == 0 {
		dst = append(dst, '{')
	}
	return append(dst, '}'), b, nil
}

func (d *Description) jsonMap(w *walk, dst, b []byte) ([]byte, []byte, error) {
	object := d.args[0].form == formString
	seen := map[string]bool{}
	if object { // all must be UTF-8, and no two alike
		_, err := d.entries(&walk{w.empties}, b, func(key, _ []byte) error {
			s, _, err := readBlock(key)
			object = object && utf8.Valid(s) && !seen[string(s)]
			seen[string(s)] = true
			return err
		})
		if err != nil {
			return nil, nil, err
		}
	}
	signs := "[[,]]"
	if object {
		signs = "{\x00:\x00}"
	}
	sign := func(i int) {
		if signs[i] != 0 {
			dst = append(dst, signs[i])
		}
	}
	sign(0)
	first := true
	b, err := d.entries(w, b, func(key, val []byte) (err error) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		sign(1)
		if dst, _, err = d.args[0].json(w, dst, key); err != nil {
			return err
		}
		sign(2)
		if dst, _, err = d.args[1].json(w, dst, val); err != nil {
			return err
		}
		sign(3)
		return nil
	})
	sign(4)
	return dst, b, err
}

var sides = [2]string{"left", "right"}

func appendJSONFloat(dst []byte, v float64, bits int) []byte {
	switch {
	case v != v:
		return append(dst, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(dst, `"-Infinity"`...)
	}
	f := byte('f')
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		f = 'e'
	}
	return strconv.AppendFloat(dst, v, f, -1, bits)
}

func appendJSONString(dst, s []byte) []byte {
	if !utf8.Valid(s) {
		return append(appendBase64(append(dst, `{"base64":`...), s), '}')
	}
	dst = append(dst, '"')
	for _, ch := range s {
		switch {
		case ch == '"' || ch == '\\':
			dst = append(dst, '\\', ch)
		case ch == '\n':
			dst = append(dst, `\n`...)
		case ch < 0x20 || ch == 0x7f:
			dst = fmt.Appendf(dst, `\u%04x`, ch)
		default:
			dst = append(dst, ch)
		}
	}
	return append(dst, '"')
}

func appendBase64(dst, v []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), v), '"')
}

// The seconds at which the year 0 begins and the year 9999 has ended.
const (
	year0     = -62167219200
	year10000 = 253402300800
)

func appendJSONTime(dst []byte, sec int64, nano uint64) []byte {
	if sec < year0 || sec >= year10000 {
		return fmt.Appendf(dst, `{"seconds":%d,"nanos":%d}`, sec, nano)
	}
	return append(time.Unix(sec, int64(nano)).UTC().AppendFormat(append(dst, '"'), time.RFC3339Nano), '"')
}

// appendJSONInstant writes an instant that is a round number of ms; one outside of the
// years 0 to 9999 as that number.
func appendJSONInstant(dst []byte, ms int64) []byte {
	if ms < year0*1000 || ms >= year10000*1000 {
		return strconv.AppendInt(dst, ms, 10)
	}
	return append(time.UnixMilli(ms).UTC().AppendFormat(append(dst, '"'), time.RFC3339Nano), '"')
}

// FromJSON appends the value that text holds in the form of [Description.AppendJSON].
// All fields of structs must be there, no others may, and numbers must fit: the error
// names the path of what does not. An opaque value is taken as it is, unless its coder
// is registered in this process and refuses the bytes.
func (d *Description) FromJSON(dst, text []byte) ([]byte, error) {
	if !json.Valid(text) {
		var v any
		return nil, fmt.Errorf("no json: %w", json.Unmarshal(text, &v))
	}
	return d.fromJSON(dst, text)
}

func (d *Description) fromJSON(dst, text []byte) ([]byte, error) {
	text = bytes.TrimSpace(text)
	null := string(text) == "null"
	if null && d.form != formNullable {
		return nil, fmt.Errorf("null cannot be %v", d)
	}
	switch d.form {
	case formBool:
		if s := string(text); s == "true" || s == "false" {
			return appendBool(dst, s == "true"), nil
		}
		return nil, d.wrong(text)
	case formInt64, formInt8, formInt16, formInt32, formUint64, formUint8, formUint16, formUint32:
		return d.integerFromJSON(dst, text)
	case formFloat, formDouble:
		return d.floatFromJSON(dst, text)
	case formString:
		s, err := stringFromJSON(text)
		if err != nil {
			return nil, d.wrong(text)
		}
		return appendBlock(dst, s), nil
	case formBytes, formFixed:
		raw, err := base64FromJSON(text)
		if err != nil {
			return nil, err
		}
		if d.form == formFixed && len(raw) != d.n {
			return nil, fmt.Errorf("%d bytes for an array of %d", len(raw), d.n)
		}
		return appendBlock(dst, raw), nil
	case formTime:
		return timeFromJSON(dst, text)
	case formNullable:
		if null {
			return append(dst, 0), nil
		}
		if d.args[0].form != formNullable {
			return d.args[0].fromJSON(append(dst, 1), text)
		}
		items, err := itemsOf(text)
		if err == nil && len(items) != 1 {
			err = d.wrong(text)
		}
		if err != nil {
			return nil, err
		}
		return d.args[0].fromJSON(append(dst, 1), items[0])
	case formIterable, formArray:
		return d.elementsFromJSON(dst, text)
	case formMap:
		return d.mapFromJSON(dst, text)
	case formKV:
		m, err := fieldsOf(text, []string{"key", "value"})
		if err != nil {
			return nil, err
		}
		if dst, err = inField("key")(d.args[0].fromJSON(dst, m[0])); err != nil {
			return nil, err
		}
		return inField("value")(d.args[1].fromJSON(dst, m[1]))
	case formEither:
		for i, name := range sides {
			if m, err := fieldsOf(text, []string{name}); err == nil {
				return inField(name)(d.args[i].fromJSON(append(dst, byte(i)), m[0]))
			}
		}
		return nil, d.wrong(text)
	case formSharded:
		m, err := fieldsOf(text, []string{"shard", "key"})
		if err != nil {
			return nil, err
		}
		s, err := stringFromJSON(m[0])
		if err != nil {
			return nil, fmt.Errorf("shard: %w", err)
		}
		return inField("key")(d.args[0].fromJSON(appendBlock(dst, s), m[1]))
	case formGlobal:
		if string(text) != `"global"` {
			return nil, d.wrong(text)
		}
		return dst, nil
	case formInterval:
		return intervalFromJSON(dst, text)
	case formBlock:
		v, err := d.args[0].fromJSON(nil, text)
		if err != nil {
			return nil, err
		}
		return appendBlock(dst, v), nil
	case formMillis:
		if ms, err := strconv.ParseInt(string(text), 10, 64); err == nil {
			return AppendVarint(dst, ms), nil
		}
		var t time.Time
		if err := json.Unmarshal(text, &t); err != nil {
			return nil, d.wrong(text)
		}
		return AppendVarint(dst, t.UnixMilli()), nil
	case formRow, formTuple:
		return d.rowFromJSON(dst, text)
	}
	raw, err := base64FromJSON(text)
	if err != nil {
		return nil, err
	}
	rest, err := d.skipOpaque(raw)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes follow a value of coder %s", len(rest), d.id)
	}
	if err != nil {
		return nil, err
	}
	return append(dst, raw...), nil
}

// wrong is the error about text of another type.
func (d *Description) wrong(text []byte) error {
	if len(text) > 40 {
		text = append(slices.Clone(text[:40]), "…"...)
	}
	return fmt.Errorf("%s cannot be %v", text, d)
}

// inField adds the name of a field to an error.
func inField(name string) func([]byte, error) ([]byte, error) {
	return func(b []byte, err error) ([]byte, error) {
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return b, nil
	}
}

func (d *Description) integerFromJSON(dst, text []byte) ([]byte, error) {
	switch d.form {
	case formUint64, formUint8, formUint16, formUint32:
		bits := map[form]int{formUint64: 64, formUint8: 8, formUint16: 16, formUint32: 32}[d.form]
		u, err := strconv.ParseUint(string(text), 10, bits)
		if err != nil {
			return nil, d.wrong(text)
		}
		return d.appendNumber(dst, u), nil
	}
	bits := map[form]int{formInt64: 64, formInt8: 8, formInt16: 16, formInt32: 32}[d.form]
	v, err := strconv.ParseInt(string(text), 10, bits)
	if err != nil {
		return nil, d.wrong(text)
	}
	return d.appendNumber(dst, uint64(v)), nil
}

func (d *Description) floatFromJSON(dst, text []byte) ([]byte, error) {
	bits := 64
	if d.form == formFloat {
		bits = 32
	}
	var v float64
	switch s := string(text); s {
	case `"NaN"`:
		v = math.NaN()
	case `"Infinity"`:
		v = math.Inf(1)
	case `"-Infinity"`:
		v = math.Inf(-1)
	default:
		var err error
		if v, err = strconv.ParseFloat(s, bits); err != nil {
			return nil, d.wrong(text)
		}
	}
	if bits == 32 {
		return appendFloat(dst, float32(v)), nil
	}
	return appendDouble(dst, v), nil
}

// stringFromJSON reads a string, also one in base64.
func stringFromJSON(text []byte) ([]byte, error) {
	if len(text) > 0 && text[0] == '{' {
		m, err := fieldsOf(text, []string{"base64"})
		if err != nil {
			return nil, err
		}
		return base64FromJSON(m[0])
	}
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, err
	}
	return []byte(s), nil
}

func base64FromJSON(text []byte) ([]byte, error) {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, errors.New("bytes are written as a string of base64")
	}
	return base64.StdEncoding.DecodeString(s)
}

func timeFromJSON(dst, text []byte) ([]byte, error) {
	var sec, nano int64
	if len(text) > 0 && text[0] == '{' {
		m, err := fieldsOf(text, []string{"seconds", "nanos"})
		if err != nil {
			return nil, err
		}
		if err := errors.Join(json.Unmarshal(m[0], &sec), json.Unmarshal(m[1], &nano)); err != nil {
			return nil, fmt.Errorf("time: %w", err)
		}
	} else {
		var s string
		if err := json.Unmarshal(text, &s); err != nil {
			return nil, fmt.Errorf("time: %w", err)
		}
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return nil, err
		}
		sec, nano = t.Unix(), int64(t.Nanosecond())
	}
	dst = appendUvarint(AppendVarint(append(dst, 2, 0), sec), uint64(nano))
	if nano < 0 || nano > 999_999_999 {
		return nil, errNanos
	}
	if sec > secondsMax {
		return nil, fmt.Errorf("second %d is beyond what a time can hold", sec)
	}
	return dst, nil
}

func intervalFromJSON(dst, text []byte) ([]byte, error) {
	m, err := fieldsOf(text, []string{"start", "end"})
	if err != nil {
		return nil, err
	}
	var v IntervalWindow
	if err := errors.Join(json.Unmarshal(m[0], &v.Start), json.Unmarshal(m[1], &v.End)); err != nil {
		return nil, fmt.Errorf("window: %w", err)
	}
	b := IntervalWindows().Append(nil, v)
	if _, _, err := IntervalWindows().Decode(b); err != nil {
		return nil, err
	}
	return append(dst, b...), nil
}

func (d *Description) elementsFromJSON(dst, text []byte) ([]byte, error) {
	items, err := itemsOf(text)
	if err != nil {
		return nil, d.wrong(text)
	}
	if d.form == formArray && len(items) != d.n {
		return nil, fmt.Errorf("%d elements for an array of %d", len(items), d.n)
	}
	dst = appendCount(dst, len(items))
	for i, v := range items {
		if dst, err = d.args[0].fromJSON(dst, v); err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return dst, nil
}

func (d *Description) mapFromJSON(dst, text []byte) ([]byte, error) {
	entries, err := d.pairs(text)
	if err != nil {
		return nil, err
	}
	return appendEntries(dst, entries)
}

// appendEntries appends a map in the order of its keys.
func appendEntries(dst []byte, entries [][2][]byte) ([]byte, error) {
	slices.SortFunc(entries, func(x, y [2][]byte) int { return bytes.Compare(x[0], y[0]) })
	dst = appendCount(dst, len(entries))
	for i, e := range entries {
		if i > 0 && bytes.Equal(e[0], entries[i-1][0]) {
			return nil, errors.New("two entries of a map have one key")
		}
		dst = append(append(dst, e[0]...), e[1]...)
	}
	return dst, nil
}

// pairs reads the entries of a map from either form.
func (d *Description) pairs(text []byte) (entries [][2][]byte, err error) {
	add := func(name string, key, val []byte) error {
		var e [2][]byte
		if e[0], err = d.args[0].fromJSON(nil, key); err != nil {
			return fmt.Errorf("key %s: %w", name, err)
		}
		if e[1], err = d.args[1].fromJSON(nil, val); err != nil {
			return fmt.Errorf("[%s]: %w", name, err)
		}
		entries = append(entries, e)
		return nil
	}
	if len(text) > 0 && text[0] == '{' && d.args[0].form == formString {
		return entries, eachJSONField(text, func(name string, v []byte) error {
			return add(name, appendJSONString(nil, []byte(name)), v)
		})
	}
	items, err := itemsOf(text)
	if err != nil {
		return nil, d.wrong(text)
	}
	for _, item := range items {
		pair, err := itemsOf(item)
		if err != nil || len(pair) != 2 {
			return nil, fmt.Errorf("an entry of a map is [key, value], not %s", item)
		}
		if err := add(string(pair[0]), pair[0], pair[1]); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

func (d *Description) rowFromJSON(dst, text []byte) ([]byte, error) {
	names := make([]string, len(d.fields))
	for i, f := range d.fields {
		names[i] = f.name
	}
	m, err := fieldsOf(text, names)
	if err != nil {
		return nil, err
	}
	fields := make([][]byte, len(m))
	for i, f := range d.fields {
		if d.form == formTuple {
			if dst, err = inField(f.name)(f.d.fromJSON(dst, m[i])); err != nil {
				return nil, err
			}
			continue
		}
		if f.nullable && string(bytes.TrimSpace(m[i])) == "null" {
			continue
		}
		if fields[i], err = inField(f.name)(f.d.fromJSON([]byte{}, m[i])); err != nil {
			return nil, err
		}
	}
	if d.form == formTuple {
		return dst, nil
	}
	return d.appendRow(dst, fields), nil
}

// itemsOf cuts a JSON array.
func itemsOf(text []byte) (items []json.RawMessage, err error) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 || text[0] != '[' {
		return nil, errors.New("no array")
	}
	return items, json.Unmarshal(text, &items)
}

// fieldsOf cuts a JSON object with exactly those names, in their order.
func fieldsOf(text []byte, names []string) ([]json.RawMessage, error) {
	at := make(map[string]int, len(names))
	for i, n := range names {
		at[n] = i
	}
	fields := make([]json.RawMessage, len(names))
	err := eachJSONField(text, func(name string, v []byte) error {
		i, ok := at[name]
		if !ok {
			return fmt.Errorf("there is no field %q", name)
		}
		fields[i] = v
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i, f := range fields {
		if f == nil {
			return nil, fmt.Errorf("field %q is missing", names[i])
		}
	}
	return fields, nil
}

// eachJSONField calls f with each field of an object; a name that comes twice is an
// error, where encoding/json would take the last.
func eachJSONField(text []byte, f func(name string, v []byte) error) error {
	text = bytes.TrimSpace(text)
	if len(text) == 0 || text[0] != '{' {
		return fmt.Errorf("an object belongs where %.40s stands", text)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if _, err := dec.Token(); err != nil {
		return err
	}
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		name, ok := t.(string)
		if !ok {
			return io.ErrUnexpectedEOF
		}
		if seen[name] {
			return fmt.Errorf("field %q is there twice", name)
		}
		seen[name] = true
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			return err
		}
		if err := f(name, v); err != nil {
			return err
		}
	}
	return nil
}
