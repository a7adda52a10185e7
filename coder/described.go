package coder

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// Description is what the ID of a coder says about the bytes that the coder writes:
// enough to pass over a value, to show it and to make it from text without the Go
// type. It is immutable.
//
// A coder of [Register] is opaque: its ID says nothing about its bytes. Where the
// type is registered in this process, its decoder tells at least where a value ends;
// elsewhere an opaque value must be the last, and takes all bytes that are left.
type Description struct {
	id     string
	form   form
	n      int            // length of formFixed and formArray
	args   []*Description // of compound forms
	fields []describedField
	min    int    // bytes of the shortest encoding
	user   *codec // of formOpaque, if this process has it
}

// form is how bytes are laid out. The forms of numbers follow the widths of rows.
type form uint8

const (
	formBool     form = iota + 1
	formInt64         // varint
	formUint64        // varint
	formInt8          // one byte
	formUint8         // one byte
	formInt16         // two bytes
	formUint16        // varint
	formInt32         // varint of 32 bits
	formUint32        // varint
	formFloat         // four bytes
	formDouble        // eight bytes
	formString        // length, bytes
	formBytes         // length, bytes
	formFixed         // length n, bytes
	formTime          // row of seconds and nanoseconds
	formNullable      // 0, or 1 and args[0]
	formIterable      // count and args[0]s, perhaps in chunks
	formArray         // count n and n args[0]s
	formMap           // count and pairs, args[0] to args[1]
	formKV            // args[0], args[1]
	formEither        // 0 and args[0], or 1 and args[1]
	formSharded       // shard as string, args[0]
	formGlobal        // nothing
	formInterval      // instant of the end, length
	formMillis        // varint, an instant
	formTuple         // fields, one behind the other
	formBlock         // length, then args[0] in exactly as many bytes
	formRow           // fields
	formOpaque        // what a registered coder wrote
)

// Descriptions need not be of a coder: what lies in rows of state is put together from
// values in these two forms. A tuple is its fields one behind the other, with an ID like
// millrace:coder:tuple:v1{at millrace:coder:instant:v1, value beam:coder:varint:v1}; an
// instant is a varint of Unix milliseconds.
const (
	tupleURN   = "millrace:coder:tuple:v1"
	instantURN = "millrace:coder:instant:v1"
)

// describedField is a field of a row or a tuple.
type describedField struct {
	name     string
	nullable bool // by the row's null bits
	d        *Description
}

// plainForms are the coders without components.
var plainForms = map[string]struct {
	form form
	min  int
}{
	"beam:coder:bool:v1":            {formBool, 1},
	"beam:coder:varint:v1":          {formInt64, 1},
	"millrace:coder:uvarint:v1":     {formUint64, 1},
	"beam:coder:double:v1":          {formDouble, 8},
	"millrace:coder:float:v1":       {formFloat, 4},
	"beam:coder:string_utf8:v1":     {formString, 1},
	"beam:coder:bytes:v1":           {formBytes, 1},
	"millrace:coder:time:v1":        {formTime, 4},
	"beam:coder:global_window:v1":   {formGlobal, 0},
	"beam:coder:interval_window:v1": {formInterval, 9},
	instantURN:                      {formMillis, 1},
}

// compoundForms are the coders of components.
var compoundForms = map[string]struct {
	form form
	args int
	min  int
}{
	"beam:coder:nullable:v1":              {formNullable, 1, 1},
	"beam:coder:iterable:v1":              {formIterable, 1, 4},
	"beam:coder:state_backed_iterable:v1": {formIterable, 1, 4},
	"millrace:coder:map:v1":               {formMap, 2, 4},
	"beam:coder:kv:v1":                    {formKV, 2, 0},
	"millrace:coder:either:v1":            {formEither, 2, 1},
	"beam:coder:sharded_key:v1":           {formSharded, 1, 1},
	"beam:coder:length_prefix:v1":         {formBlock, 1, 1},
}

// atomForms are the kinds of fields without parts, by their names in a schema.
var atomForms = map[string]struct {
	form form
	min  int
}{
	"byte": {formUint8, 1}, "int16": {formInt16, 2}, "int32": {formInt32, 1}, "int64": {formInt64, 1},
	"float": {formFloat, 4}, "double": {formDouble, 8}, "string": {formString, 1}, "boolean": {formBool, 1}, "bytes": {formBytes, 1},
	"millrace:logical_type:int8:v1<byte>":                                     {formInt8, 1},
	"millrace:logical_type:uint16:v1<int32>":                                  {formUint16, 1},
	"millrace:logical_type:uint32:v1<int64>":                                  {formUint32, 1},
	"millrace:logical_type:uint64:v1<int64>":                                  {formUint64, 1},
	"beam:logical_type:timestamp:v1(9)<row{seconds int64, subseconds int32}>": {formTime, 4},
}

