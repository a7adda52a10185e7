package statepebble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// nodes are the numbers of the nodes that have rows.
type nodes map[string]number

// append encodes the table: how many, then for each its number, the length of its name, its name.
func (t nodes) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(t)))
	for _, name := range slices.Sorted(maps.Keys(t)) {
		b = binary.AppendUvarint(b, uint64(t[name]))
		b = binary.AppendUvarint(b, uint64(len(name)))
		b = append(b, name...)
	}
	return b
}

var errNodes = errors.New("the table of nodes makes no sense")

func decodeNodes(b []byte) (nodes, error) {
	next := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			b = nil
			return 1 << 63
		}
		b = b[n:]
		return v
	}
	t := nodes{}
	used := map[number]bool{}
	for left := next(); left > 0; left-- {
		num, size := next(), next()
		if num == 0 || num > uint64(maxNumber) || size > uint64(len(b)) || used[number(num)] {
			return nil, errNodes
		}
		used[number(num)] = true
		t[string(b[:size])] = number(num)
		b = b[size:]
	}
	if len(b) > 0 {
		return nil, errNodes
	}
	return t, nil
}

// numbers knows which numbers are taken.
type numbers struct{ taken map[number]bool }

func (n *numbers) fresh() (number, error) {
	for i := number(1); i <= maxNumber; i++ {
		if !n.taken[i] {
			n.taken[i] = true
			return i, nil
		}
	}
	return 0, fmt.Errorf("more than %d nodes", maxNumber)
}
