package schemas

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A value in Confluent's wire format:
//
//	+---+---------------+---------------------+---------+
//	| 0 | id, 4 bytes   | message's path      | value   |
//	|   | big-endian    | Protobuf only       |         |
//	+---+---------------+---------------------+---------+
//
// The path is a count and as many indexes, zigzag varints; the path of one index, 0, is
// a single zero byte.
const idBytes = 5

// AppendID begins a value.
func AppendID(b []byte, id int) []byte {
	return binary.BigEndian.AppendUint32(append(b, 0), uint32(id))
}

// CutID takes the beginning off.
func CutID(value []byte) (id int, rest []byte, err error) {
	switch {
	case len(value) > 0 && value[0] != 0:
		return 0, nil, fmt.Errorf("the value was not written with a schema registry: it begins with %#02x, not with 0", value[0])
	case len(value) < idBytes:
		return 0, nil, fmt.Errorf("the value was not written with a schema registry: it has but %d bytes", len(value))
	}
	return int(binary.BigEndian.Uint32(value[1:])), value[idBytes:], nil
}

// AppendPath appends where in its file a message is declared.
func AppendPath(b []byte, path []int) []byte {
	if len(path) == 1 && path[0] == 0 {
		return append(b, 0)
	}
	b = binary.AppendVarint(b, int64(len(path)))
	for _, i := range path {
		b = binary.AppendVarint(b, int64(i))
	}
	return b
}

// pathMax is how deep messages may be declared within others.
const pathMax = 100

// CutPath takes a message's path off.
func CutPath(b []byte) (path []int, rest []byte, err error) {
	next := func() int {
		v, n := binary.Varint(b)
		if n <= 0 || v < 0 || int64(int32(v)) != v {
			err = errors.New("the value's message indexes are damaged")
			return 0
		}
		b = b[n:]
		return int(v)
	}
	n := next()
	if n == 0 && err == nil {
		return []int{0}, b, nil
	}
	for range min(n, pathMax+1) {
		path = append(path, next())
	}
	if err == nil && n > pathMax {
		err = errors.New("the value's message indexes are damaged")
	}
	if err != nil {
		return nil, nil, err
	}
	return path, b, nil
}