// Describe reads the ID of a coder. A URN that is not one of this package's is that
// of a registered coder, and opaque. The error says where the text is no ID.
func Describe(id string) (*Description, error) {
	d, err := describe(id, 0)
	if err != nil {
		return nil, fmt.Errorf("coder id %q: %w", id, err)
	}
	return d, nil
}

var errDeep = fmt.Errorf("nested more than %d deep", depthMax)

func describe(id string, depth int) (*Description, error) {
	if depth > depthMax {
		return nil, errDeep
	}
	if id == "" {
		return nil, errors.New("a component is empty")
	}
	if p, ok := plainForms[id]; ok {
		return &Description{id: id, form: p.form, min: p.min}, nil
	}
	if schema, ok := strings.CutPrefix(id, "beam:coder:row:v1{"); ok {
		return describeRow(id, "{"+schema, depth)
	}
	if fields, ok := strings.CutPrefix(id, tupleURN+"{"); ok {
		return describeFields(&Description{id: id, form: formTuple}, "{"+fields, depth)
	}
	head, arg, parts, err := splitID(id)
	if err != nil {
		return nil, err
	}
	n, isNumber := length(arg)
	switch known, ok := compoundForms[head]; {
	case ok && arg == "" && len(parts) == known.args:
		d := &Description{id: id, form: known.form, min: known.min}
		return d, d.describeArgs(parts, depth)
	case head == "millrace:coder:fixed_bytes:v1" && isNumber && parts == nil:
		return &Description{id: id, form: formFixed, n: n, min: 1}, nil
	case head == "millrace:coder:array:v1" && isNumber && len(parts) == 1:
		d := &Description{id: id, form: formArray, n: n, min: 4}
		return d, d.describeArgs(parts, depth)
	}
	return opaque(id), nil
}

func length(arg string) (int, bool) {
	n, err := strconv.ParseUint(arg, 10, 31)
	return int(n), err == nil
}

func (d *Description) describeArgs(parts []string, depth int) error {
	for _, p := range parts {
		a, err := describe(p, depth+1)
		if err != nil {
			return err
		}
		d.args = append(d.args, a)
		if d.form == formKV || d.form == formSharded {
			d.min += a.min
		}
	}
	return nil
}

func opaque(id string) *Description {
	return &Description{id: id, form: formOpaque, user: registeredID(id)}
}

// registeredID returns the user's coder with that ID, or nil.
func registeredID(id string) *codec {
	registry.Lock()
	defer registry.Unlock()
	for t, k := range registry.user {
		if k.id == id {
			k := *k
			k.typed = t
			return &k
		}
	}
	return nil
}

// value is a new zero value of the registered type.
func (k *codec) value() unsafe.Pointer { return reflect.New(k.typed.(reflect.Type)).UnsafePointer() }

// splitID cuts head(arg)<part,part>.
func splitID(id string) (head, arg string, parts []string, err error) {
	end := strings.IndexAny(id, "(<{")
	if end < 0 {
		return id, "", nil, checkID(id)
	}
	head, rest := id[:end], id[end:]
	if rest[0] == '(' {
		inner, after, err := bracket(rest)
		if err != nil {
			return "", "", nil, err
		}
		arg, rest = inner, after
	}
	if rest == "" {
		return head, arg, nil, nil
	}
	if rest[0] != '<' {
		return id, "", nil, checkID(id)
	}
	inner, after, err := bracket(rest)
	if err != nil {
		return "", "", nil, err
	}
	if after != "" {
		return id, "", nil, checkID(id)
	}
	parts, err = splitList(inner)
	return head, arg, parts, err
}

// checkID refuses text whose brackets do not match, of which no part can be told from
// what stands beside it.
func checkID(id string) error {
	_, err := splitList(id)
	return err
}

// bracket returns what is inside the bracket that s begins with, and what follows it.
func bracket(s string) (inner, after string, err error) {
	end, err := scan(s[1:], "")
	if err != nil {
		return "", "", err
	}
	if end+1 == len(s) || s[end+1] != closing[s[0]] {
		return "", "", fmt.Errorf("%q is not closed", s[:1])
	}
	return s[1 : end+1], s[end+2:], nil
}

var closing = map[byte]byte{'(': ')', '<': '>', '{': '}'}

