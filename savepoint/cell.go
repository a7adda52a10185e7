package savepoint

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/coder"
	"github.com/millrace/millrace/internal/keygroup"
	"github.com/millrace/millrace/internal/upgrade"
	"github.com/millrace/millrace/window"
)

// goType is the type of a coder's ID in the words of Go.
func goType(id string) string {
	d, err := coder.Describe(id)
	if err != nil {
		return id
	}
	return d.String()
}

// findNode is the transform of a name, of which the error says what there is.
func findNode(nodes []*node, name string) (*node, error) {
	var keyed []string
	for _, n := range nodes {
		if n.Name == name {
			return n, nil
		}
		if n.Key != "" {
			keyed = append(keyed, strconv.Quote(n.Name))
		}
	}
	if keyed == nil {
		return nil, fmt.Errorf("there is no transform %q, and none that keeps state by key", name)
	}
	return nil, fmt.Errorf("there is no transform %q; state by key is kept by %s", name, strings.Join(keyed, ", "))
}

// keyCell is how the keys of a transform are read and written.
type keyCell[K comparable] struct {
	n     *node
	key   coder.Coder[K]
	group func(K) int
}

func keyOf[K comparable](nodes []*node, transform string) (c keyCell[K], err error) {
	if c.n, err = findNode(nodes, transform); err != nil {
		return c, err
	}
	if c.n.err != nil {
		return c, c.n.err
	}
	d := c.n.layout.KeyType()
	if d == nil {
		return c, fmt.Errorf("%q keeps no state by key", transform)
	}
	if c.key, err = coder.For[K](); err != nil {
		return c, err
	}
	if c.key.ID != d.ID() {
		return c, fmt.Errorf("the keys of %q are %s (%s), not %s (%s)", transform, d, d.ID(), goType(c.key.ID), c.key.ID)
	}
	hash := keygroup.Of[K](c.key.Append)
	c.group = func(k K) int { return keygroup.Group(hash.Sum(k)) }
	return c, nil
}

// row names the row of a key and window.
func (c *keyCell[K]) row(k K, w window.Interval) (group int, key []byte) {
	return c.group(k), c.n.layout.RowKey(w, c.key.Append(nil, k))
}

// apart names the row of the cell that lies apart of the row of a key and window; ok is
// false if it does not.
func (c *cell[K, V]) apart(e *upgrade.Entry, w window.Interval) (key []byte, ok bool) {
	if !slices.Contains(e.Apart, c.name) {
		return nil, false
	}
	return c.n.layout.PartKey(c.name, w, e.Key), true
}

func (c *keyCell[K]) decodeKey(b []byte) (K, error) {
	k, rest, err := c.key.Decode(b)
	if err == nil && len(rest) > 0 {
		err = errRest
	}
	return k, err
}

var errRest = fmt.Errorf("there are more bytes than the type has")

// cell is how one cell of a transform is read and written.
type cell[K comparable, V any] struct {
	keyCell[K]
	name     string
	val      coder.Coder[V]
	optional bool // it may be missing: a byte says so
}

func cellOf[K comparable, V any](nodes []*node, transform, name string) (c cell[K, V], err error) {
	c.name = name
	if c.keyCell, err = keyOf[K](nodes, transform); err != nil {
		return c, err
	}
	if c.val, err = coder.For[V](); err != nil {
		return c, err
	}
	var names []string
	for _, p := range c.n.layout.Parts() {
		if p.Name != name {
			names = append(names, strconv.Quote(p.Name))
			continue
		}
		id, optional, ok := p.GoType()
		if !ok {
			return c, fmt.Errorf("%s %q of %q is not read by type; state dump shows it", p.Kind, name, transform)
		}
		if id != c.val.ID {
			return c, fmt.Errorf("%s %q of %q is %s (%s), not %s (%s)", p.Kind, name, transform, goType(id), id, goType(c.val.ID), c.val.ID)
		}
		c.optional = optional
		return c, nil
	}
	if names == nil {
		return c, fmt.Errorf("%q has no cell %q, and no other", transform, name)
	}
	return c, fmt.Errorf("%q has no cell %q; it has %s", transform, name, strings.Join(names, ", "))
}

// get reads the cell of a row; false if there is nothing in it.
func (c *cell[K, V]) get(e *upgrade.Entry) (v V, ok bool, err error) {
	p, ok := e.Cell(c.name)
	if !ok {
		return v, false, fmt.Errorf("cell %q of %q lies behind one whose coder this program has not registered", c.name, c.n.Name)
	}
	b := p.Bytes
	if c.optional {
		if len(b) == 0 || b[0] == 0 {
			return v, false, nil
		}
		b = b[1:]
	}
	v, rest, err := c.val.Decode(b)
	if _, expires := p.Content(); err == nil && len(rest) > 0 && !expires {
		err = errRest
	}
	if err != nil {
		return v, false, fmt.Errorf("cell %q of %q: %w", c.name, c.n.Name, err)
	}
	return v, true, nil
}

// set writes the cell of a row; nil clears it. When the state was to expire it still
// will, at the same time.
func (c *cell[K, V]) set(e *upgrade.Entry, v *V) error {
	p, ok := e.Cell(c.name)
	if !ok {
		return fmt.Errorf("cell %q of %q lies behind one whose coder this program has not registered", c.name, c.n.Name)
	}
	typ, expires := p.Content()
	var tail []byte
	if expires {
		rest, err := typ.Skip(p.Bytes)
		if err != nil {
			return fmt.Errorf("cell %q of %q: %w", c.name, c.n.Name, err)
		}
		tail = rest
	}
	var b []byte
	switch {
	case v == nil:
		zero, err := typ.AppendZero(nil)
		if err != nil {
			return fmt.Errorf("clear cell %q of %q: %w", c.name, c.n.Name, err)
		}
		b, tail = zero, tail[:0]
		if expires {
			tail = []byte{0}
		}
	case c.optional:
		b = c.val.Append([]byte{1}, *v)
	default:
		b = c.val.Append(nil, *v)
	}
	p.Bytes = append(b, tail...)
	return nil
}
