package coder

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Kind is the kind of a field in a schema.
type Kind uint8

// The kinds of Beam's schemas. The atomic ones have Beam's numbers.
const (
	Byte    Kind = iota + 1 // one byte
	Int16                   // two bytes, big-endian
	Int32                   // varint of 32 bits
	Int64                   // varint of 64 bits
	Float                   // four bytes, big-endian
	Double                  // eight bytes, big-endian
	String                  // length and bytes
	Boolean                 // one byte, 0 or 1
	Bytes                   // length and bytes
	Array                   // of Elem
	Map                     // from Key to Elem
	Row                     // of the nested schema
	Logical                 // URN and Arg, written as Elem
)

var kindNames = [...]string{"", "byte", "int16", "int32", "int64", "float", "double", "string", "boolean", "bytes", "array", "map", "row", "logical"}

// String returns the kind's name in lower case.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// FieldType is the type of a field in a schema.
type FieldType struct {
	Kind     Kind
	Nullable bool
	Key      *FieldType // of a map
	Elem     *FieldType // element of an array, value of a map, representation of a logical type
	Row      *Schema    // of a row
	URN      string     // of a logical type
	Arg      int32      // of a logical type: a length or a precision; 0 if it has none
}

// Field is a field of a row.
type Field struct {
	Name string // from the tag `beam:"name"`, or else the Go name
	Type FieldType
}

// Schema describes the bytes of a row: fields in the order in which they are
// encoded.
type Schema struct {
	Fields []Field
}

// SchemaOf returns the schema of the struct T, also of a pointer to one.
func SchemaOf[T any]() (Schema, error) {
	t := reflect.TypeFor[T]()
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || registered(t) != nil || t == timeType {
		return Schema{}, fmt.Errorf("type %v has no schema: only structs without a coder of their own have one", t)
	}
	k, err := (&compiler{root: t}).compile(t, place{row: true})
	if err != nil {
		return Schema{}, err
	}
	return *k.ftype.Row, nil
}

// String returns the schema as {name type, ...}, canonical: it is part of the ID of
// a row's coder.
func (s Schema) String() string {
	var b strings.Builder
	b.WriteByte('{')
	for i, f := range s.Fields {
		if i > 0 {
			b.WriteString(", ")
		}
		if plainName(f.Name) {
			b.WriteString(f.Name)
		} else {
			b.WriteString(strconv.Quote(f.Name))
		}
		b.WriteByte(' ')
		b.WriteString(f.Type.String())
	}
	b.WriteByte('}')
	return b.String()
}

func plainName(s string) bool {
	return s != "" && !strings.ContainsAny(s, " ,{}<>()?\"\\\n\t")
}

// String returns the type as in [Schema.String]; a question mark means nullable.
func (t FieldType) String() string {
	s := t.Kind.String()
	switch t.Kind {
	case Array:
		s = "array<" + t.Elem.String() + ">"
	case Map:
		s = "map<" + t.Key.String() + "," + t.Elem.String() + ">"
	case Row:
		s = "row" + t.Row.String()
	case Logical:
		s = t.URN
		if t.Arg != 0 {
			s += "(" + strconv.Itoa(int(t.Arg)) + ")"
		}
		s += "<" + t.Elem.String() + ">"
	}
	if t.Nullable {
		s += "?"
	}
	return s
}