// splitList cuts s at its commas outside of brackets.
func splitList(s string) (parts []string, err error) {
	for {
		end, err := scan(s, ",")
		if err != nil {
			return nil, err
		}
		parts = append(parts, s[:end])
		if end == len(s) {
			return parts, nil
		}
		if s[end] != ',' {
			return nil, fmt.Errorf("%q is not opened", s[end:end+1])
		}
		s = strings.TrimPrefix(s[end+1:], " ")
	}
}

// scan returns the index of the first byte of s, outside of brackets and quotes, that
// is in stop or closes a bracket; len(s) if there is none.
func scan(s, stop string) (int, error) {
	var open []byte
	for i := 0; i < len(s); i++ {
		switch ch := s[i]; ch {
		case '(', '<', '{':
			if open = append(open, closing[ch]); len(open) > 4*depthMax {
				return 0, errDeep
			}
		case ')', '>', '}':
			if len(open) == 0 {
				return i, nil
			}
			if open[len(open)-1] != ch {
				return 0, fmt.Errorf("%q where %q belongs", ch, open[len(open)-1])
			}
			open = open[:len(open)-1]
		case '"':
			q, err := strconv.QuotedPrefix(s[i:])
			if err != nil {
				return 0, errors.New("a quote is not closed")
			}
			i += len(q) - 1
		default:
			if len(open) == 0 && strings.IndexByte(stop, ch) >= 0 {
				return i, nil
			}
		}
	}
	if len(open) > 0 {
		return 0, fmt.Errorf("%q is missing", open[len(open)-1])
	}
	return len(s), nil
}

// describeRow reads a schema in braces.
func describeRow(id, schema string, depth int) (*Description, error) {
	return describeFields(&Description{id: id, form: formRow, min: 2}, schema, depth)
}

// describeFields reads the fields of a row or a tuple.
func describeFields(d *Description, schema string, depth int) (*Description, error) {
	inner, after, err := bracket(schema)
	if err != nil {
		return nil, err
	}
	if after != "" {
		return nil, fmt.Errorf("%q follows a schema", after)
	}
	if inner == "" {
		return d, nil
	}
	parts, err := splitList(inner)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool, len(parts))
	for _, p := range parts {
		name, typ, err := splitField(p)
		if err != nil {
			return nil, err
		}
		if !utf8.ValidString(name) { // it could not be shown as JSON
			return nil, fmt.Errorf("a field is named %q, which is no UTF-8", name)
		}
		if seen[name] {
			return nil, fmt.Errorf("two fields are named %q", name)
		}
		seen[name] = true
		f := describedField{name: name}
		if d.form == formTuple {
			f.d, err = describe(typ, depth+1)
		} else {
			typ, f.nullable = strings.CutSuffix(typ, "?")
			f.d, err = describeField(typ, depth+1)
		}
		if err != nil {
			return nil, fmt.Errorf("field %q: %w", name, err)
		}
		if d.form == formTuple {
			d.min += f.d.min
		}
		d.fields = append(d.fields, f)
	}
	return d, nil
}

// splitField cuts "name type"; the name may be in quotes.
func splitField(s string) (name, typ string, err error) {
	if strings.HasPrefix(s, `"`) {
		q, err := strconv.QuotedPrefix(s)
		if err != nil {
			return "", "", errors.New("a quote is not closed")
		}
		if name, err = strconv.Unquote(q); err != nil {
			return "", "", fmt.Errorf("name %s: %w", q, err)
		}
		s = s[len(q):]
		if !strings.HasPrefix(s, " ") {
			return "", "", fmt.Errorf("field %s has no type", q)
		}
		return name, s[1:], nil
	}
	name, typ, ok := strings.Cut(s, " ")
	if !ok || name == "" || typ == "" {
		return "", "", fmt.Errorf("%q is no field", s)
	}
	return name, typ, nil
}

