package held

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
)

// What is written begins with its kind and a version, and ends in the CRC-32C of all
// before it:
//
//	| kind 1 | version 1 | fields, in the order of the struct | CRC-32C 4, little-endian |
//
// Numbers are uvarints in their shortest form, lists begin with their length.
const formatVersion = 1

type kind byte

const (
	kindData kind = iota + 1
	kindEnd
	kindAck
	kindState
	kindNews
	kindRecord
	kindJob
	kindCell
)

// ErrNewer is what reading fails with when a later version has written.
var ErrNewer = errors.New("written by a newer version of Millrace")

// errDamaged is what reading fails with when the sum is wrong.
var errDamaged = errors.New("checksum is wrong")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// codec writes fields, or reads them: each struct lists its fields once for both. While
// it writes, it changes none: others may be reading them.
type codec struct {
	b       []byte // what is written, or what is left to read
	reading bool
	err     error
}

func (c *codec) fail(what string) {
	if c.err == nil {
		c.err = errors.New(what)
	}
	c.b = nil
}

func (c *codec) raw(v *uint64) {
	if !c.reading {
		c.b = binary.AppendUvarint(c.b, *v)
		return
	}
	n := 0
	*v, n = binary.Uvarint(c.b)
	if n <= 0 || n > 1 && c.b[n-1] == 0 {
		*v = 0
		c.fail("no number in its shortest form")
		return
	}
	c.b = c.b[n:]
}

func number[T ~uint64](c *codec, v *T) {
	u := uint64(*v)
	c.raw(&u)
	if c.reading {
		*v = T(u)
	}
}

func count[T ~int](c *codec, v *T) {
	u := uint64(*v)
	c.raw(&u)
	if u > math.MaxInt32 {
		c.fail("a count that cannot be")
		u = 0
	}
	if c.reading {
		*v = T(u)
	}
}

func (c *codec) bool(v *bool) {
	var u uint64
	if *v {
		u = 1
	}
	c.raw(&u)
	if u > 1 {
		c.fail("neither true nor false")
	}
	if c.reading {
		*v = u == 1
	}
}

func (c *codec) bytes(v *[]byte) {
	n := len(*v)
	count(c, &n)
	switch {
	case !c.reading:
		c.b = append(c.b, *v...)
	case n > len(c.b):
		c.fail("a length beyond the end")
	case n > 0:
		*v = append([]byte(nil), c.b[:n]...)
		c.b = c.b[n:]
	}
}

// list is a list whose pieces take at least one byte each. An empty one is read as nil.
func list[T any](c *codec, v *[]T, piece func(*codec, *T)) {
	n := len(*v)
	count(c, &n)
	if c.reading {
		*v = nil
		if n > len(c.b) {
			c.fail("a length beyond the end")
			return
		}
		for i := 0; i < n && c.err == nil; i++ {
			var t T
			piece(c, &t)
			*v = append(*v, t)
		}
		return
	}
	for i := range *v {
		piece(c, &(*v)[i])
	}
}

// groupsMax is how many key groups there can be: runs hold more than they have bytes.
const groupsMax = 1 << 16

// runs is a list of numbers as runs of equal ones: each number, and how often it comes.
func runs(c *codec, v *[]int) {
	type run struct{ of, n int }
	var all []run
	for _, x := range *v {
		if n := len(all); n > 0 && all[n-1].of == x {
			all[n-1].n++
		} else {
			all = append(all, run{x, 1})
		}
	}
	list(c, &all, func(c *codec, r *run) {
		count(c, &r.of)
		count(c, &r.n)
	})
	if !c.reading {
		return
	}
	*v = nil
	for i, r := range all {
		if r.n == 0 || r.n > groupsMax-len(*v) || i > 0 && r.of == all[i-1].of {
			c.fail("runs that cannot be")
			return
		}
		*v = append(*v, slices.Repeat([]int{r.of}, r.n)...)
	}
}

// thing is what can be written.
type thing interface {
	kind() kind
	fields(c *codec)
}

// Append appends a message or a record to b. Equal ones give equal bytes.
func Append(b []byte, t thing) []byte {
	from := len(b)
	c := codec{b: append(b, byte(t.kind()), formatVersion)}
	t.fields(&c)
	return appendSum(c.b, from)
}

// appendSum appends the sum of what b has behind from.
func appendSum(b []byte, from int) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[from:], castagnoli))
}

// Decode reads into t all of b, which [Append] wrote. It keeps nothing of b. Bytes
// that Append would not write are an error, one that is [ErrNewer] when a later
// version wrote them; t is then not to be used. Memory is taken only for what b holds.
func Decode(b []byte, t thing) error {
	const head, tail = 2, 4
	if len(b) < head+tail {
		return errDamaged
	}
	body, sum := b[:len(b)-tail], binary.LittleEndian.Uint32(b[len(b)-tail:])
	if crc32.Checksum(body, castagnoli) != sum {
		return errDamaged
	}
	if k := kind(body[0]); k != t.kind() {
		return fmt.Errorf("kind %d where %d is expected", k, t.kind())
	}
	if v := body[1]; v > formatVersion {
		return fmt.Errorf("version %d: %w", v, ErrNewer)
	} else if v != formatVersion {
		return fmt.Errorf("version %d: there is none", v)
	}
	c := codec{b: body[head:], reading: true}
	t.fields(&c)
	if c.err == nil && len(c.b) > 0 {
		c.fail("bytes behind the end")
	}
	return c.err
}

// DecodeMessage reads whatever message b is: a *[Data], *[End], *[Ack], *[State] or
// *[News].
func DecodeMessage(b []byte) (any, error) {
	if len(b) == 0 {
		return nil, errDamaged
	}
	var t thing
	switch kind(b[0]) {
	case kindData:
		t = &Data{}
	case kindEnd:
		t = &End{}
	case kindAck:
		t = &Ack{}
	case kindState:
		t = &State{}
	case kindNews:
		t = &News{}
	default:
		return nil, fmt.Errorf("no message is of kind %d", b[0])
	}
	return t, Decode(b, t)
}