// describeField reads a type of a schema.
func describeField(typ string, depth int) (*Description, error) {
	if depth > depthMax {
		return nil, errDeep
	}
	if inner, ok := strings.CutSuffix(typ, "?"); ok { // in an array or a map
		a, err := describeField(inner, depth+1)
		if err != nil {
			return nil, err
		}
		return &Description{id: typ, form: formNullable, min: 1, args: []*Description{a}}, nil
	}
	if p, ok := atomForms[typ]; ok {
		return &Description{id: typ, form: p.form, min: p.min}, nil
	}
	if schema, ok := strings.CutPrefix(typ, "row{"); ok {
		return describeRow(typ, "{"+schema, depth)
	}
	if user, ok := strings.CutSuffix(typ, "<bytes>"); ok && user != "array" && !strings.HasPrefix(user, "beam:logical_type:") { // of a registered coder, as a block
		a, err := describe(user, depth+1)
		if err != nil {
			return nil, err
		}
		return &Description{id: typ, form: formBlock, min: 1, args: []*Description{a}}, nil
	}
	head, arg, parts, err := splitID(typ)
	if err != nil {
		return nil, err
	}
	var d *Description
	n, isNumber := length(arg)
	switch {
	case head == "array" && len(parts) == 1 && arg == "":
		d = &Description{id: typ, form: formIterable, min: 4}
	case head == arrayURN && len(parts) == 1 && (isNumber || arg == ""): // over an array
		a, err := describeField(parts[0], depth+1)
		if err != nil {
			return nil, err
		}
		if a.form != formIterable {
			return nil, fmt.Errorf("%q is no array", parts[0])
		}
		a.id, a.form, a.n = typ, formArray, n
		return a, nil
	case head == "map" && len(parts) == 2 && arg == "":
		d = &Description{id: typ, form: formMap, min: 4}
	case head == "beam:logical_type:fixed_bytes:v1" && len(parts) == 1 && parts[0] == "bytes" && (isNumber || arg == ""):
		return &Description{id: typ, form: formFixed, n: n, min: 1}, nil
	default:
		return nil, fmt.Errorf("type %q is unknown", typ)
	}
	for _, p := range parts {
		a, err := describeField(p, depth+1)
		if err != nil {
			return nil, err
		}
		d.args = append(d.args, a)
	}
	return d, nil
}

// ID is the text that was described; of a part of a row, its type in the schema.
func (d *Description) ID() string { return d.id }

// Opaque reports whether the value, or a part of it, was written by a registered coder
// and shows only as bytes.
func (d *Description) Opaque() bool {
	if d.form == formOpaque {
		return true
	}
	for _, a := range d.args {
		if a.Opaque() {
			return true
		}
	}
	for _, f := range d.fields {
		if f.d.Opaque() {
			return true
		}
	}
	return false
}

// Ends reports whether the bytes tell where a value ends. It is false where a registered
// coder wrote a part of it that this process does not have: then a value takes all bytes
// that are left, and nothing can stand behind it.
func (d *Description) Ends() bool {
	switch d.form {
	case formOpaque:
		return d.user != nil
	case formBlock:
		return true
	}
	for _, a := range d.args {
		if !a.Ends() {
			return false
		}
	}
	for _, f := range d.fields {
		if !f.d.Ends() {
			return false
		}
	}
	return true
}

var formNames = [...]string{formBool: "bool", formInt64: "int64", formUint64: "uint64", formInt8: "int8", formUint8: "uint8", formInt16: "int16",
	formUint16: "uint16", formInt32: "int32", formUint32: "uint32", formFloat: "float32", formDouble: "float64", formString: "string",
	formBytes: "[]byte", formTime: "time.Time", formGlobal: "GlobalWindow", formInterval: "IntervalWindow", formMillis: "instant"}

// String returns the type in the words of Go, for people: "map[string]struct{A int32;
// B *string}". Widths and names that the ID does not hold are lost: an int8 outside of
// a struct is an int64.
func (d *Description) String() string {
	switch d.form {
	case formFixed:
		return fmt.Sprintf("[%d]byte", d.n)
	case formNullable:
		return "*" + d.args[0].String()
	case formIterable:
		return "[]" + d.args[0].String()
	case formArray:
		return fmt.Sprintf("[%d]%s", d.n, d.args[0])
	case formMap:
		return "map[" + d.args[0].String() + "]" + d.args[1].String()
	case formKV:
		return "KV[" + d.args[0].String() + ", " + d.args[1].String() + "]"
	case formEither:
		return "either[" + d.args[0].String() + ", " + d.args[1].String() + "]"
	case formSharded:
		return "ShardedKey[" + d.args[0].String() + "]"
	case formBlock:
		return d.args[0].String()
	case formRow, formTuple:
		var b strings.Builder
		b.WriteString("struct{")
		for i, f := range d.fields {
			if i > 0 {
				b.WriteString("; ")
			}
			b.WriteString(f.name + " " + f.String())
		}
		b.WriteString("}")
		return b.String()
	case formOpaque:
		return d.id
	}
	return formNames[d.form]
}

// String is the field's type.
func (f describedField) String() string {
	if f.nullable {
		return "*" + f.d.String()
	}
	return f.d.String()
}
